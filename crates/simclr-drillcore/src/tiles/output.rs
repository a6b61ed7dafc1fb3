//! The files of one section.

use std::fs;
use std::path::Path;

use image::{ImageFormat, RgbImage};
use simclr_augment::RowSink;
use simclr_files::{Durability, write_atomically, write_bytes};

use super::cutter::Cutter;
use super::overview::Overview;
use super::plan::PlannedTile;
use super::preview::draw;
use super::tile::Tile;
use crate::error::{Error, Result};
use crate::outline::CoreOutline;

/// A section whose core was found.
pub(super) struct Section {
    pub(super) outline: CoreOutline,
    pub(super) planned: Vec<PlannedTile>,
    /// Rows and columns of its photograph.
    pub(super) size: (usize, usize),
}

/// Writes the tiles of a section, whose rows `read` gives, and its preview.
pub(super) fn write_section(
    out: &Path,
    name: &str,
    section: &Section,
    tiles: &[Tile],
    side: usize,
    read: impl Fn(&mut dyn RowSink) -> Result<()>,
) -> Result<()> {
    let folder = out.join("tiles").join(name);
    fs::create_dir_all(&folder).map_err(simclr_files::Error::io(&folder))?;
    let write = |index: usize, picture| write_tile(out, &tiles[index], &picture);
    let kept = section.planned.iter().filter(|tile| tile.kept);
    let mut cutter = Cutter::new(name, &section.outline, kept, side, section.size, write);
    read(&mut cutter)?;
    cutter.finish()
}

fn write_tile(out: &Path, tile: &Tile, picture: &RgbImage) -> Result<()> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, ImageFormat::Png)
        .map_err(|error| Error::picture(&tile.tile, error))?;
    let path = out.join(&tile.tile);
    write_atomically(&path, Durability::Buffered, |file| {
        let written = file.write_all(bytes.get_ref());
        written.map_err(|error| Error::from(simclr_files::Error::io(&path)(error)))
    })
}

pub(super) fn write_preview(
    out: &Path,
    name: &str,
    overview: Overview,
    section: &Section,
) -> Result<()> {
    let folder = out.join("previews");
    fs::create_dir_all(&folder).map_err(simclr_files::Error::io(&folder))?;
    let thumbnail = overview.thumbnail(name)?;
    let (outline, planned) = (&section.outline, &section.planned);
    let svg = draw(name, &thumbnail, section.size, outline, planned)?;
    Ok(write_bytes(
        &folder.join(format!("{name}.svg")),
        svg.as_bytes(),
    )?)
}
