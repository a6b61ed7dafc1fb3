//! Known intervals by depth.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::table::{Extent, IntervalTable};
use crate::tiles::Tile;

/// Intervals by depth: top and bottom in metres, and class. Offsets in a section become depths by those of
/// the section's tiles; intervals of sections and holes without tiles are left out.
pub fn intervals_by_depth(table: &IntervalTable, tiles: &[Tile]) -> Vec<(f64, f64, String)> {
    let tops = tops(table, tiles);
    let holes: BTreeSet<Option<&str>> = tiles.iter().map(|tile| tile.hole.as_deref()).collect();
    let intervals = table.intervals().iter().filter_map(|interval| {
        let shift = match &interval.section {
            Some(name) => *tops.get(name.as_str())?,
            None => {
                let is_there = holes.iter().any(|hole| table.is_of_hole(interval, *hole));
                is_there.then_some(0.0)?
            }
        };
        Some((
            interval.top + shift,
            interval.bottom + shift,
            interval.class.clone(),
        ))
    });
    intervals.collect()
}

/// The depth of the top of each section of the table that has tiles.
fn tops<'t>(table: &'t IntervalTable, tiles: &[Tile]) -> BTreeMap<&'t str, f64> {
    let mut tops = BTreeMap::new();
    for tiles in tiles.chunk_by(|a, b| a.section == b.section) {
        let top = |tile: &Tile| Some(tile.top_depth_m? - tile.top_offset_cm? / 100.0);
        let section = table.section_of(&tiles[0].section);
        if let (Some(section), Some(top)) = (section, tiles.iter().find_map(top)) {
            tops.entry(section).or_insert(top);
        }
    }
    tops
}

impl IntervalTable {
    /// That some intervals are about tiles.
    ///
    /// # Errors
    /// [`Error::Table`](crate::Error::Table) if all are of other sections, holes or depths.
    pub fn check_tiles(&self, tiles: &[Tile]) -> Result<()> {
        let sections = tiles.chunk_by(|a, b| a.section == b.section);
        let extents: Vec<Extent<'_>> = sections.map(extent).collect();
        self.check_places(&extents).map(|_| ())
    }
}

/// Where the tiles of a section are.
fn extent(tiles: &[Tile]) -> Extent<'_> {
    let depths = tiles
        .iter()
        .filter_map(|tile| tile.top_depth_m.zip(tile.bottom_depth_m));
    let depths = depths.reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)));
    Extent {
        name: &tiles[0].section,
        hole: tiles[0].hole.as_deref(),
        depths,
    }
}
