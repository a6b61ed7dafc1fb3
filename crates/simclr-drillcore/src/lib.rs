#![doc = include_str!("../README.md")]
#![warn(missing_debug_implementations)]

mod error;
mod log;
mod outline;
mod setters;
mod table;
mod tiles;

pub use error::{Error, Result};
pub use log::{
    Bed, DepthLog, LogComparison, LogOutput, LogSettings, MetreShares, Predictions, Smoothing,
    TilePrediction, intervals_by_depth, stay_from_intervals,
};
pub use outline::{CoreOutline, Crop};
pub use table::{
    ColumnMap, DepthTable, IntervalTable, LabelledInterval, SectionDepth, read_tables,
};
pub use tiles::{
    CutSection, PlannedTile, Scale, SectionOutcome, Tile, TileRun, TileSettings, TilesReport,
    cut_section, plan_tiles, preview, read_tiles, tiles_of_hole,
};
