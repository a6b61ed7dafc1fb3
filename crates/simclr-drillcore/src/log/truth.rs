//! Known intervals by depth.

use std::collections::BTreeMap;

use crate::table::{IntervalTable, is_named_after};
use crate::tiles::Tile;

/// Intervals by depth: top and bottom in metres, and class. Offsets in a section become depths by those of
/// the section's tiles; intervals of sections without tiles are left out.
pub fn intervals_by_depth(table: &IntervalTable, tiles: &[Tile]) -> Vec<(f64, f64, String)> {
    let mut sections: BTreeMap<&str, f64> = BTreeMap::new();
    for tile in tiles {
        if let (Some(depth), Some(offset)) = (tile.top_depth_m, tile.top_offset_cm) {
            sections
                .entry(&tile.section)
                .or_insert(depth - offset / 100.0);
        }
    }
    let top_of = |name: &str| {
        let section = sections
            .iter()
            .find(|(section, _)| is_named_after(section, name));
        section.map(|(_, top)| *top)
    };
    let intervals = table.intervals().iter().filter_map(|interval| {
        let shift = match &interval.section {
            Some(name) => top_of(name)?,
            None => 0.0,
        };
        Some((
            interval.top + shift,
            interval.bottom + shift,
            interval.class.clone(),
        ))
    });
    intervals.collect()
}
