//! Synthetic photographs of sediment cores, and pictures of something else.

mod disturbance;
mod noise;
mod render;
mod sediment;
mod textures;

use simclr_augment::{DecodedImage, Stream};

use crate::seed::SYNTHETIC;
use crate::{Dataset, Error, Result, Seed};
use disturbance::Scene;
use sediment::Sediment;

pub use disturbance::Disturbance;
pub use textures::SyntheticTextures;

/// Pictures of split sediment cores with ten kinds of drilling disturbance, made on
/// demand.
///
/// Beds of random colour, thickness and grain lie over one another; drilling then
/// cracks, breaks, bends, stirs or replaces them. What tells the classes apart is
/// geometry. Colour, brightness, lighting, the depth and scale of the beds, burrows
/// and stones vary in all of them alike and say nothing about the class, so that
/// pixel statistics do not give it away.
///
/// Image i has label `i % 10`, and depends on (seed, i) and the size alone. The
/// larger the picture, the finer the detail: it is drawn, not enlarged.
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
    len: usize,
    size: usize,
    seed: Seed,
    classes: Vec<String>,
}

impl SyntheticCores {
    /// `len` square images with sides of `size` pixels.
    ///
    /// # Errors
    /// If there are no images or they have no pixels.
    pub fn new(len: usize, size: usize, seed: Seed) -> Result<Self> {
        if len == 0 {
            return Err(Error::parameter(
                "the number of synthetic images",
                "at least 1",
                len,
            ));
        }
        if size == 0 {
            return Err(Error::parameter(
                "the size of synthetic images",
                "at least 1",
                size,
            ));
        }
        Ok(Self {
            len,
            size,
            seed,
            classes: Disturbance::ALL.map(|kind| kind.name().to_owned()).to_vec(),
        })
    }

    /// The disturbance of an image.
    pub fn disturbance(&self, index: usize) -> Disturbance {
        let kinds = Disturbance::ALL;
        kinds[index % kinds.len()]
    }
}

impl Dataset for SyntheticCores {
    fn len(&self) -> usize {
        self.len
    }

    fn class_names(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> Option<u32> {
        // The remainder is below ten.
        (index < self.len).then_some((index % Disturbance::ALL.len()) as u32)
    }

    fn name(&self, index: usize) -> String {
        format!("{}/{index}", self.disturbance(index).name())
    }

    fn decode(&self, index: usize) -> Result<DecodedImage> {
        if index >= self.len {
            let len = self.len;
            return Err(Error::Index { index, len });
        }
        let mut rng = Stream::new(self.seed.0).sample(index as u64).rng(SYNTHETIC);
        let sediment = Sediment::draw(&mut rng);
        let scene = Scene::draw(self.disturbance(index), &mut rng);
        let camera = render::Camera::draw(&mut rng);
        let pixels = camera.photograph(self.size, |point| scene.color(&sediment, point));
        Ok(DecodedImage::new(self.size, self.size, pixels)?)
    }
}
