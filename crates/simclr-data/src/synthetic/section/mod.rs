//! Photographs of whole core sections, with everything that stands beside a core.

mod config;
mod hole;
mod photograph;
mod truth;

pub use config::SyntheticHoleConfig;
pub use hole::SyntheticHole;
pub use truth::{SectionInterval, SectionTruth};
