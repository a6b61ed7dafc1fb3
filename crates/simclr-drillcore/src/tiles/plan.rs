//! Which squares of a core become tiles.

use crate::outline::CoreOutline;

use super::settings::TileSettings;

/// A rest of a piece that is shorter than this share of a tile's side is left.
const REST: f64 = 0.02;

/// A square of the core.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct PlannedTile {
    /// Its top along the core's axis, from the core's top, in pixels of the photograph.
    pub top: f64,
    /// Its side.
    pub side: f64,
    /// Its share of core.
    pub core_fraction: f64,
    /// Whether it becomes a tile: not if there is too little core in it.
    pub kept: bool,
}

/// The squares of a core from the top: side by side (or overlapping) down each piece, the last
/// flush with its bottom. A piece that is shorter than a square has one in its middle.
pub fn plan_tiles(outline: &CoreOutline, settings: &TileSettings) -> Vec<PlannedTile> {
    let side = outline.width;
    let step = side * (1.0 - settings.overlap);
    let mut tops = Vec::new();
    for &(top, bottom) in &outline.pieces {
        let length = bottom - top;
        if length < side {
            let middle = (top + bottom - side) / 2.0;
            tops.push(middle.min(outline.length - side).max(0.0));
            continue;
        }
        let count = ((length - side) / step + 1e-6).floor() as usize + 1;
        tops.extend((0..count).map(|index| top + step * index as f64));
        if length - side - step * (count - 1) as f64 > REST * side {
            tops.push(bottom - side);
        }
    }
    let planned = |top: f64| {
        let core_fraction = outline.core_fraction(top, top + side);
        PlannedTile {
            top,
            side,
            core_fraction,
            kept: core_fraction >= settings.min_core_fraction,
        }
    };
    tops.into_iter().map(planned).collect()
}
