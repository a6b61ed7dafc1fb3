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
/// flush with its bottom. A piece that is shorter than a square has one in its middle. Of squares that
/// begin in the same pixel, as they do where less than one is between them, there is the first.
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
    // Tiles are named after the pixel that they begin in.
    tops.dedup_by_key(|top| top.round());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outline::Crop;

    fn tops(width: usize, height: usize, overlap: f64) -> Vec<f64> {
        let crop = Crop {
            left: 0,
            top: 0,
            width,
            height,
        };
        let outline = CoreOutline::of_crop_in(crop, (height, width)).unwrap();
        let tiles = plan_tiles(&outline, &TileSettings::default().with_overlap(overlap));
        tiles.iter().map(|tile| tile.top).collect()
    }

    #[test]
    fn no_two_tiles_begin_in_the_same_pixel() {
        for (width, height, overlap, count) in [
            // The last of steps of 8.5 pixels is half a pixel above the core's bottom.
            (17, 1726, 0.5, 202),
            // Steps of less than a pixel.
            (5, 100, 0.9, 96),
            (1, 40, 0.9, 40),
            (60, 600, 0.5, 19),
        ] {
            let tops = tops(width, height, overlap);
            assert_eq!(tops.len(), count, "{width} x {height}");
            assert!(
                tops.windows(2)
                    .all(|pair| pair[0].round() < pair[1].round())
            );
        }
    }

    #[test]
    fn short_pieces_at_the_top_have_one_tile() {
        let crop = Crop {
            left: 0,
            top: 0,
            width: 60,
            height: 600,
        };
        let mut outline = CoreOutline::of_crop_in(crop, (600, 60)).unwrap();
        outline.pieces = vec![(0.0, 4.0), (6.0, 20.0), (100.0, 160.0)];
        let tiles = plan_tiles(&outline, &TileSettings::default());
        let tops: Vec<f64> = tiles.iter().map(|tile| tile.top).collect();
        assert_eq!(tops, [0.0, 100.0]);
    }
}
