use simclr_augment::DecodedImage;

use super::disturbance::{Disturbance, Scene};
use super::drawn::{Drawn, forward_to_drawn};
use super::render::Camera;
use super::sediment::Sediment;
use crate::Seed;
use crate::dataset::Dataset;
use crate::error::Result;
use crate::streams::SYNTHETIC;

/// Photographs of split sediment cores with ten kinds of drilling disturbance, made on
/// demand.
///
/// Beds of random colour, thickness and grain lie over one another; drilling then
/// cracks, breaks, bends, stirs or replaces them. What tells the classes apart is
/// geometry. Colour, brightness, lighting, the depth and scale of the beds, burrows
/// and stones vary in all of them alike and say nothing about the class, so that
/// pixel statistics do not give it away.
///
/// Image i has label `i % 10`, and depends on (seed, i) and the size alone. The
/// larger the image, the finer the detail: it is drawn, not enlarged.
///
/// ```
/// use simclr_data::{Dataset, Seed, SyntheticCores};
///
/// let cores = SyntheticCores::new(1000, 64, Seed(1))?;
/// assert_eq!(cores.class_names().len(), 10);
/// assert_eq!((cores.decode(3)?.width(), cores.name(3)), (64, "fall-in/3".to_owned()));
/// # Ok::<(), simclr_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SyntheticCores {
    drawn: Drawn,
}

impl SyntheticCores {
    /// `len` square images with sides of `size` pixels.
    ///
    /// # Errors
    /// If there are no images or they have no pixels.
    pub fn new(len: usize, size: usize, seed: Seed) -> Result<Self> {
        let drawn = Drawn::new(len, size, seed, Disturbance::ALL.map(Disturbance::name))?;
        Ok(Self { drawn })
    }

    /// The disturbance of an image.
    pub fn disturbance(&self, index: usize) -> Disturbance {
        Disturbance::ALL[index % Disturbance::ALL.len()]
    }
}

impl Dataset for SyntheticCores {
    forward_to_drawn!();

    fn decode(&self, index: usize) -> Result<DecodedImage> {
        self.drawn.decode(index, SYNTHETIC, |size, rng| {
            let sediment = Sediment::draw(rng);
            let scene = Scene::draw(self.disturbance(index), rng);
            Camera::draw(rng).photograph(size, |point| scene.color(&sediment, point))
        })
    }
}
