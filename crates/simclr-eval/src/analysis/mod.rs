//! Principal components, confidence intervals over folds, calibration and nearest
//! neighbours.

mod calibration;
mod interval;
mod neighbours;
mod principal;

pub use calibration::{Calibration, CalibrationBin};
pub use interval::{PairedComparison, Summary};
pub use neighbours::{Neighbour, nearest_neighbours, neighbours_within};
pub use principal::PrincipalComponents;
