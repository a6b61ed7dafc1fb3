//! Synthetic photographs of sediment cores, and images of another domain.

mod cores;
mod disturbance;
mod drawn;
mod noise;
mod render;
mod section;
mod sediment;
mod textures;

pub use cores::SyntheticCores;
pub use disturbance::Disturbance;
pub use section::{SectionInterval, SectionTruth, SyntheticHole, SyntheticHoleConfig};
pub use textures::SyntheticTextures;
