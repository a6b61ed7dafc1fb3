//! What two images are compared by.

use std::f32::consts::PI;

use image::{ImageBuffer, Rgb};
use sha2::{Digest, Sha256};
use simclr_augment::DecodedImage;

/// Side of the thumbnail.
const SIDE: usize = 16;
/// Frequencies along each side that the hash looks at.
const FREQUENCIES: usize = 8;
/// Values of a thumbnail.
const VALUES: usize = SIDE * SIDE * 3;
/// Standard deviation below which a thumbnail is flat: its own rounding would count for
/// too much.
const FLAT: f32 = 0.02;
/// Largest difference of the mean colours of near-duplicates.
const MEAN_COLOR: f32 = 0.1;

pub(super) struct Fingerprint {
    /// SHA-256 of size and pixels.
    pub(super) digest: [u8; 32],
    pub(super) hash: Hash,
    pub(super) thumbnail: Thumbnail,
}

impl Fingerprint {
    pub(super) fn of(image: &DecodedImage) -> Self {
        let thumbnail = Thumbnail::of(image);
        Self {
            digest: digest(image),
            hash: thumbnail.hash(),
            thumbnail,
        }
    }
}

fn digest(image: &DecodedImage) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update((image.height() as u64).to_le_bytes());
    digest.update((image.width() as u64).to_le_bytes());
    digest.update(image.data());
    digest.finalize().into()
}

/// One of the eight ways to lay a picture down: transposed or not, then mirrored
/// left-right or not, then up-down or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Orientation {
    transposed: bool,
    left_right: bool,
    up_down: bool,
}

impl Orientation {
    /// All eight; the first changes nothing.
    pub(super) const ALL: [Self; 8] = {
        let mut all = [Self::number(0); 8];
        let mut number = 1;
        while number < 8 {
            all[number] = Self::number(number);
            number += 1;
        }
        all
    };

    const fn number(number: usize) -> Self {
        Self {
            transposed: number & 4 != 0,
            left_right: number & 2 != 0,
            up_down: number & 1 != 0,
        }
    }

    /// Where a turned picture's pixel was before.
    fn source(self, row: usize, column: usize) -> (usize, usize) {
        let row = if self.up_down { SIDE - 1 - row } else { row };
        let column = match self.left_right {
            true => SIDE - 1 - column,
            false => column,
        };
        match self.transposed {
            true => (column, row),
            false => (row, column),
        }
    }
}

/// The signs of the lowest frequencies: bit `8 * vertical + horizontal` is set where the
/// coefficient is positive. The mean (bit 0) is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hash(pub(super) u64);

impl Hash {
    /// The hash of the turned picture. Mirroring changes the sign of odd frequencies, and
    /// transposing swaps the two kinds.
    pub(super) fn turned(self, orientation: Orientation) -> u64 {
        const ODD_HORIZONTAL: u64 = 0xAAAA_AAAA_AAAA_AAAA;
        const ODD_VERTICAL: u64 = 0xFF00_FF00_FF00_FF00;
        let mut hash = self.0;
        if orientation.transposed {
            let bit = |bit: usize| (self.0 >> (bit % 8 * 8 + bit / 8) & 1) << bit;
            hash = (0..64).map(bit).sum();
        }
        if orientation.left_right {
            hash ^= ODD_HORIZONTAL;
        }
        if orientation.up_down {
            hash ^= ODD_VERTICAL;
        }
        hash
    }
}

/// 16 x 16 pixels in [0, 1], each the mean of its part of the picture, freed of the mean
/// colour.
#[derive(Debug, Clone)]
pub(super) struct Thumbnail {
    values: Box<[f32; VALUES]>,
    mean: [f32; 3],
    variance: f32,
}

impl Thumbnail {
    fn of(image: &DecodedImage) -> Self {
        // Sides of images that fit in memory fit in 32 bits.
        let (width, height) = (image.width() as u32, image.height() as u32);
        let small = ImageBuffer::<Rgb<u8>, _>::from_raw(width, height, image.data())
            .map(|picture| image::imageops::thumbnail(&picture, SIDE as u32, SIDE as u32));
        let mut values = Box::new([0.0; VALUES]);
        for (value, byte) in values.iter_mut().zip(small.iter().flat_map(|s| s.as_raw())) {
            *value = f32::from(*byte) / 255.0;
        }
        let mut mean = [0.0; 3];
        for (channel, mean) in mean.iter_mut().enumerate() {
            let channel = || (channel..VALUES).step_by(3);
            *mean = channel().map(|i| values[i]).sum::<f32>() / (SIDE * SIDE) as f32;
            channel().for_each(|i| values[i] -= *mean);
        }
        let variance = values.iter().map(|value| value * value).sum::<f32>() / VALUES as f32;
        Self {
            values,
            mean,
            variance,
        }
    }

    /// How different two pictures are once the first is turned: 0 for equal ones, about
    /// the square root of 2 for unrelated ones; infinite where their mean colours differ.
    pub(super) fn difference(&self, orientation: Orientation, other: &Self) -> f32 {
        let means = self.mean.iter().zip(other.mean);
        if means.into_iter().any(|(a, b)| (a - b).abs() > MEAN_COLOR) {
            return f32::INFINITY;
        }
        let mut squares = 0.0;
        for row in 0..SIDE {
            for column in 0..SIDE {
                let (source_row, source_column) = orientation.source(row, column);
                let ours = 3 * (source_row * SIDE + source_column);
                let theirs = 3 * (row * SIDE + column);
                for channel in 0..3 {
                    squares +=
                        (self.values[ours + channel] - other.values[theirs + channel]).powi(2);
                }
            }
        }
        let variance = 0.5 * (self.variance + other.variance);
        (squares / VALUES as f32 / variance.max(FLAT * FLAT)).sqrt()
    }

    fn hash(&self) -> Hash {
        // The sum of the channels serves as brightness: only signs are asked for.
        let brightness = |row: usize, column: usize| -> f32 {
            let pixel = 3 * (row * SIDE + column);
            self.values[pixel..pixel + 3].iter().sum()
        };
        let basis = |frequency: usize, position: usize| -> f32 {
            (PI * frequency as f32 * (position as f32 + 0.5) / SIDE as f32).cos()
        };
        let mut rows = [[0.0; FREQUENCIES]; SIDE];
        for (row, sums) in rows.iter_mut().enumerate() {
            for (frequency, sum) in sums.iter_mut().enumerate() {
                let terms = (0..SIDE).map(|c| brightness(row, c) * basis(frequency, c));
                *sum = terms.sum();
            }
        }
        let mut hash = 0;
        for bit in 1..FREQUENCIES * FREQUENCIES {
            let (vertical, horizontal) = (bit / FREQUENCIES, bit % FREQUENCIES);
            let terms = rows.iter().enumerate();
            let coefficient: f32 = terms
                .map(|(row, sums)| sums[horizontal] * basis(vertical, row))
                .sum();
            hash |= u64::from(coefficient > 0.0) << bit;
        }
        Hash(hash)
    }
}

#[cfg(test)]
mod tests {
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

    /// The picture laid down in another way, pixel by pixel.
    fn turned(image: &DecodedImage, orientation: Orientation) -> DecodedImage {
        let mut data = Vec::new();
        for row in 0..SIDE {
            for column in 0..SIDE {
                let (row, column) = orientation.source(row, column);
                data.extend(&image.data()[3 * (row * SIDE + column)..][..3]);
            }
        }
        DecodedImage::new(SIDE, SIDE, data).unwrap()
    }

    #[test]
    fn hashes_and_thumbnails_turn_as_pictures_do() {
        let image = noise(SIDE, SIDE);
        let original = Fingerprint::of(&image);
        for (number, &orientation) in Orientation::ALL.iter().enumerate() {
            let copy = Fingerprint::of(&turned(&image, orientation));
            assert_eq!(
                original.hash.turned(orientation),
                copy.hash.0,
                "{orientation:?}"
            );
            assert!(original.thumbnail.difference(orientation, &copy.thumbnail) < 1e-4);
            let unturned = original
                .thumbnail
                .difference(Orientation::ALL[0], &copy.thumbnail);
            assert_eq!(number == 0, unturned < 0.5, "{orientation:?}: {unturned}");
        }
    }

    #[test]
    fn hashes_are_the_signs_of_the_cosine_transform() {
        // Darker to the right: the first horizontal frequency is positive, and no other
        // frequency but odd horizontal ones is there at all.
        let data = (0..64 * 64).flat_map(|i| [255 - 3 * (i % 64) as u8; 3]);
        let ramp = DecodedImage::new(64, 64, data.collect()).unwrap();
        let hash = Fingerprint::of(&ramp).hash.0;
        assert_eq!(hash & 2, 2);
        let mirrored = Hash(hash).turned(Orientation::number(2));
        assert_eq!(mirrored & 2, 0);
    }

    #[test]
    fn any_size_has_a_fingerprint_and_sizes_count() {
        let sizes = [(1, 1), (1, 40), (300, 2), (17, 15)];
        let digests = sizes.map(|(h, w)| {
            let print = Fingerprint::of(&noise(h, w));
            assert!(print.thumbnail.values.iter().all(|v| v.is_finite()));
            print.digest
        });
        assert!(
            digests
                .iter()
                .all(|d| digests.iter().filter(|o| o == &d).count() == 1)
        );
        let flat = |h, w| DecodedImage::new(h, w, vec![7; h * w * 3]).unwrap();
        assert_ne!(digest(&flat(2, 6)), digest(&flat(3, 4)));
    }
}
