//! The steps as plain loops: what every other level is compared with.

use super::level::{ColumnGroup, GROUP, Level};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable;

impl Level for Portable {
    #[inline(always)]
    fn resample<const COUNT: usize>(
        self,
        row: &[f32],
        group: &ColumnGroup,
        output: &mut [f32; GROUP],
    ) {
        let row = &row[group.first..];
        let term = |tap: usize, lane: usize| {
            row[group.offsets[tap][lane] as usize] * group.weights[tap][lane]
        };
        for (lane, value) in output.iter_mut().enumerate() {
            let pair = term(0, lane) + term(1, lane);
            *value = if COUNT == 2 {
                pair
            } else {
                pair + (term(2, lane) + term(3, lane))
            };
        }
    }

    #[inline(always)]
    fn split_bytes(self, pixels: &[[u8; 3]], planes: [&mut [f32]; 3]) {
        split(pixels, planes);
    }
}

/// Pixels to numbers, a plane for each of the three channels.
#[inline(always)]
pub(crate) fn split<T: Copy + Into<f32>>(pixels: &[[T; 3]], [red, green, blue]: [&mut [f32]; 3]) {
    let planes = red.iter_mut().zip(green).zip(blue);
    for (pixel, ((red, green), blue)) in pixels.iter().zip(planes) {
        [*red, *green, *blue] = pixel.map(Into::into);
    }
}
