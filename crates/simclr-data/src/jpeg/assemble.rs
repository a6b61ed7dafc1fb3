//! From components to pixels: upsampled by the triangle filter, converted to RGB.

use simclr_augment::DecodedImage;

use super::frame::{Component, Frame};
use super::transform::samples;
use super::{JpegError, damaged};

/// A component's samples, rows of `stride`.
struct Plane {
    samples: Vec<u8>,
    stride: usize,
    width: usize,
    height: usize,
}

impl Plane {
    fn new(component: &Component) -> Self {
        Self {
            samples: samples(component),
            stride: component.stride * 8,
            width: component.width,
            height: component.height,
        }
    }

    fn row(&self, y: usize) -> &[u8] {
        &self.samples[y * self.stride..][..self.width]
    }
}

pub(super) fn assemble(frame: &Frame) -> Result<DecodedImage, JpegError> {
    let planes: Vec<Plane> = frame.components.iter().map(Plane::new).collect();
    let (height, width) = (frame.height, frame.width);
    let image = match planes.as_slice() {
        [gray] => {
            let mut values = Vec::with_capacity(height * width);
            for y in 0..height {
                values.extend_from_slice(gray.row(y));
            }
            DecodedImage::from_gray(height, width, &values)
        }
        [first, second, third] => {
            let factors: Vec<(usize, usize)> = frame
                .components
                .iter()
                .map(|c| (frame.horizontal / c.horizontal, frame.vertical / c.vertical))
                .collect();
            let mut lines = [Vec::new(), Vec::new(), Vec::new()];
            let mut pixels = vec![0; height * width * 3];
            for (y, row) in pixels.chunks_exact_mut(width * 3).enumerate() {
                for ((plane, &factors), line) in [first, second, third]
                    .into_iter()
                    .zip(&factors)
                    .zip(&mut lines)
                {
                    upsample_row(plane, factors, y, line);
                }
                to_rgb(&lines, frame.rgb, row);
            }
            DecodedImage::new(height, width, pixels)
        }
        _ => return damaged("the picture has neither one nor three components"),
    };
    image.or_else(|error| damaged(error.to_string()))
}

/// Row `y` of the picture from a component that has a sample per `factors`
/// (columns, rows) pixels.
fn upsample_row(plane: &Plane, factors: (usize, usize), y: usize, line: &mut Vec<u8>) {
    line.clear();
    let near = plane.row((y / factors.1).min(plane.height - 1));
    // The row on the other side of the pixel; at the border the row itself.
    let far = || {
        let row = y / 2;
        let other = if y.is_multiple_of(2) {
            row.saturating_sub(1)
        } else {
            row + 1
        };
        plane.row(other.min(plane.height - 1))
    };
    match factors {
        (1, 1) => line.extend_from_slice(near),
        // libjpeg smooths only where there are more than two samples.
        (2, 1) if plane.width > 2 => {
            let sums = near.iter().map(|&v| u16::from(v));
            widen(sums, [1, 2], 2, line);
        }
        (2, 2) if plane.width > 2 => {
            let sums = near
                .iter()
                .zip(far())
                .map(|(&n, &f)| 3 * u16::from(n) + u16::from(f));
            widen(sums, [8, 7], 4, line);
        }
        (1, 2) => {
            let bias = if y.is_multiple_of(2) { 1 } else { 2 };
            let mixed =
                |(&n, &f): (&u8, &u8)| ((3 * u16::from(n) + u16::from(f) + bias) >> 2) as u8;
            line.extend(near.iter().zip(far()).map(mixed));
        }
        (columns, _) => {
            line.extend(near.iter().flat_map(|&v| std::iter::repeat_n(v, columns)));
        }
    }
}

/// Twice as many samples, each three quarters of the nearer and a quarter of the
/// farther one. `biases` (for even and odd columns) make the rounding unbiased;
/// the border samples have nothing beyond them and stay as they are.
fn widen(sums: impl Iterator<Item = u16>, biases: [u16; 2], shift: u32, line: &mut Vec<u8>) {
    let sums: Vec<u16> = sums.collect();
    let last = sums.len() - 1;
    for (x, &sum) in sums.iter().enumerate() {
        let neighbours = [sums[x.saturating_sub(1)], sums[(x + 1).min(last)]];
        for (neighbour, bias) in neighbours.into_iter().zip(biases) {
            line.push(((3 * sum + neighbour + bias) >> shift) as u8);
        }
    }
}

/// The conversion of ITU-R BT.601 in 16-bit fixed point, as libjpeg rounds it.
fn to_rgb(lines: &[Vec<u8>; 3], rgb: bool, row: &mut [u8]) {
    const HALF: i32 = 1 << 15;
    let [first, second, third] = lines;
    let (pixels, _) = row.as_chunks_mut::<3>();
    for (((pixel, &a), &b), &c) in pixels.iter_mut().zip(first).zip(second).zip(third) {
        *pixel = if rgb {
            [a, b, c]
        } else {
            let (y, blue, red) = (i32::from(a), i32::from(b) - 128, i32::from(c) - 128);
            [
                y + ((91881 * red + HALF) >> 16),
                y + ((-22554 * blue - 46802 * red + HALF) >> 16),
                y + ((116_130 * blue + HALF) >> 16),
            ]
            .map(|value| value.clamp(0, 255) as u8)
        };
    }
}
