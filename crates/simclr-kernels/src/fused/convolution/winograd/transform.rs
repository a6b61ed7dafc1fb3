//! The transforms, for as many channels at a time as a register holds.

use std::ops::Range;

use pulp::Simd;

use super::tiles::POSITIONS;
use crate::fused::convolution::input::Input;
use crate::simd::{Operands, load, pair_vectors, store};

/// One number of as many channels as fit.
pub(super) type Square<S, const N: usize> = [[<S as Simd>::f32s; N]; N];

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

/// The numbers of one vector rounded and paired with those of the other, at each position.
#[inline(always)]
pub(super) fn paired<S: Simd>(simd: S, first: Square<S, 4>, second: Square<S, 4>) -> Square<S, 4> {
    let mut pairs = first;
    for (pairs, second) in pairs.iter_mut().zip(&second) {
        for (pair, &second) in pairs.iter_mut().zip(second) {
            *pair = pair_vectors(simd, *pair, second);
        }
    }
    pairs
}

/// The channel in a place, or the first one of the pair in it: channels are paired with those of
/// the next vector, so that no number changes its place within one.
#[inline(always)]
pub(super) fn first_channel<S: Simd>(operands: Operands, place: usize) -> usize {
    match operands {
        Operands::Single => place,
        Operands::Pairs | Operands::Tiles(_) => place + place / S::F32_LANES * S::F32_LANES,
    }
}

/// Where [`inputs_of_tile`] writes: the first position's numbers, and the distance between
/// positions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    pub(super) first: usize,
    pub(super) stride: usize,
}

/// What is rounded and paired with the numbers of a tile.
#[derive(Debug, Clone, Copy)]
pub(super) enum Partner<'a> {
    /// Nothing: they stay as they are.
    Nobody,
    /// Those of other channels of the same tile, see [`first_channel`].
    Channels,
    /// Those of the same channels of another tile, which sees these pixels.
    Tile(&'a [Option<usize>; POSITIONS]),
}

/// Transforms some channels of what a tile sees, and writes them to their sixteen places.
#[inline(always)]
pub(super) fn inputs_of_tile<S: Simd>(
    simd: S,
    source: (Input<'_>, usize),
    pixels: &[Option<usize>; POSITIONS],
    partner: Partner<'_>,
    channels: Range<usize>,
    target: &mut [f32],
    places: Places,
) {
    let tile = Pixels::of(pixels);
    let next = match partner {
        Partner::Tile(pixels) => Pixels::of(pixels),
        Partner::Nobody | Partner::Channels => tile,
    };
    let are_inside = tile.inside == [true; POSITIONS] && next.inside == [true; POSITIONS];
    let inputs = TileInputs {
        source,
        tile,
        next,
        partner,
        channels,
        places,
    };
    // Most tiles lie inside of the map, and need not ask sixteen times.
    match (are_inside, source.0.affine.is_some()) {
        (true, false) => inputs.transform::<S, true, false>(simd, target),
        (true, true) => inputs.transform::<S, true, true>(simd, target),
        (false, false) => inputs.transform::<S, false, false>(simd, target),
        (false, true) => inputs.transform::<S, false, true>(simd, target),
    }
}

/// The pixels that a tile sees, and which of them lie inside of the map.
#[derive(Debug, Clone, Copy)]
struct Pixels {
    numbers: [usize; POSITIONS],
    inside: [bool; POSITIONS],
}

impl Pixels {
    #[inline(always)]
    fn of(pixels: &[Option<usize>; POSITIONS]) -> Self {
        Self {
            numbers: pixels.map(|pixel| pixel.unwrap_or(0)),
            inside: pixels.map(|pixel| pixel.is_some()),
        }
    }
}

/// What [`inputs_of_tile`] works on.
struct TileInputs<'a> {
    source: (Input<'a>, usize),
    tile: Pixels,
    next: Pixels,
    partner: Partner<'a>,
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
        let (Input { values, .. }, all_channels) = self.source;
        let of_pixel = |pixel: usize| &values[pixel * all_channels..][..all_channels];
        let (tile, next) = (
            self.tile.numbers.map(of_pixel),
            self.next.numbers.map(of_pixel),
        );
        let step = match self.partner {
            Partner::Channels => 2 * S::F32_LANES,
            Partner::Nobody | Partner::Tile(_) => S::F32_LANES,
        };
        for (index, channel) in self.channels.clone().step_by(step).enumerate() {
            let inside = &self.tile.inside;
            let mut v = self.at::<S, INSIDE, ACTIVATED>(simd, (&tile, inside), channel);
            match self.partner {
                Partner::Nobody => {}
                Partner::Channels => {
                    let channel = channel + S::F32_LANES;
                    let next = self.at::<S, INSIDE, ACTIVATED>(simd, (&tile, inside), channel);
                    v = paired(simd, v, next);
                }
                Partner::Tile(_) => {
                    let inside = &self.next.inside;
                    let next = self.at::<S, INSIDE, ACTIVATED>(simd, (&next, inside), channel);
                    v = paired(simd, v, next);
                }
            }
            for (position, &value) in v.as_flattened().iter().enumerate() {
                let at = self.places.first + position * self.places.stride;
                store::<S>(&mut target[at + index * S::F32_LANES..], value);
            }
        }
    }

    /// Some channels of the pixels that are inside, of no others.
    #[inline(always)]
    fn at<S: Simd, const INSIDE: bool, const ACTIVATED: bool>(
        &self,
        simd: S,
        (pixels, inside): (&[&[f32]; POSITIONS], &[bool; POSITIONS]),
        channel: usize,
    ) -> Square<S, 4> {
        let mut d = [[simd.splat_f32s(0.0); 4]; 4];
        for i in 0..POSITIONS {
            if INSIDE || inside[i] {
                d[i / 4][i % 4] = load::<S>(&pixels[i][channel..]);
            }
        }
        if ACTIVATED {
            let (scales, shifts) = self.source.0.affine.unwrap_or_default();
            let (scale, shift) = (load::<S>(&scales[channel..]), load::<S>(&shifts[channel..]));
            for i in 0..POSITIONS {
                if INSIDE || inside[i] {
                    let value = &mut d[i / 4][i % 4];
                    *value = scale_shift_relu(simd, *value, scale, shift);
                }
            }
        }
        input(simd, d)
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
