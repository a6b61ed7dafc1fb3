//! Synthetic photographs of sediment cores, and images of another domain.

mod cores;
mod disturbance;
mod drawn;
mod noise;
mod render;
mod sediment;
mod textures;

pub use cores::SyntheticCores;
pub use disturbance::Disturbance;
pub use textures::SyntheticTextures;
