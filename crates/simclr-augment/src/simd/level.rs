//! The steps that each level of vector instructions has in a form of its own.

/// Values that [`Level::resample`] makes at a time.
pub(crate) const GROUP: usize = 8;
/// Taps of a value.
pub(crate) const TAPS: usize = 4;
/// Values behind the last one of a row that must be readable.
pub(crate) const MARGIN: usize = 32;

/// A group of output columns: the source columns they are computed from.
pub(crate) struct ColumnGroup {
    /// The leftmost source column.
    pub(crate) first: usize,
    /// How many columns from the first on are needed.
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    pub(crate) reach: usize,
    /// Per tap and output column: the source column, counted from the first.
    pub(crate) offsets: [[i32; GROUP]; TAPS],
    /// What each weighs.
    pub(crate) weights: [[f32; GROUP]; TAPS],
}

/// A level of vector instructions. Every level gives the same bits.
pub(crate) trait Level: Copy {
    /// The first `COUNT` (2 or 4) taps of a group of columns, weighted and summed in
    /// pairs. The row has [`MARGIN`] values behind the group's last source column.
    fn resample<const COUNT: usize>(
        self,
        row: &[f32],
        group: &ColumnGroup,
        output: &mut [f32; GROUP],
    );

    /// Bytes of pixels to numbers, a plane for each of the three channels.
    fn split_bytes(self, pixels: &[[u8; 3]], planes: [&mut [f32]; 3]);
}
