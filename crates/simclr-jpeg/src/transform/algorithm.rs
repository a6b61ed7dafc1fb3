//! The one-dimensional transform, for any kind of vector.

/// The operations of a kind of vectors of 16-bit numbers, which wrap.
pub(super) trait Operations: Copy {
    /// Numbers that take the same steps side by side: a row of one or more blocks.
    type Row: Copy;
    fn add(self, a: Self::Row, b: Self::Row) -> Self::Row;
    fn sub(self, a: Self::Row, b: Self::Row) -> Self::Row;
    /// `value * constant / 256`, rounded down; values beyond 14 bits wrap.
    fn times(self, value: Self::Row, constant: i16) -> Self::Row;
}

/// sqrt(2), and the other constants of the algorithm, times 256. The last one, 2.613,
/// is 1 too large for the vector code's products; the 1 is subtracted apart.
const C1_414: i16 = 362;
const C1_847: i16 = 473;
const C1_082: i16 = 277;
const C1_613: i16 = 413;

/// 1-dimensional transforms down the columns of eight rows.
#[inline(always)]
pub(super) fn transform<O: Operations>(o: O, rows: [O::Row; 8]) -> [O::Row; 8] {
    let (sum, difference) = (o.add(rows[0], rows[4]), o.sub(rows[0], rows[4]));
    let outer = o.add(rows[2], rows[6]);
    let inner = o.sub(o.times(o.sub(rows[2], rows[6]), C1_414), outer);
    let (even0, even3) = (o.add(sum, outer), o.sub(sum, outer));
    let (even1, even2) = (o.add(difference, inner), o.sub(difference, inner));
    let (z13, z10) = (o.add(rows[5], rows[3]), o.sub(rows[5], rows[3]));
    let (z11, z12) = (o.add(rows[1], rows[7]), o.sub(rows[1], rows[7]));
    let odd7 = o.add(z11, z13);
    let z5 = o.times(o.add(z10, z12), C1_847);
    let odd6 = o.sub(o.add(o.sub(o.times(z10, -C1_613), z10), z5), odd7);
    let odd5 = o.sub(o.times(o.sub(z11, z13), C1_414), odd6);
    let odd4 = o.add(o.sub(o.times(z12, C1_082), z5), odd5);
    [
        o.add(even0, odd7),
        o.add(even1, odd6),
        o.add(even2, odd5),
        o.sub(even3, odd4),
        o.add(even3, odd4),
        o.sub(even2, odd5),
        o.sub(even1, odd6),
        o.sub(even0, odd7),
    ]
}
