//! Principal components, confidence intervals over folds, calibration and nearest
//! neighbours.

mod calibration;
mod eigen;
mod interval;
mod neighbours;
mod principal;
mod student;

pub use calibration::{Calibration, CalibrationBin};
pub use interval::{PairedComparison, Summary};
pub use neighbours::{Neighbour, nearest_neighbours, neighbours_within};
pub use principal::PrincipalComponents;
