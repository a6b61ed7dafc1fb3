//! What two images are compared by.

use std::f32::consts::PI;

use image::imageops::{flip_horizontal, rotate90, rotate180, rotate270, thumbnail};
use image::{ImageBuffer, Rgb, Rgb32FImage, RgbImage};
use simclr_augment::DecodedImage;

use crate::dataset::pixel_digest;

/// Side of the thumbnail.
const SIDE: u32 = 16;
/// Frequencies along each side that the hash looks at.
const FREQUENCIES: usize = 8;
/// Standard deviation below which a thumbnail is flat: its own rounding would count for
/// too much.
const FLAT: f32 = 0.02;
/// Largest difference of the mean colours of near-duplicates.
const MEAN_COLOR: f32 = 0.1;

pub(super) struct Fingerprint {
    /// SHA-256 of size and pixels.
    pub(super) digest: [u8; 32],
    pub(super) thumbnail: Thumbnail,
}

impl Fingerprint {
    pub(super) fn of(image: &DecodedImage) -> Self {
        Self {
            digest: pixel_digest(image),
            thumbnail: Thumbnail::of(image),
        }
    }
}

/// 16 x 16 pixels in [0, 1], each the mean of its part of the image, minus the mean colour.
#[derive(Debug, Clone)]
pub(super) struct Thumbnail {
    pixels: Rgb32FImage,
    mean: [f32; 3],
    variance: f32,
    /// The signs of the lowest frequencies of the brightness: bit `8 * vertical +
    /// horizontal` is set where the coefficient is positive. The mean (bit 0) is left out.
    pub(super) hash: u64,
}

impl Thumbnail {
    fn of(image: &DecodedImage) -> Self {
        // Sides of images that fit in memory fit in 32 bits.
        let (width, height) = (image.width() as u32, image.height() as u32);
        let full = ImageBuffer::<Rgb<u8>, _>::from_raw(width, height, image.data());
        let small = full.map_or_else(RgbImage::default, |full| thumbnail(&full, SIDE, SIDE));
        let mut pixels = Rgb32FImage::new(SIDE, SIDE);
        for (value, byte) in pixels.iter_mut().zip(small.iter()) {
            *value = f32::from(*byte) / 255.0;
        }
        let count = (SIDE * SIDE) as f32;
        let mean = [0, 1, 2].map(|c| pixels.pixels().map(|pixel| pixel.0[c]).sum::<f32>() / count);
        for pixel in pixels.pixels_mut() {
            for (value, mean) in pixel.0.iter_mut().zip(mean) {
                *value -= mean;
            }
        }
        let squares: f32 = pixels.iter().map(|value| value * value).sum();
        Self {
            hash: hash(&pixels),
            mean,
            variance: squares / pixels.len() as f32,
            pixels,
        }
    }

    /// The thumbnail itself, then those of the image turned by quarters and mirrored.
    pub(super) fn orientations(&self) -> [Self; 8] {
        let [upright, mirrored] = [self.pixels.clone(), flip_horizontal(&self.pixels)];
        let turned = |pixels: Rgb32FImage| {
            let quarters = [rotate90(&pixels), rotate180(&pixels), rotate270(&pixels)];
            [pixels].into_iter().chain(quarters)
        };
        let mut all = turned(upright).chain(turned(mirrored));
        std::array::from_fn(|_| {
            let pixels = all.next().unwrap_or_default();
            Self {
                hash: hash(&pixels),
                pixels,
                ..*self
            }
        })
    }

    /// How different two images are: 0 for equal ones, about the square root of 2 for
    /// unrelated ones; infinite where their mean colours differ.
    pub(super) fn difference(&self, other: &Self) -> f32 {
        let means = self.mean.iter().zip(other.mean);
        if means.into_iter().any(|(a, b)| (a - b).abs() > MEAN_COLOR) {
            return f32::INFINITY;
        }
        let pairs = self.pixels.iter().zip(other.pixels.iter());
        let squares: f32 = pairs.map(|(a, b)| (a - b).powi(2)).sum();
        let variance = 0.5 * (self.variance + other.variance);
        (squares / self.pixels.len() as f32 / variance.max(FLAT * FLAT)).sqrt()
    }
}

fn hash(pixels: &Rgb32FImage) -> u64 {
    let basis = |frequency: usize, position: usize| -> f32 {
        (PI * frequency as f32 * (position as f32 + 0.5) / SIDE as f32).cos()
    };
    // By row, then by horizontal frequency. The sum of the channels serves as brightness:
    // only signs are asked for.
    let rows: Vec<[f32; FREQUENCIES]> = pixels
        .rows()
        .map(|row| {
            let brightness: Vec<f32> = row.map(|pixel| pixel.0.iter().sum()).collect();
            std::array::from_fn(|frequency| {
                let terms = brightness.iter().enumerate();
                terms.map(|(x, value)| value * basis(frequency, x)).sum()
            })
        })
        .collect();
    let mut hash = 0;
    for bit in 1..FREQUENCIES * FREQUENCIES {
        let (vertical, horizontal) = (bit / FREQUENCIES, bit % FREQUENCIES);
        let terms = rows.iter().enumerate();
        let terms = terms.map(|(y, sums)| sums[horizontal] * basis(vertical, y));
        let coefficient: f32 = terms.sum();
        hash |= u64::from(coefficient > 0.0) << bit;
    }
    hash
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn noise(height: usize, width: usize) -> DecodedImage {
        let mut state = 1u32;
        let mut byte = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let data = (0..height * width * 3).map(|_| byte()).collect();
        DecodedImage::new(height, width, data).unwrap()
    }

    #[test]
    fn eight_orientations_differ_and_are_their_own_duplicates() {
        let original = Thumbnail::of(&noise(16, 16));
        let all = original.orientations();
        assert_eq!(original.hash, all[0].hash);
        for (i, first) in all.iter().enumerate() {
            for (j, other) in all.iter().enumerate() {
                let difference = first.difference(other);
                assert_eq!(i == j, difference < 0.5, "{i} {j}: {difference}");
            }
            // Of the orientations of any one, one is the original.
            let back = first.orientations();
            let is_original =
                |b: &Thumbnail| original.difference(b) == 0.0 && b.hash == original.hash;
            assert!(back.iter().any(is_original));
        }
    }

    #[test]
    fn hashes_are_the_signs_of_the_cosine_transform() {
        // Darker to the right: the first horizontal frequency is positive.
        let data = (0..64 * 64).flat_map(|i| [255 - 3 * (i % 64) as u8; 3]);
        let ramp = Thumbnail::of(&DecodedImage::new(64, 64, data.collect()).unwrap());
        assert_eq!(ramp.hash & 2, 2);
        let [_, _, upside_down, _, mirrored, ..] = ramp.orientations().map(|turned| turned.hash);
        assert_eq!((upside_down & 2, mirrored & 2), (0, 0));
    }

    #[test]
    fn any_size_has_a_fingerprint_and_sizes_count() {
        let sizes = [(1, 1), (1, 40), (300, 2), (17, 15)];
        let digests = sizes.map(|(h, w)| {
            let print = Fingerprint::of(&noise(h, w));
            assert!(print.thumbnail.pixels.iter().all(|v| v.is_finite()));
            print.digest
        });
        assert_eq!(BTreeSet::from(digests).len(), digests.len());
        let flat = |h, w| DecodedImage::new(h, w, vec![7; h * w * 3]).unwrap();
        assert_ne!(pixel_digest(&flat(2, 6)), pixel_digest(&flat(3, 4)));
    }
}
