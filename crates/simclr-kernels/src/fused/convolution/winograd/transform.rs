//! The transforms, for as many channels at a time as a register holds.

use std::ops::Range;

use pulp::Simd;

use super::tiles::POSITIONS;
use crate::fused::convolution::input::Input;
use crate::simd::{load, store};

/// One number of as many channels as fit.
type Square<S, const N: usize> = [[<S as Simd>::f32s; N]; N];

/// `Bᵀ d B`.
#[inline(always)]
pub(super) fn input<S: Simd>(simd: S, d: Square<S, 4>) -> Square<S, 4> {
    #[inline(always)]
    fn line<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 4] {
        [
            simd.sub_f32s(a, c),
            simd.add_f32s(b, c),
            simd.sub_f32s(c, b),
            simd.sub_f32s(b, d),
        ]
    }
    let [a, b, c, d] = d;
    let rows = [line(simd, a), line(simd, b), line(simd, c), line(simd, d)];
    let [a, b, c, d] = transposed::<S>(rows);
    transposed::<S>([line(simd, a), line(simd, b), line(simd, c), line(simd, d)])
}

/// `Aᵀ m A`.
#[inline(always)]
pub(super) fn output<S: Simd>(simd: S, m: Square<S, 4>) -> Square<S, 2> {
    #[inline(always)]
    fn line<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 2] {
        [
            simd.add_f32s(simd.add_f32s(a, b), c),
            simd.sub_f32s(simd.sub_f32s(b, c), d),
        ]
    }
    let [a, b, c, d] = m;
    let [a, b, c, d] = [line(simd, a), line(simd, b), line(simd, c), line(simd, d)];
    let left = line(simd, [a[0], b[0], c[0], d[0]]);
    let right = line(simd, [a[1], b[1], c[1], d[1]]);
    [[left[0], right[0]], [left[1], right[1]]]
}

/// `A dy Aᵀ`: the transpose of [`output`].
#[inline(always)]
pub(super) fn output_gradient<S: Simd>(simd: S, dy: Square<S, 2>) -> Square<S, 4> {
    #[inline(always)]
    fn line<S: Simd>(simd: S, [a, b]: [S::f32s; 2]) -> [S::f32s; 4] {
        let zero = simd.splat_f32s(0.0);
        [
            a,
            simd.add_f32s(a, b),
            simd.sub_f32s(a, b),
            simd.sub_f32s(zero, b),
        ]
    }
    let [a, b] = dy;
    let [a, b] = [line(simd, a), line(simd, b)];
    transposed::<S>([
        line(simd, [a[0], b[0]]),
        line(simd, [a[1], b[1]]),
        line(simd, [a[2], b[2]]),
        line(simd, [a[3], b[3]]),
    ])
}

/// `G g Gᵀ`.
#[inline(always)]
pub(super) fn kernel<S: Simd>(simd: S, g: Square<S, 3>) -> Square<S, 4> {
    #[inline(always)]
    fn line<S: Simd>(simd: S, [a, b, c]: [S::f32s; 3]) -> [S::f32s; 4] {
        let half = simd.splat_f32s(0.5);
        let ends = simd.add_f32s(a, c);
        [
            a,
            simd.mul_f32s(half, simd.add_f32s(ends, b)),
            simd.mul_f32s(half, simd.sub_f32s(ends, b)),
            c,
        ]
    }
    let [a, b, c] = g;
    let [a, b, c] = [line(simd, a), line(simd, b), line(simd, c)];
    transposed::<S>([
        line(simd, [a[0], b[0], c[0]]),
        line(simd, [a[1], b[1], c[1]]),
        line(simd, [a[2], b[2], c[2]]),
        line(simd, [a[3], b[3], c[3]]),
    ])
}

/// `Gᵀ du G`: the transpose of [`kernel`].
#[inline(always)]
pub(super) fn kernel_gradient<S: Simd>(simd: S, du: Square<S, 4>) -> Square<S, 3> {
    #[inline(always)]
    fn line<S: Simd>(simd: S, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 3] {
        let half = simd.splat_f32s(0.5);
        let sum = simd.mul_f32s(half, simd.add_f32s(b, c));
        let difference = simd.mul_f32s(half, simd.sub_f32s(b, c));
        [simd.add_f32s(a, sum), difference, simd.add_f32s(sum, d)]
    }
    let [a, b, c, d] = du;
    let [a, b, c, d] = [line(simd, a), line(simd, b), line(simd, c), line(simd, d)];
    let columns = [
        line(simd, [a[0], b[0], c[0], d[0]]),
        line(simd, [a[1], b[1], c[1], d[1]]),
        line(simd, [a[2], b[2], c[2], d[2]]),
    ];
    let [x, y, z] = columns;
    [[x[0], y[0], z[0]], [x[1], y[1], z[1]], [x[2], y[2], z[2]]]
}

#[inline(always)]
fn transposed<S: Simd>([a, b, c, d]: Square<S, 4>) -> Square<S, 4> {
    [
        [a[0], b[0], c[0], d[0]],
        [a[1], b[1], c[1], d[1]],
        [a[2], b[2], c[2], d[2]],
        [a[3], b[3], c[3], d[3]],
    ]
}

/// Where [`inputs_of_tile`] writes: the first position's numbers, and the distance between
/// positions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    pub(super) first: usize,
    pub(super) stride: usize,
}

/// Transforms some channels of what a tile sees, and writes them to their sixteen places.
#[inline(always)]
pub(super) fn inputs_of_tile<S: Simd>(
    simd: S,
    source: (Input<'_>, usize),
    pixels: &[Option<usize>; 16],
    channels: Range<usize>,
    target: &mut [f32],
    places: Places,
) {
    let tile = TileInputs {
        source,
        pixels: pixels.map(|pixel| pixel.unwrap_or(0)),
        inside: pixels.map(|pixel| pixel.is_some()),
        channels,
        places,
    };
    // Most tiles lie inside of the map, and need not ask sixteen times.
    match (tile.inside == [true; 16], source.0.affine.is_some()) {
        (true, false) => tile.transform::<S, true, false>(simd, target),
        (true, true) => tile.transform::<S, true, true>(simd, target),
        (false, false) => tile.transform::<S, false, false>(simd, target),
        (false, true) => tile.transform::<S, false, true>(simd, target),
    }
}

/// What [`inputs_of_tile`] works on.
struct TileInputs<'a> {
    source: (Input<'a>, usize),
    pixels: [usize; 16],
    inside: [bool; 16],
    channels: Range<usize>,
    places: Places,
}

impl TileInputs<'_> {
    #[inline(always)]
    fn transform<S: Simd, const INSIDE: bool, const ACTIVATED: bool>(
        &self,
        simd: S,
        target: &mut [f32],
    ) {
        let (Input { values, affine }, all_channels) = self.source;
        let (scales, shifts) = affine.unwrap_or_default();
        let rows = self
            .pixels
            .map(|pixel| &values[pixel * all_channels..][..all_channels]);
        let channels = self.channels.clone();
        for (index, channel) in channels.step_by(S::F32_LANES).enumerate() {
            let mut d = [[simd.splat_f32s(0.0); 4]; 4];
            for i in 0..POSITIONS {
                if INSIDE || self.inside[i] {
                    d[i / 4][i % 4] = load::<S>(&rows[i][channel..]);
                }
            }
            if ACTIVATED {
                let scale = load::<S>(&scales[channel..]);
                let shift = load::<S>(&shifts[channel..]);
                for i in 0..POSITIONS {
                    if INSIDE || self.inside[i] {
                        let value = &mut d[i / 4][i % 4];
                        *value = scale_shift_relu(simd, *value, scale, shift);
                    }
                }
            }
            let v = input(simd, d);
            for i in 0..POSITIONS {
                let at = self.places.first + i * self.places.stride + index * S::F32_LANES;
                store::<S>(&mut target[at..], v[i / 4][i % 4]);
            }
        }
    }
}

/// `max(x scale + shift, 0)`; propagates NaN.
#[inline(always)]
fn scale_shift_relu<S: Simd>(simd: S, x: S::f32s, scale: S::f32s, shift: S::f32s) -> S::f32s {
    let y = simd.add_f32s(simd.mul_f32s(x, scale), shift);
    let zero = simd.splat_f32s(0.0);
    simd.select_f32s(simd.less_than_f32s(y, zero), zero, y)
}

#[cfg(test)]
mod tests {
    use pulp::Scalar;

    use super::*;

    fn square<const N: usize>(seed: usize) -> [[f32; N]; N] {
        let value = |k: usize| ((k * 2_654_435_761) % 1000) as f32 / 500.0 - 1.0;
        std::array::from_fn(|i| std::array::from_fn(|j| value(seed + N * i + j)))
    }

    /// One channel: the transforms against the sum that they stand for.
    #[test]
    fn it_is_a_convolution() {
        let (d, g) = (square::<4>(1), square::<3>(100));
        let (v, u) = (input(Scalar, d), kernel(Scalar, g));
        let m = std::array::from_fn(|i| std::array::from_fn(|j| v[i][j] * u[i][j]));
        let y = output(Scalar, m);
        for i in 0..2 {
            for j in 0..2 {
                let mut sum = 0.0;
                for a in 0..3 {
                    for b in 0..3 {
                        sum += d[i + a][j + b] * g[a][b];
                    }
                }
                assert!((y[i][j] - sum).abs() < 1e-5, "{} against {sum}", y[i][j]);
            }
        }
    }

    fn inner<const N: usize>(a: [[f32; N]; N], b: [[f32; N]; N]) -> f32 {
        let pairs = a.iter().flatten().zip(b.iter().flatten());
        pairs.map(|(a, b)| a * b).sum()
    }

    /// `<f(a), b> = <a, fᵀ(b)>`.
    #[test]
    fn gradients_are_the_transposes() {
        let (four, two, three) = (square::<4>(7), square::<2>(50), square::<3>(90));
        let outputs = inner(output(Scalar, four), two) - inner(four, output_gradient(Scalar, two));
        let kernels =
            inner(kernel(Scalar, three), four) - inner(three, kernel_gradient(Scalar, four));
        assert!(
            outputs.abs() < 1e-5 && kernels.abs() < 1e-5,
            "{outputs} {kernels}"
        );
    }
}
