//! The transforms of F(4x4, 3x3), of one row or column.
//!
//! A tile is a polynomial that is evaluated at 0, ±5/8, ±3/2 and infinity (Toom and Cook). With the
//! usual ±1 and ±2 rounding errors are larger, since the powers of 2 are.

use pulp::Simd;

/// The points that are not 0 or infinity, and their powers.
const A: f32 = 0.625;
const B: f32 = 1.5;
const A2: f32 = A * A;
const B2: f32 = B * B;
const A3: f32 = A2 * A;
const B3: f32 = B2 * B;
/// The coefficients of `(x² - A²)(x² - B²) = x⁴ - SUM x² + PRODUCT`.
const SUM: f32 = A2 + B2;
const PRODUCT: f32 = A2 * B2;
/// The inverse products of the distances of 0, ±A and ±B from the other points.
const AT_0: f32 = 1.0 / PRODUCT;
const AT_A: f32 = 1.0 / (2.0 * A2 * (A2 - B2));
const AT_B: f32 = 1.0 / (2.0 * B2 * (B2 - A2));

/// `x y + z`.
#[inline(always)]
fn add_product<S: Simd>(simd: S, x: f32, y: S::f32s, z: S::f32s) -> S::f32s {
    simd.mul_add_e_f32s(simd.splat_f32s(x), y, z)
}

#[inline(always)]
fn product<S: Simd>(simd: S, x: f32, y: S::f32s) -> S::f32s {
    simd.mul_f32s(simd.splat_f32s(x), y)
}

/// `PRODUCT x - SUM y + z`.
#[inline(always)]
fn end<S: Simd>(simd: S, [x, y, z]: [S::f32s; 3]) -> S::f32s {
    add_product(simd, PRODUCT, x, add_product(simd, -SUM, y, z))
}

/// `Bᵀ d`.
#[inline(always)]
pub(super) fn input<S: Simd>(simd: S, d: [S::f32s; 6]) -> [S::f32s; 6] {
    let (even_a, even_b) = (
        add_product(simd, -B2, d[2], d[4]),
        add_product(simd, -A2, d[2], d[4]),
    );
    let (odd_a, odd_b) = (
        product(simd, A, add_product(simd, -B2, d[1], d[3])),
        product(simd, B, add_product(simd, -A2, d[1], d[3])),
    );
    [
        end(simd, [d[0], d[2], d[4]]),
        simd.add_f32s(even_a, odd_a),
        simd.sub_f32s(even_a, odd_a),
        simd.add_f32s(even_b, odd_b),
        simd.sub_f32s(even_b, odd_b),
        end(simd, [d[1], d[3], d[5]]),
    ]
}

/// `G g`.
#[inline(always)]
pub(super) fn kernel<S: Simd>(simd: S, g: [S::f32s; 3]) -> [S::f32s; 6] {
    let (even_a, even_b) = (
        product(simd, AT_A, add_product(simd, A2, g[2], g[0])),
        product(simd, AT_B, add_product(simd, B2, g[2], g[0])),
    );
    let (odd_a, odd_b) = (product(simd, AT_A * A, g[1]), product(simd, AT_B * B, g[1]));
    [
        product(simd, AT_0, g[0]),
        simd.add_f32s(even_a, odd_a),
        simd.sub_f32s(even_a, odd_a),
        simd.add_f32s(even_b, odd_b),
        simd.sub_f32s(even_b, odd_b),
        g[2],
    ]
}

/// `Aᵀ m`.
#[inline(always)]
pub(super) fn output<S: Simd>(simd: S, m: [S::f32s; 6]) -> [S::f32s; 4] {
    let (even_a, odd_a) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
    let (even_b, odd_b) = (simd.add_f32s(m[3], m[4]), simd.sub_f32s(m[3], m[4]));
    [
        simd.add_f32s(m[0], simd.add_f32s(even_a, even_b)),
        add_product(simd, A, odd_a, product(simd, B, odd_b)),
        add_product(simd, A2, even_a, product(simd, B2, even_b)),
        add_product(simd, A3, odd_a, add_product(simd, B3, odd_b, m[5])),
    ]
}

/// `A dy`: the transpose of [`output`].
#[inline(always)]
pub(super) fn output_gradient<S: Simd>(simd: S, dy: [S::f32s; 4]) -> [S::f32s; 6] {
    let (even_a, even_b) = (
        add_product(simd, A2, dy[2], dy[0]),
        add_product(simd, B2, dy[2], dy[0]),
    );
    let (odd_a, odd_b) = (
        add_product(simd, A, dy[1], product(simd, A3, dy[3])),
        add_product(simd, B, dy[1], product(simd, B3, dy[3])),
    );
    [
        dy[0],
        simd.add_f32s(even_a, odd_a),
        simd.sub_f32s(even_a, odd_a),
        simd.add_f32s(even_b, odd_b),
        simd.sub_f32s(even_b, odd_b),
        dy[3],
    ]
}

/// `Gᵀ du`: the transpose of [`kernel`].
#[inline(always)]
pub(super) fn kernel_gradient<S: Simd>(simd: S, du: [S::f32s; 6]) -> [S::f32s; 3] {
    let (even_a, odd_a) = (simd.add_f32s(du[1], du[2]), simd.sub_f32s(du[1], du[2]));
    let (even_b, odd_b) = (simd.add_f32s(du[3], du[4]), simd.sub_f32s(du[3], du[4]));
    let (even_a, even_b) = (product(simd, AT_A, even_a), product(simd, AT_B, even_b));
    [
        add_product(simd, AT_0, du[0], simd.add_f32s(even_a, even_b)),
        add_product(simd, AT_A * A, odd_a, product(simd, AT_B * B, odd_b)),
        add_product(simd, A2, even_a, add_product(simd, B2, even_b, du[5])),
    ]
}
