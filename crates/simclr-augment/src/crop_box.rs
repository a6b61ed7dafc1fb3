use std::fmt;

use serde::{Deserialize, Serialize};

/// A rectangle of pixels inside an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CropBox {
    /// First row.
    pub y: usize,
    /// First column.
    pub x: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl CropBox {
    /// The whole of an image.
    pub fn whole(height: usize, width: usize) -> Self {
        Self {
            y: 0,
            x: 0,
            height,
            width,
        }
    }

    /// Whether the box has pixels and lies inside an image of this size.
    pub(crate) fn is_inside(&self, height: usize, width: usize) -> bool {
        let fits = |start: usize, length: usize, side: usize| {
            length > 0 && start.checked_add(length).is_some_and(|end| end <= side)
        };
        fits(self.y, self.height, height) && fits(self.x, self.width, width)
    }
}

impl fmt::Display for CropBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (height, width) = (self.height, self.width);
        write!(f, "{height} x {width} at row {}, column {}", self.y, self.x)
    }
}
