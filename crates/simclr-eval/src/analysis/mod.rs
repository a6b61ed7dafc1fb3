//! Principal components, confidence intervals over folds, calibration and nearest
//! neighbours.

mod calibration;
mod effective_rank;
mod interval;
mod neighbours;
mod principal;
mod repeat;
mod variance;

pub use calibration::{Calibration, CalibrationBin};
pub use effective_rank::effective_rank;
pub use interval::{PairedComparison, Summary};
pub use neighbours::{Neighbour, nearest_neighbours, neighbours_within, unit_rows};
pub use principal::PrincipalComponents;
pub use repeat::Repeat;
