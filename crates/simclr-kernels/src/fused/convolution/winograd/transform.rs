//! The transforms, for as many channels at a time as a register holds.

use pulp::Simd;

use crate::fused::convolution::Input;
use crate::simd::load;

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

/// Numbers of a convolution's input, which belong to the channels from `channel` on.
#[inline(always)]
pub(super) fn load_input<S: Simd>(simd: S, x: Input<'_>, at: usize, channel: usize) -> S::f32s {
    let value = load::<S>(&x.values[at..]);
    let Some((scale, shift)) = x.rectified else {
        return value;
    };
    let (scale, shift) = (load::<S>(&scale[channel..]), load::<S>(&shift[channel..]));
    let y = simd.add_f32s(simd.mul_f32s(value, scale), shift);
    // What is not a number stays so.
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
