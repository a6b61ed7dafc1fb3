//! From predictions of tiles to a log by depth.

mod cells;
mod comparison;
mod depth_log;
mod drawing;
mod las;
mod output;
mod predictions;
mod smoothing;
mod truth;

pub use comparison::{LogComparison, MetreShares};
pub use depth_log::{Bed, DepthLog, LogSettings};
pub use output::LogOutput;
pub use predictions::{Predictions, TilePrediction};
pub use smoothing::{Smoothing, stay_from_intervals};
pub use truth::intervals_by_depth;
