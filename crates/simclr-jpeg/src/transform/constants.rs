//! The constants of the transform.

/// The scale factors of the algorithm per row or column.
pub(super) const SCALES: [f64; 8] = [
    1.0,
    1.387_039_845,
    1.306_562_965,
    1.175_875_602,
    1.0,
    0.785_694_958,
    0.541_196_100,
    0.275_899_379,
];

/// sqrt(2), and the other constants of the algorithm, times 256. The last one, 2.613,
/// is 1 too large for the vector code's products; the 1 is subtracted apart.
pub(super) const C1_414: i16 = 362;
pub(super) const C1_847: i16 = 473;
pub(super) const C1_082: i16 = 277;
pub(super) const C1_613: i16 = 413;
