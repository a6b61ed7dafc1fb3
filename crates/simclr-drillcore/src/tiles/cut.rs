//! Cutting one section.

use std::ops::Range;

use image::RgbImage;
use image::imageops::{self, FilterType};
use rayon::prelude::*;
use simclr_augment::DecodedImage;

use super::plan::{PlannedTile, plan_tiles};
use super::settings::TileSettings;
use crate::error::{Error, Result};
use crate::outline::CoreOutline;

/// A core that is turned by less, in degrees, is cut along the pixels.
const UPRIGHT: f64 = 0.05;

/// A section that was cut.
#[derive(Debug)]
#[non_exhaustive]
pub struct CutSection {
    /// Where the core is.
    pub outline: CoreOutline,
    /// All squares of the core from the top.
    pub planned: Vec<PlannedTile>,
    /// The tiles, one for each square that is kept.
    pub tiles: Vec<RgbImage>,
}

/// Finds the core of a section, unless the settings say where it is, and cuts it into tiles.
///
/// ```
/// use simclr_augment::DecodedImage;
/// use simclr_drillcore::{TileSettings, cut_section};
///
/// // A core with beds, 60 pixels wide and 600 long, on a dark tray.
/// let (height, width) = (640, 120);
/// let pixels = (0..height * width).flat_map(|index| {
///     let (row, column) = (index / width, index % width);
///     let grain = (row * 37 + column * 101) % 23;
///     let in_core = (20..620).contains(&row) && (30..90).contains(&column);
///     let value = if in_core { 90 + 70 * (row / 25 % 2) + grain } else { 25 + grain / 5 };
///     [value as u8; 3]
/// });
/// let photograph = DecodedImage::new(height, width, pixels.collect())?;
///
/// let section = cut_section("403-U1618A-1H-2-A", &photograph, &TileSettings::default())?;
/// println!("{} tiles of a core {:.0} pixels wide", section.tiles.len(), section.outline.width);
/// assert_eq!(section.tiles.len(), 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::NoCore`]; [`Error::Setting`] if a setting is out of range.
pub fn cut_section(
    name: &str,
    photograph: &DecodedImage,
    settings: &TileSettings,
) -> Result<CutSection> {
    settings.validate()?;
    let outline = match settings.crop {
        Some(crop) => CoreOutline::of_crop(crop, photograph)?,
        None => CoreOutline::find(name, photograph)?,
    };
    let planned = plan_tiles(&outline, settings);
    let kept: Vec<&PlannedTile> = planned.iter().filter(|tile| tile.kept).collect();
    let rows = Rows {
        height: photograph.height(),
        width: photograph.width(),
        first: 0,
        pixels: photograph.data(),
    };
    let tiles = kept
        .par_iter()
        .map(|tile| cut(&rows, &outline, tile, settings.side));
    let tiles = tiles.collect::<Option<Vec<_>>>();
    Ok(CutSection {
        tiles: tiles.ok_or_else(|| Error::picture(name, "a tile has no pixels"))?,
        outline,
        planned,
    })
}

/// Some rows of a photograph, or all.
pub(super) struct Rows<'a> {
    /// Rows and columns of the photograph.
    pub(super) height: usize,
    pub(super) width: usize,
    /// The first row that is there.
    pub(super) first: usize,
    pub(super) pixels: &'a [u8],
}

impl Rows<'_> {
    fn row(&self, row: usize) -> &[u8] {
        &self.pixels[(row - self.first) * self.width * 3..][..self.width * 3]
    }
}

/// Pixels along a tile's side before it is made smaller.
fn native_side(tile: &PlannedTile) -> usize {
    (tile.side.round() as usize).max(1)
}

/// Where a tile that is cut along the pixels begins.
fn start(value: f64, native: usize, size: usize) -> usize {
    (value.round().max(0.0) as usize).min(size.saturating_sub(native))
}

/// The rows of a photograph of this height that [`cut`] reads.
pub(super) fn rows_of(outline: &CoreOutline, tile: &PlannedTile, height: usize) -> Range<usize> {
    let half = tile.side / 2.0;
    if outline.tilt.abs() < UPRIGHT {
        let native = native_side(tile);
        let top = start(outline.locate(-half, tile.top).1, native, height);
        return top..(top + native).min(height);
    }
    // The pixels' centres lie within the corners; half a pixel and rounding are less than two rows.
    let corners = [
        (-half, 0.0),
        (half, 0.0),
        (-half, tile.side),
        (half, tile.side),
    ];
    let rows = corners.map(|(across, along)| outline.locate(across, tile.top + along).1);
    let top = rows.into_iter().fold(f64::INFINITY, f64::min) - 2.0;
    let bottom = rows.into_iter().fold(0.0, f64::max) + 3.0;
    let top = (top.max(0.0) as usize).min(height - 1);
    top..(bottom as usize).clamp(top + 1, height)
}

/// One tile; nothing if it would have no pixels.
pub(super) fn cut(
    photograph: &Rows<'_>,
    outline: &CoreOutline,
    tile: &PlannedTile,
    side: usize,
) -> Option<RgbImage> {
    let native = native_side(tile);
    let half = tile.side / 2.0;
    let mut pixels = Vec::with_capacity(native * native * 3);
    if outline.tilt.abs() < UPRIGHT {
        let (left, top) = outline.locate(-half, tile.top);
        let (left, top) = (
            start(left, native, photograph.width),
            start(top, native, photograph.height),
        );
        for row in top..(top + native).min(photograph.height) {
            let line = photograph.row(row);
            pixels.extend(&line[left * 3..(left + native).min(photograph.width) * 3]);
        }
    } else {
        let scale = tile.side / native as f64;
        for (row, column) in
            (0..native).flat_map(|row| (0..native).map(move |column| (row, column)))
        {
            let place = |index: usize| (index as f64 + 0.5) * scale;
            let (column, row) = outline.locate(place(column) - half, tile.top + place(row));
            pixels.extend(interpolate(photograph, column - 0.5, row - 0.5));
        }
    }
    let width = native.min(photograph.width);
    let height = pixels.len() / 3 / width;
    let native = RgbImage::from_raw(width as u32, height as u32, pixels)?;
    let side = side as u32;
    if native.width() <= side {
        return Some(native);
    }
    Some(imageops::resize(&native, side, side, FilterType::Triangle))
}

/// The colour between four pixels; beyond the border that of the border.
fn interpolate(photograph: &Rows<'_>, column: f64, row: f64) -> [u8; 3] {
    let place = |value: f64, size: usize| {
        let value = value.clamp(0.0, (size - 1) as f64);
        let below = value as usize;
        (below, (below + 1).min(size - 1), value - below as f64)
    };
    let (left, right, x) = place(column, photograph.width);
    let (above, below, y) = place(row, photograph.height);
    let at = |row: usize, column: usize, channel: usize| {
        f64::from(photograph.row(row)[column * 3 + channel])
    };
    [0, 1, 2].map(|channel| {
        let mix = |row| at(row, left, channel) * (1.0 - x) + at(row, right, channel) * x;
        (mix(above) * (1.0 - y) + mix(below) * y).round() as u8
    })
}
