//! An encoder for inference only.

use candle_core::{Device, Tensor};

use crate::builder::Parameter;
use crate::checks::check;
use crate::config::ResNetConfig;
use crate::encoder::Encoder;
use crate::encoder_output::EncoderOutput;
use crate::error::Result;
use crate::freeze::Mode;

/// An encoder that can only be read: batch norm in inference mode and no gradients, by type.
#[derive(Debug, Clone)]
pub struct FrozenEncoder(Encoder);

impl Encoder {
    /// The encoder as a plain function from images to features: whatever is done with it,
    /// it stays as it is. It shares the variables, so if they are trained elsewhere, it
    /// follows.
    pub fn frozen(&self) -> FrozenEncoder {
        FrozenEncoder(self.clone())
    }
}

impl FrozenEncoder {
    /// The architecture.
    pub fn config(&self) -> &ResNetConfig {
        self.0.config()
    }

    /// The parameters, in the original's order of calls.
    pub fn parameters(&self) -> &[Parameter] {
        self.0.parameters()
    }

    /// Where its parameters are, and so where it computes.
    pub fn device(&self) -> &Device {
        self.0.device()
    }

    /// All results for images `[n, height, width, 3]` in [0, 1]; the representation is
    /// [`EncoderOutput::final_avg_pool`]. Images on another device are copied to the encoder's.
    ///
    /// # Errors
    /// As [`Encoder::forward`].
    pub fn features(&self, images: &Tensor) -> Result<EncoderOutput> {
        self.0
            .forward(&images.to_device(self.device())?, Mode::Infer)
    }

    /// Only the representations `[n, d]`, computed `batch_size` images at a time so that the
    /// memory needed does not grow with n.
    ///
    /// Kernels cut their work by the size of the batch, so another `batch_size` may change the
    /// last bits of a representation. The same `batch_size` gives the same bits. Images on another
    /// device are copied to the encoder's, batch by batch.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] for a batch size of 0; as [`Encoder::forward`] otherwise.
    pub fn embed(&self, images: &Tensor, batch_size: usize) -> Result<Tensor> {
        check("batch_size", batch_size, "at least 1", batch_size > 0)?;
        self.0.check_images(images)?;
        let count = images.dim(0)?;
        let batches = (0..count).step_by(batch_size).map(|start| {
            let images = images.narrow(0, start, batch_size.min(count - start))?;
            self.0.representations(&images.to_device(self.device())?)
        });
        Ok(Tensor::cat(&batches.collect::<Result<Vec<_>>>()?, 0)?)
    }
}
