//! Sets of square images that are drawn on demand.

use rand_chacha::ChaCha8Rng;
use simclr_augment::{DecodedImage, MAX_VIEW_PIXELS, Purpose, Stream};

use crate::Seed;
use crate::error::{Error, Result, check};

/// The images of such a set. Image i has label `i % classes`.
#[derive(Debug, Clone)]
pub(super) struct Drawn {
    pub(super) len: usize,
    size: usize,
    seed: Seed,
    pub(super) classes: Vec<String>,
}

impl Drawn {
    pub(super) fn new(len: usize, size: usize, seed: Seed, classes: [&str; 10]) -> Result<Self> {
        for (name, value) in [("len", len), ("size", size)] {
            check(value > 0, name, "at least 1", value)?;
        }
        let is_possible = size.saturating_mul(size) <= MAX_VIEW_PIXELS;
        check(is_possible, "size", "at most 8192", size)?;
        Ok(Self {
            len,
            size,
            seed,
            classes: classes.map(str::to_owned).to_vec(),
        })
    }

    pub(super) fn label(&self, index: usize) -> Option<u32> {
        // Labels count classes, of which there are ten.
        (index < self.len).then_some((index % self.classes.len()) as u32)
    }

    pub(super) fn name(&self, index: usize) -> String {
        format!("{}/{index}", self.classes[index % self.classes.len()])
    }

    /// The image of `index`: `paint` gets its size and random numbers of its own, and
    /// returns the pixels.
    pub(super) fn decode(
        &self,
        index: usize,
        purpose: Purpose,
        paint: impl FnOnce(usize, &mut ChaCha8Rng) -> Vec<u8>,
    ) -> Result<DecodedImage> {
        if index >= self.len {
            let len = self.len;
            return Err(Error::Index { index, len });
        }
        let mut rng = Stream::new(self.seed).sample(index as u64).rng(purpose);
        let pixels = paint(self.size, &mut rng);
        Ok(DecodedImage::new(self.size, self.size, pixels)?)
    }
}

/// The methods of [`Dataset`](crate::Dataset) but `decode`, forwarded to a field `drawn`.
macro_rules! forward_to_drawn {
    () => {
        fn len(&self) -> usize {
            self.drawn.len
        }

        fn class_names(&self) -> &[String] {
            &self.drawn.classes
        }

        fn label(&self, index: usize) -> Option<u32> {
            self.drawn.label(index)
        }

        fn name(&self, index: usize) -> String {
            self.drawn.name(index)
        }
    };
}

pub(super) use forward_to_drawn;
