//! The samples of one component.

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
