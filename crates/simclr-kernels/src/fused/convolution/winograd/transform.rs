//! The transforms, for as many channels at a time as a register holds.

use std::ops::Range;

use pulp::Simd;

use super::six;
use super::tiles::Window;
use crate::fused::convolution::input::Input;
use crate::simd::{Numbers, Operands, Pairs, Vectors, load, pair_vectors, store_strided};

/// One number of as many channels as fit.
pub(super) type Square<S, const N: usize> = [[<S as Simd>::f32s; N]; N];

/// The transforms of tiles of `T` x `T` outputs, with `M` x `M` products.
pub(super) trait Transforms<const M: usize, const T: usize> {
    /// `Bᵀ d B`.
    fn input<S: Simd>(simd: S, d: Square<S, M>) -> Square<S, M>;
    /// `G g Gᵀ`.
    fn kernel<S: Simd>(simd: S, g: Square<S, 3>) -> Square<S, M>;
    /// `Aᵀ m A`.
    fn output<S: Simd>(simd: S, m: Square<S, M>) -> Square<S, T>;
    /// `A dy Aᵀ`: the transpose of [`output`](Self::output).
    fn output_gradient<S: Simd>(simd: S, dy: Square<S, T>) -> Square<S, M>;
    /// `Gᵀ du G`: the transpose of [`kernel`](Self::kernel).
    fn kernel_gradient<S: Simd>(simd: S, du: Square<S, M>) -> Square<S, 3>;
}

/// Those that there are.
pub(super) struct Minimal;

impl Transforms<4, 2> for Minimal {
    #[inline(always)]
    fn input<S: Simd>(simd: S, d: Square<S, 4>) -> Square<S, 4> {
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

    #[inline(always)]
    fn output<S: Simd>(simd: S, m: Square<S, 4>) -> Square<S, 2> {
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

    #[inline(always)]
    fn output_gradient<S: Simd>(simd: S, dy: Square<S, 2>) -> Square<S, 4> {
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

    #[inline(always)]
    fn kernel<S: Simd>(simd: S, g: Square<S, 3>) -> Square<S, 4> {
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

    #[inline(always)]
    fn kernel_gradient<S: Simd>(simd: S, du: Square<S, 4>) -> Square<S, 3> {
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
}

/// A linear map of rows, applied to rows and columns.
macro_rules! both_ways {
    ($simd:ident, $square:ident, $line:path, $from:literal to $to:literal) => {{
        let zero = $simd.splat_f32s(0.0);
        let mut rows = [[zero; $to]; $from];
        for (row, line) in rows.iter_mut().zip($square) {
            *row = $line($simd, line);
        }
        let mut result = [[zero; $to]; $to];
        for column in 0..$to {
            let mut line = [zero; $from];
            for (value, row) in line.iter_mut().zip(&rows) {
                *value = row[column];
            }
            for (row, value) in result.iter_mut().zip($line($simd, line)) {
                row[column] = value;
            }
        }
        result
    }};
}

impl Transforms<6, 4> for Minimal {
    #[inline(always)]
    fn input<S: Simd>(simd: S, d: Square<S, 6>) -> Square<S, 6> {
        both_ways!(simd, d, six::input, 6 to 6)
    }

    #[inline(always)]
    fn kernel<S: Simd>(simd: S, g: Square<S, 3>) -> Square<S, 6> {
        both_ways!(simd, g, six::kernel, 3 to 6)
    }

    #[inline(always)]
    fn output<S: Simd>(simd: S, m: Square<S, 6>) -> Square<S, 4> {
        both_ways!(simd, m, six::output, 6 to 4)
    }

    #[inline(always)]
    fn output_gradient<S: Simd>(simd: S, dy: Square<S, 4>) -> Square<S, 6> {
        both_ways!(simd, dy, six::output_gradient, 4 to 6)
    }

    #[inline(always)]
    fn kernel_gradient<S: Simd>(simd: S, du: Square<S, 6>) -> Square<S, 3> {
        both_ways!(simd, du, six::kernel_gradient, 6 to 3)
    }
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
pub(super) fn paired<S: Simd, const M: usize>(
    simd: S,
    first: Square<S, M>,
    second: Square<S, M>,
) -> Square<S, M> {
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
        Operands::Single | Operands::SplitTiles(..) => place,
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
pub(super) enum Partner<'a, const M: usize> {
    /// Nothing: they stay as they are.
    Nobody,
    /// Those of other channels of the same tile, see [`first_channel`].
    Channels,
    /// Those of the same channels of another tile, which sees these pixels.
    Tile(&'a Window<M>),
}

/// Transforms some channels of what a tile sees, and writes them to their places.
#[inline(always)]
pub(super) fn inputs_of_tile<S: Simd, const M: usize, const T: usize>(
    simd: S,
    source: (Input<'_>, usize),
    window: &Window<M>,
    partner: Partner<'_, M>,
    channels: Range<usize>,
    target: &mut [f32],
    places: Places,
) where
    Minimal: Transforms<M, T>,
{
    let next = match partner {
        Partner::Tile(window) => window,
        Partner::Nobody | Partner::Channels => window,
    };
    let inputs = TileInputs {
        source,
        is_paired: !matches!(partner, Partner::Nobody),
        // Where the vector of a pair's other half begins.
        next: match partner {
            Partner::Channels => S::F32_LANES,
            Partner::Nobody | Partner::Tile(_) => 0,
        },
        channels,
        places,
    };
    match source.0.values {
        Numbers::Single(numbers) => {
            inputs.transform_windows::<S, _, M, T>(simd, numbers, [window, next], target);
        }
        Numbers::Pairs(pairs) => {
            inputs.transform_windows::<S, _, M, T>(simd, Pairs(pairs), [window, next], target);
        }
    }
}

/// What [`inputs_of_tile`] works on.
struct TileInputs<'a> {
    source: (Input<'a>, usize),
    is_paired: bool,
    next: usize,
    channels: Range<usize>,
    places: Places,
}

impl TileInputs<'_> {
    #[inline(always)]
    fn transform_windows<S: Simd, V: Vectors, const M: usize, const T: usize>(
        &self,
        simd: S,
        numbers: V,
        [window, next]: [&Window<M>; 2],
        target: &mut [f32],
    ) where
        Minimal: Transforms<M, T>,
    {
        // Most tiles lie inside of the map, and need not ask at each pixel.
        match (window.inside(), next.inside()) {
            (Some(window), Some(next)) => {
                self.transform::<S, V, _, M, T>(simd, numbers, [&window, &next], target);
            }
            _ => self.transform::<S, V, _, M, T>(simd, numbers, [window, next], target),
        }
    }

    #[inline(always)]
    fn transform<S: Simd, V: Vectors, P: Pixels<M>, const M: usize, const T: usize>(
        &self,
        simd: S,
        numbers: V,
        [tile, next]: [&P; 2],
        target: &mut [f32],
    ) where
        Minimal: Transforms<M, T>,
    {
        let step = S::F32_LANES + self.next;
        for (index, channel) in self.channels.clone().step_by(step).enumerate() {
            let mut v = Minimal::input(simd, tile.load(simd, numbers, self.source, channel));
            if self.is_paired {
                let next = next.load(simd, numbers, self.source, channel + self.next);
                v = paired(simd, v, Minimal::input(simd, next));
            }
            let first = self.places.first + index * S::F32_LANES;
            store_strided::<S>(target, first, self.places.stride, v.as_flattened());
        }
    }
}

/// Pixels that a tile sees.
trait Pixels<const M: usize> {
    /// Some channels of each, through the affine map and ReLU if there are; zeros outside of the
    /// map.
    fn load<S: Simd, V: Vectors>(
        &self,
        simd: S,
        numbers: V,
        source: (Input<'_>, usize),
        channel: usize,
    ) -> Square<S, M>;
}

/// The first pixels of rows that lie inside.
impl<const M: usize> Pixels<M> for [usize; M] {
    #[inline(always)]
    fn load<S: Simd, V: Vectors>(
        &self,
        simd: S,
        numbers: V,
        (input, channels): (Input<'_>, usize),
        channel: usize,
    ) -> Square<S, M> {
        let mut d = [[simd.splat_f32s(0.0); M]; M];
        for (line, first) in d.iter_mut().zip(self) {
            *line = numbers.vectors::<S, M>(first * channels + channel, channels);
        }
        if let Some((scales, shifts)) = input.affine {
            let (scale, shift) = (load::<S>(&scales[channel..]), load::<S>(&shifts[channel..]));
            for value in d.as_flattened_mut() {
                *value = scale_shift_relu(simd, *value, scale, shift);
            }
        }
        d
    }
}

impl<const M: usize> Pixels<M> for Window<M> {
    #[inline(always)]
    fn load<S: Simd, V: Vectors>(
        &self,
        simd: S,
        numbers: V,
        (input, channels): (Input<'_>, usize),
        channel: usize,
    ) -> Square<S, M> {
        let mut d = [[simd.splat_f32s(0.0); M]; M];
        for (row, line) in d.iter_mut().enumerate() {
            for (column, value) in line.iter_mut().enumerate() {
                if let Some(pixel) = self.pixel(row, column) {
                    *value = numbers.vector::<S>(pixel * channels + channel);
                    if let Some((scales, shifts)) = input.affine {
                        let scale = load::<S>(&scales[channel..]);
                        let shift = load::<S>(&shifts[channel..]);
                        *value = scale_shift_relu(simd, *value, scale, shift);
                    }
                }
            }
        }
        d
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
    fn check_convolution<const M: usize, const T: usize>()
    where
        Minimal: Transforms<M, T>,
    {
        let (d, g) = (square::<M>(1), square::<3>(100));
        let (v, u) = (Minimal::input(Scalar, d), Minimal::kernel(Scalar, g));
        let m = std::array::from_fn(|i| std::array::from_fn(|j| v[i][j] * u[i][j]));
        let y: [[f32; T]; T] = Minimal::output(Scalar, m);
        for i in 0..T {
            for j in 0..T {
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

    #[test]
    fn it_is_a_convolution() {
        check_convolution::<4, 2>();
        check_convolution::<6, 4>();
    }

    fn inner<const N: usize>(a: [[f32; N]; N], b: [[f32; N]; N]) -> f32 {
        let pairs = a.iter().flatten().zip(b.iter().flatten());
        pairs.map(|(a, b)| a * b).sum()
    }

    /// `<f(a), b> = <a, fᵀ(b)>`.
    fn check_transposes<const M: usize, const T: usize>()
    where
        Minimal: Transforms<M, T>,
    {
        let (products, results, kernel) = (square::<M>(7), square::<T>(50), square::<3>(90));
        let outputs = inner(Minimal::output(Scalar, products), results)
            - inner(products, Minimal::output_gradient(Scalar, results));
        let kernels = inner(Minimal::kernel(Scalar, kernel), products)
            - inner(kernel, Minimal::kernel_gradient(Scalar, products));
        assert!(
            outputs.abs() < 1e-5 && kernels.abs() < 1e-5,
            "{outputs} {kernels}"
        );
    }

    #[test]
    fn gradients_are_the_transposes() {
        check_transposes::<4, 2>();
        check_transposes::<6, 4>();
    }
}
