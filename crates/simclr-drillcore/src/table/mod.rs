//! Tables that geologists have: sections with depths, and intervals with classes.

mod columns;
mod depths;
mod intervals;
mod reader;

pub use columns::ColumnMap;
pub(crate) use depths::{DEEPEST_M, is_named_after};
pub use depths::{DepthTable, SectionDepth};
pub use intervals::{IntervalTable, LabelledInterval};
