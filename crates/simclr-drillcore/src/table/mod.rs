//! Tables that geologists have: sections with depths, and intervals with classes.

mod columns;
mod depths;
mod intervals;
mod names;
mod reader;
mod text;

use std::path::Path;

pub use columns::ColumnMap;
pub(crate) use depths::DEEPEST_M;
pub use depths::{DepthTable, SectionDepth};
pub(crate) use intervals::Extent;
pub use intervals::{IntervalTable, LabelledInterval};
pub(crate) use names::{few, file_name, stem};
pub(crate) use text::TableText;

use crate::error::Result;
use reader::{Table, check_named};

/// Reads a table of depths and tables of intervals that may differ in their headers: each header that
/// the map names has to be in one of them, and in the others the known words count.
///
/// # Errors
/// As [`DepthTable::read`] and [`IntervalTable::read`], and for a header that is in none of the tables.
pub fn read_tables(
    depths: Option<&Path>,
    intervals: &[&Path],
    map: &ColumnMap,
) -> Result<(Option<DepthTable>, Vec<IntervalTable>)> {
    let read = |path: &&Path| Table::read(path, map);
    let depths = depths.iter().map(read).collect::<Result<Vec<_>>>()?;
    let intervals = intervals.iter().map(read).collect::<Result<Vec<_>>>()?;
    let all: Vec<&Table> = depths.iter().chain(&intervals).collect();
    check_named(map, &all)?;
    let depths = depths.first().map(DepthTable::of_rows).transpose()?;
    let intervals = intervals.iter().map(IntervalTable::of_rows);
    Ok((depths, intervals.collect::<Result<_>>()?))
}
