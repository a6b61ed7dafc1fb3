//! Chroma to the image's size, by libjpeg's triangle filter.

use crate::transform::Multipliers;

/// A ring buffer of the samples of a component: those of the last two MCU rows, which is
/// what pixels still to be written need.
pub(crate) struct Plane {
    pub(crate) samples: Vec<u8>,
    pub(crate) stride: usize,
    /// Rows of samples in the buffer.
    pub(crate) kept: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Pixels per sample: columns, rows.
    pub(crate) factors: (usize, usize),
    pub(crate) multipliers: Multipliers,
}

impl Plane {
    pub(crate) fn row(&self, y: usize) -> &[u8] {
        &self.samples[(y % self.kept) * self.stride..][..self.width]
    }
}

/// Room for a row, kept between rows.
#[derive(Default)]
pub(crate) struct Scratch {
    /// Samples mixed with those of the next row, and one more at either end.
    sums: Vec<u16>,
    line: Vec<u8>,
}

/// Row `y` of the picture from a component that has a sample per `factors` (columns,
/// rows) pixels; at least as long as the row.
pub(crate) fn upsample_row<'a>(plane: &'a Plane, y: usize, scratch: &'a mut Scratch) -> &'a [u8] {
    let near = plane.row((y / plane.factors.1).min(plane.height - 1));
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
    match plane.factors {
        (1, 1) => return near,
        // libjpeg smooths only where there are more than two samples.
        (2, 1) if plane.width > 2 => widen::<2>(near, None, [1, 2], scratch),
        (2, 2) if plane.width > 2 => widen::<4>(near, Some(far()), [8, 7], scratch),
        (1, 2) => {
            let (far, bias) = (far(), if y.is_multiple_of(2) { 1 } else { 2 });
            scratch.line.resize(near.len(), 0);
            let line = &mut scratch.line;
            pulp::Arch::new().dispatch(Mix {
                near,
                far,
                bias,
                line,
            });
        }
        (columns, _) => {
            let values = near.iter().flat_map(|&v| std::iter::repeat_n(v, columns));
            scratch.line.clear();
            scratch.line.extend(values);
        }
    }
    &scratch.line
}

fn widen<const SHIFT: u32>(
    near: &[u8],
    far: Option<&[u8]>,
    biases: [u16; 2],
    Scratch { sums, line }: &mut Scratch,
) {
    line.resize(2 * near.len(), 0);
    pulp::Arch::new().dispatch(Widen::<SHIFT> {
        near,
        far,
        biases,
        sums,
        line,
    });
}

/// Twice as many samples, each three quarters of the nearer and a quarter of the
/// farther one, in steps of `2^-SHIFT`. `biases` (for even and odd columns) make the
/// rounding unbiased; the border samples have nothing beyond them and stay as they are.
struct Widen<'a, const SHIFT: u32> {
    near: &'a [u8],
    /// If rows are mixed too: the row that a quarter is taken of.
    far: Option<&'a [u8]>,
    biases: [u16; 2],
    sums: &'a mut Vec<u16>,
    line: &'a mut [u8],
}

impl<const SHIFT: u32> pulp::NullaryFnOnce for Widen<'_, SHIFT> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let (sums, biases, width) = (self.sums, self.biases, self.near.len());
        sums.resize(width + 2, 0);
        let inner = sums[1..=width].iter_mut().zip(self.near);
        if let Some(far) = self.far {
            for ((sum, &near), &far) in inner.zip(far) {
                *sum = 3 * u16::from(near) + u16::from(far);
            }
        } else {
            for (sum, &near) in inner {
                *sum = u16::from(near);
            }
        }
        sums[0] = sums[1];
        sums[width + 1] = sums[width];
        let (left, middle, right) = (&sums[..width], &sums[1..=width], &sums[2..width + 2]);
        let (pairs, _) = self.line.as_chunks_mut::<2>();
        for x in 0..width.min(pairs.len()) {
            let even = (3 * middle[x] + left[x] + biases[0]) >> SHIFT;
            let odd = (3 * middle[x] + right[x] + biases[1]) >> SHIFT;
            pairs[x] = [even as u8, odd as u8];
        }
    }
}

/// Three quarters of the nearer row and a quarter of the farther one.
struct Mix<'a> {
    near: &'a [u8],
    far: &'a [u8],
    bias: u16,
    line: &'a mut [u8],
}

impl pulp::NullaryFnOnce for Mix<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for ((value, &near), &far) in self.line.iter_mut().zip(self.near).zip(self.far) {
            *value = ((3 * u16::from(near) + u16::from(far) + self.bias) >> 2) as u8;
        }
    }
}
