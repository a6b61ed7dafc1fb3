//! What tells about copies turned by any angle: discs around an image's centre, in polar
//! coordinates, where a rotation is a shift and a mirror image runs backwards.

use std::f32::consts::TAU;

use image::imageops::{FilterType, crop_imm, grayscale, resize, thumbnail};
use image::{GrayImage, ImageBuffer, Rgb, RgbImage};
use imageproc::integral_image::{
    integral_image, integral_squared_image, sum_image_pixels, variance,
};
use simclr_augment::DecodedImage;

/// Side of the square that a disc is cut out of.
const SIDE: u32 = 64;
const RINGS: usize = 16;
const ANGLES: usize = 64;
/// Half the side of the window in which contrast is made even, so that a scale bar counts no
/// more than any other edge.
const WINDOW: u32 = 6;
/// Grey levels of deviation below which contrast is not amplified.
const NOISE: f32 = 6.0;
/// Largest contrast, in deviations.
const LARGEST: f32 = 2.5;
/// Deviation of even contrast below which a disc is flat.
const FLAT: f32 = 0.2;
/// Harmonics of the rings in the descriptor.
const HARMONICS: usize = 16;
/// Discs of an image: the j-th has `2^(-j/8)` of the largest one's radius.
pub(super) const SCALES: usize = 9;

/// A disc of an image, contrast made even, and what it is compared by.
pub(super) struct Disc {
    /// By ring and angle, in parts of a standard deviation.
    rings: [[i8; ANGLES]; RINGS],
    norm: f32,
    /// Mean red, green and blue in [0, 1].
    color: [f32; 3],
    /// How far all edges run in one direction: 0 for none, 1 for perfect layers.
    pub(super) layering: f32,
}

/// The discs of an image, from the largest to half of it; none if one is flat.
pub(super) fn discs(image: &DecodedImage) -> Vec<Disc> {
    // Sides of images that fit in memory fit in 32 bits.
    let (width, height) = (image.width() as u32, image.height() as u32);
    let full = ImageBuffer::<Rgb<u8>, _>::from_raw(width, height, image.data());
    // Enough for the smallest disc.
    let shrink = (f64::from(width.min(height)) / f64::from(2 * SIDE)).max(1.0);
    let side = |side| ((f64::from(side) / shrink).round() as u32).max(1);
    let small = full.map(|full| thumbnail(&full, side(width), side(height)));
    let small = small.unwrap_or_default();
    let gray = grayscale(&small);
    let discs = (0..SCALES).map_while(|j| disc(&small, &gray, (-(j as f32) / 8.0).exp2()));
    let discs: Vec<Disc> = discs.collect();
    if discs.len() == SCALES {
        discs
    } else {
        Vec::new()
    }
}

fn disc(small: &RgbImage, gray: &GrayImage, scale: f32) -> Option<Disc> {
    let (width, height) = gray.dimensions();
    let side = ((width.min(height) as f32 * scale).round() as u32).max(1);
    let (left, top) = ((width - side) / 2, (height - side) / 2);
    let square = crop_imm(gray, left, top, side, side);
    let square = resize(&square.to_image(), SIDE, SIDE, FilterType::Triangle);
    let contrast = even_contrast(&square);
    let rings = polar(&contrast);
    let mean = weighted(&rings, |value| value);
    let deviation = weighted(&rings, |value| (value - mean).powi(2)).sqrt();
    if deviation < FLAT {
        return None;
    }
    let rings = rings.map(|ring| ring.map(|value| ((value - mean) / deviation * 32.0) as i8));
    let color = mean_color(&crop_imm(small, left, top, side, side).to_image());
    Some(Disc {
        norm: weighted(&rings, |value| f32::from(value).powi(2)).sqrt(),
        rings,
        color,
        layering: layering(&contrast),
    })
}

/// Of the disc in a square.
fn mean_color(square: &RgbImage) -> [f32; 3] {
    let side = square.width() as f32;
    let from_center = |at: u32| (at as f32 + 0.5 - side / 2.0).powi(2);
    let (mut sums, mut count) = ([0.0; 3], 0.0);
    for (x, y, pixel) in square.enumerate_pixels() {
        if from_center(x) + from_center(y) <= (side / 2.0).powi(2) {
            count += 255.0;
            for (sum, &level) in sums.iter_mut().zip(&pixel.0) {
                *sum += f32::from(level);
            }
        }
    }
    sums.map(|sum| sum / count)
}

/// Each pixel's difference to the mean of its window, in deviations of the window.
fn even_contrast(square: &GrayImage) -> Vec<f32> {
    let sums = integral_image::<_, u32>(square);
    let squares = integral_squared_image::<_, u32>(square);
    let around = |at: u32| (at.saturating_sub(WINDOW), (at + WINDOW).min(SIDE - 1));
    let contrast = square.enumerate_pixels().map(|(x, y, level)| {
        let ((left, right), (top, bottom)) = (around(x), around(y));
        let count = ((right - left + 1) * (bottom - top + 1)) as f32;
        let mean = sum_image_pixels(&sums, left, top, right, bottom)[0] as f32 / count;
        let variance = variance(&sums, &squares, left, top, right, bottom) as f32;
        let difference = f32::from(level.0[0]) - mean;
        (difference / (variance.max(0.0).sqrt() + NOISE)).clamp(-LARGEST, LARGEST)
    });
    contrast.collect()
}

/// Values of a square at the rings' points, between its pixels.
fn polar(square: &[f32]) -> [[f32; ANGLES]; RINGS] {
    let half = SIDE as f32 / 2.0;
    std::array::from_fn(|ring| {
        let radius = (ring as f32 + 0.5) / RINGS as f32 * half;
        std::array::from_fn(|angle| {
            let (sin, cos) = (TAU * angle as f32 / ANGLES as f32).sin_cos();
            let place = |offset: f32| (half - 0.5 + radius * offset).clamp(0.0, SIDE as f32 - 1.0);
            let (x, y) = (place(cos), place(sin));
            let value = |dx: usize, dy: usize| {
                let last = SIDE as usize - 1;
                let (x, y) = (x as usize + dx, y as usize + dy);
                square[y.min(last) * SIDE as usize + x.min(last)]
            };
            let upper = value(0, 0) + (value(1, 0) - value(0, 0)) * x.fract();
            let lower = value(0, 1) + (value(1, 1) - value(0, 1)) * x.fract();
            upper + (lower - upper) * y.fract()
        })
    })
}

/// The area that a ring stands for.
fn area(ring: usize) -> f32 {
    ring as f32 + 0.5
}

/// Mean of a function of the values over the disc.
fn weighted<T: Copy>(rings: &[[T; ANGLES]; RINGS], of: impl Fn(T) -> f32) -> f32 {
    let sums = rings.iter().enumerate();
    let sums = sums.map(|(r, ring)| area(r) * ring.iter().map(|&value| of(value)).sum::<f32>());
    sums.sum::<f32>() / (RINGS * RINGS * ANGLES) as f32 * 2.0
}

/// Coherence of the structure tensor within the disc.
fn layering(square: &[f32]) -> f32 {
    let side = SIDE as usize;
    let [mut xx, mut yy, mut xy] = [0.0f32; 3];
    for y in 1..side - 1 {
        for x in 1..side - 1 {
            let from_center = |at: usize| (at as f32 + 0.5 - side as f32 / 2.0).powi(2);
            if from_center(x) + from_center(y) < (side as f32 / 2.0).powi(2) {
                let at = y * side + x;
                let (dx, dy) = (
                    square[at + 1] - square[at - 1],
                    square[at + side] - square[at - side],
                );
                (xx, yy, xy) = (xx + dx * dx, yy + dy * dy, xy + dx * dy);
            }
        }
    }
    (xx - yy).hypot(2.0 * xy) / (xx + yy).max(f32::MIN_POSITIVE)
}

impl Disc {
    /// The highest correlation with another disc over all rotations and mirror images.
    pub(super) fn correlation(&self, other: &Self) -> f32 {
        let mut sums = [[0.0f32; ANGLES]; 2];
        for (r, (ring, other)) in self.rings.iter().zip(&other.rings).enumerate() {
            let ring = ring.map(i16::from);
            let mut backwards = *other;
            backwards.reverse();
            for (sums, other) in sums.iter_mut().zip([*other, backwards]) {
                let twice: [i16; 2 * ANGLES] = std::array::from_fn(|i| other[i % ANGLES].into());
                for (sum, turned) in sums.iter_mut().zip(twice.windows(ANGLES)) {
                    let products = ring
                        .iter()
                        .zip(turned)
                        .map(|(&a, &b)| i32::from(a) * i32::from(b));
                    *sum += area(r) * products.sum::<i32>() as f32;
                }
            }
        }
        let highest = sums.as_flattened().iter().copied().fold(0.0, f32::max);
        highest / (RINGS * RINGS * ANGLES) as f32 * 2.0 / (self.norm * other.norm)
    }

    /// The largest difference of the mean red, green and blue.
    pub(super) fn color_difference(&self, other: &Self) -> f32 {
        let differences = self
            .color
            .iter()
            .zip(other.color)
            .map(|(a, b)| (a - b).abs());
        differences.fold(0.0, f32::max)
    }

    /// Logarithms of the power of the rings' harmonics, which rotations and mirror images do
    /// not change; two rings at a time.
    pub(super) fn descriptor(&self) -> Vec<f32> {
        let waves: [(f32, f32); ANGLES] =
            std::array::from_fn(|angle| (TAU * angle as f32 / ANGLES as f32).sin_cos());
        let total = self.norm * self.norm * (RINGS * RINGS * ANGLES) as f32 / 2.0;
        let mut powers = vec![1e-4; RINGS / 2 * HARMONICS];
        for (r, ring) in self.rings.iter().enumerate() {
            for harmonic in 1..=HARMONICS {
                let (mut sine, mut cosine) = (0.0, 0.0);
                for (angle, &value) in ring.iter().enumerate() {
                    let (sin, cos) = waves[angle * harmonic % ANGLES];
                    sine += sin * f32::from(value);
                    cosine += cos * f32::from(value);
                }
                let power = area(r) * (sine * sine + cosine * cosine) / total;
                powers[r / 2 * HARMONICS + harmonic - 1] += power;
            }
        }
        powers.iter().map(|power| power.ln()).collect()
    }
}
