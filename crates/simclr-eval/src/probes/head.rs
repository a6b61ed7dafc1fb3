//! One dense layer from features to classes.

use candle_core::{Device, Tensor, Var};
use rand::Rng;
use simclr_augment::{Purpose, Seed, Stream};
use simclr_kernels::dense;

use super::Examples;
use crate::{Error, Result};

/// Logits from features: `x . kernel + bias`.
#[derive(Debug, Clone)]
pub struct LinearHead {
    /// `[width, classes]`.
    pub kernel: Var,
    /// `[classes]`.
    pub bias: Var,
}

impl LinearHead {
    /// A head with these values.
    ///
    /// # Errors
    /// Shapes other than `[width, classes]` and `[classes]`.
    pub fn new(kernel: &Tensor, bias: &Tensor) -> Result<Self> {
        let fits = matches!((kernel.dims(), bias.dims()), (&[_, columns], &[classes]) if columns == classes);
        if !fits {
            return Err(Error::evaluation(
                "linear head",
                format!("kernel {:?} with bias {:?}", kernel.dims(), bias.dims()),
            ));
        }
        Ok(Self {
            kernel: Var::from_tensor(kernel)?,
            bias: Var::from_tensor(bias)?,
        })
    }

    /// A head as Keras starts it: the kernel uniform within
    /// `sqrt(6 / (width + classes))` of zero, the bias zero.
    ///
    /// # Errors
    /// None but those of candle.
    pub fn initial(width: usize, classes: usize, seed: Seed) -> Result<Self> {
        let bound = (6.0 / (width + classes) as f32).sqrt();
        // Epochs shuffle with the streams of 1, 2, ...
        let mut rng = Stream::new(seed).epoch(0).rng(Purpose::Shuffle);
        let kernel: Vec<f32> = (0..width * classes)
            .map(|_| rng.random_range(-bound..bound))
            .collect();
        let kernel = Tensor::from_vec(kernel, (width, classes), &Device::Cpu)?;
        let bias = Tensor::zeros(classes, candle_core::DType::F32, &Device::Cpu)?;
        Self::new(&kernel, &bias)
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.bias.elem_count()
    }

    /// Logits `[n, classes]` of features `[n, width]`.
    ///
    /// # Errors
    /// Features of another width.
    pub fn logits(&self, features: &Tensor) -> Result<Tensor> {
        Ok(dense(features, &self.kernel, Some(self.bias.as_tensor()))?)
    }

    /// The logits of all examples, flat.
    pub(super) fn scores(&self, examples: &Examples<'_>) -> Result<Vec<f32>> {
        let logits = self.logits(&examples.tensor()?)?;
        Ok(logits.detach().flatten_all()?.to_vec1()?)
    }
}
