//! The loss, its settings and what it accepts.

use std::sync::Arc;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use simclr_collective::Collective;

use super::mask::NegativeMask;
use super::output::NtXentOutput;
use super::ranks::gather;
use super::similarity::Similarity;
use super::{composite, fused};
use crate::error::check_temperature;
use crate::tensors::{check_same_type, is_fused, to_full_precision};
use crate::{Error, Result};

const LOSS: &str = "nt-xent";

/// Which multiple of the loss is reported and differentiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossScale {
    /// The original's: the mean over images of the *sum* of both directions.
    #[default]
    Original,
    /// Other libraries': the mean over all views, half of the original's.
    Halved,
}

/// NT-Xent (Chen et al. 2020, `add_contrastive_loss` of the original).
///
/// With embeddings `a_i` of the first and `b_i` of the second view of image `i` out of
/// `n`, normalised to unit length, temperature `T`, and `s(x, y) = x . y / T`:
///
/// ```text
/// loss_a_i = -s(a_i, b_i) + ln( sum_j exp s(a_i, b_j) + sum_{j != i} exp s(a_i, a_j) )
/// loss_b_i = -s(b_i, a_i) + ln( sum_j exp s(b_i, a_j) + sum_{j != i} exp s(b_i, b_j) )
/// loss     = 1/n sum_i (loss_a_i + loss_b_i)
/// ```
///
/// A [`NegativeMask`] leaves pairs of views, but never a positive one, out of the sums, and out of
/// accuracy and entropy.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use simclr_loss::NtXent;
///
/// // Collapsed: every embedding is the same, so the loss says nothing but the number of views.
/// let embeddings = Tensor::ones((8, 16), candle_core::DType::F32, &Device::Cpu)?;
/// let nt_xent = NtXent::default();
/// let loss = nt_xent.forward(&embeddings)?.loss.to_scalar::<f32>()?;
/// assert!((f64::from(loss) - nt_xent.collapsed_loss(4)).abs() < 1e-5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NtXent {
    /// Divides the similarities. Default 0.1 (the paper on core images takes 0.5).
    pub temperature: f64,
    /// Whether embeddings are scaled to unit length first: `x / sqrt(max(|x|^2, 1e-12))`. Default true.
    pub normalize: bool,
    /// Which multiple of the loss is meant. Default [`LossScale::Original`].
    pub scale: LossScale,
}

impl Default for NtXent {
    fn default() -> Self {
        Self {
            temperature: 0.1,
            normalize: true,
            scale: LossScale::Original,
        }
    }
}

impl NtXent {
    /// The loss of `embeddings` `[2n, d]`: the first views of `n` images, then their second views.
    ///
    /// f32 and f64 are computed as they are. Half precision (f16, bf16) is computed in f32 and
    /// gives results in f32; its gradient has the type of the embeddings.
    ///
    /// # Errors
    /// A temperature that is not a positive number, a rank other than 2, an odd
    /// number of rows, fewer than two images, no columns, an element type other than
    /// f16, bf16, f32 and f64.
    pub fn forward(&self, embeddings: &Tensor) -> Result<NtXentOutput> {
        self.forward_among(embeddings, None)
    }

    /// [`Self::forward`] without the pairs of views that `mask` says are no negatives of each
    /// other.
    ///
    /// ```
    /// use candle_core::{DType, Device, Tensor};
    /// use simclr_loss::{NegativeMask, NtXent};
    ///
    /// // Of three images the first two show the same. Views 0 to 2 are the first ones, 3 to 5
    /// // the second ones.
    /// let alike = [(0, 1), (0, 4), (3, 1), (3, 4)];
    /// let mask = NegativeMask::new(3, alike)?;
    /// let embeddings = Tensor::ones((6, 16), DType::F64, &Device::Cpu)?;
    /// let loss = NtXent::default().forward_masked(&embeddings, &mask)?.loss.to_scalar::<f64>()?;
    /// // Their views have the positive one and two others, those of the third image four.
    /// let expected = 2.0 * (2.0 * 3f64.ln() + 5f64.ln()) / 3.0;
    /// assert!((loss - expected).abs() < 1e-9);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Self::forward`]; a mask for another number of views.
    pub fn forward_masked(&self, embeddings: &Tensor, mask: &NegativeMask) -> Result<NtXentOutput> {
        self.forward_among(embeddings, Some(mask))
    }

    /// [`Self::forward`] made of stock candle operations only: runs on any device, but holds
    /// the whole matrix of similarities.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn forward_composite(&self, embeddings: &Tensor) -> Result<NtXentOutput> {
        let embeddings = self.check(embeddings)?;
        self.scaled(self.composite(&embeddings, &embeddings, 0, None)?)
    }

    /// The loss of one replica's `local` embeddings `[2m, d]` among those of all
    /// replicas, `gathered` `[2n, d]` (all first views, then all second views, each
    /// replica's after the other). Replica `r` of `n / m` passes its index as `replica`.
    ///
    /// Gradients flow to both tensors. If `gathered` is made from the replicas'
    /// tensors, the mean of the replicas' losses is the loss of the whole batch,
    /// and so is its gradient. A `mask` is about the views of all replicas.
    ///
    /// # Errors
    /// As [`Self::forward_masked`]; also if widths or types differ, `n` is no multiple of `m`,
    /// or there are no more than `replica` replicas.
    pub fn forward_replica(
        &self,
        local: &Tensor,
        gathered: &Tensor,
        replica: usize,
        mask: Option<&NegativeMask>,
    ) -> Result<NtXentOutput> {
        let gathered = self.check(gathered)?;
        check_mask(mask, &gathered)?;
        let (rows, width) = gathered.dims2()?;
        let local_rows = match *local.dims() {
            [local_rows, local_width]
                if local_width == width
                    && local_rows > 0
                    && local_rows.is_multiple_of(2)
                    && rows.is_multiple_of(local_rows)
                    && replica < rows / local_rows =>
            {
                local_rows
            }
            _ => {
                let expected = format!(
                    "embeddings of replica {replica}, an even number of rows of {width} that \
                     divides the {rows} gathered ones"
                );
                return shape_error(expected, local);
            }
        };
        let local = to_full_precision(LOSS, local)?;
        check_same_type(LOSS, &gathered, &local)?;
        self.scaled(self.composite(&local, &gathered, replica * local_rows / 2, mask)?)
    }

    /// The loss of this rank's embeddings `[2m, d]` among those of all ranks, which are gathered:
    /// [`forward_replica`](Self::forward_replica), with gradients that flow back through the
    /// gathered copies to the ranks that they come from. All ranks give equally many images.
    ///
    /// The backward pass of each rank's loss is one of all ranks together. With the loss divided
    /// by the number of ranks, it gives the gradient of the mean of all losses, which is that of
    /// the whole batch.
    ///
    /// # Errors
    /// As [`Self::forward_replica`]; if not every rank takes part.
    pub fn forward_over_ranks(
        &self,
        local: &Tensor,
        ranks: &Arc<dyn Collective>,
        mask: Option<&NegativeMask>,
    ) -> Result<NtXentOutput> {
        if ranks.size() == 1 {
            return self.forward_among(local, mask);
        }
        let local = to_full_precision(LOSS, local)?;
        let gathered = match *local.dims() {
            [rows, width] if rows > 0 && rows % 2 == 0 && width > 0 => gather(&local, ranks)?,
            _ => return shape_error("embeddings [2 * images, width]".to_owned(), &local),
        };
        self.forward_replica(&local, &gathered, ranks.rank(), mask)
    }

    /// The similarities of first views (rows) and second views (columns), divided
    /// by the temperature: `[n, n]`, from embeddings `[2n, d]`; f64 for embeddings in f64 and
    /// f32 otherwise.
    ///
    /// # Errors
    /// As [`Self::forward`].
    pub fn contrast_logits(&self, embeddings: &Tensor) -> Result<Tensor> {
        let embeddings = self.check(embeddings)?;
        Ok(composite::contrast_logits(self.similarity(), &embeddings)?)
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::Setting`] for a temperature that is not a positive number.
    pub fn validate(&self) -> Result<()> {
        check_temperature(self.temperature)
    }

    /// The loss of a collapsed network, one that maps all views of `images` images
    /// to the same point: `2 ln(2n - 1)`, or half of it with [`LossScale::Halved`].
    pub fn collapsed_loss(&self, images: usize) -> f64 {
        self.factor() * 2.0 * (2.0 * images as f64 - 1.0).max(1.0).ln()
    }

    /// Whether a loss is so near to [`Self::collapsed_loss`] (within 0.5 %) that the
    /// network does not tell views apart. Right after the start that is normal; if it
    /// lasts, it is a collapse: lower the learning rate or lengthen the warm-up.
    pub fn looks_collapsed(&self, loss: f64, images: usize) -> bool {
        let collapsed = self.collapsed_loss(images);
        (loss - collapsed).abs() <= 0.005 * collapsed
    }

    fn factor(&self) -> f64 {
        match self.scale {
            LossScale::Original => 1.0,
            LossScale::Halved => 0.5,
        }
    }

    fn similarity(&self) -> Similarity {
        Similarity {
            temperature: self.temperature,
            normalize: self.normalize,
        }
    }

    fn forward_among(
        &self,
        embeddings: &Tensor,
        mask: Option<&NegativeMask>,
    ) -> Result<NtXentOutput> {
        let embeddings = self.check(embeddings)?;
        check_mask(mask, &embeddings)?;
        if is_fused(&embeddings) {
            self.scaled(fused::forward(self.similarity(), &embeddings, mask)?)
        } else {
            self.scaled(self.composite(&embeddings, &embeddings, 0, mask)?)
        }
    }

    fn composite(
        &self,
        local: &Tensor,
        all: &Tensor,
        offset: usize,
        mask: Option<&NegativeMask>,
    ) -> Result<NtXentOutput> {
        composite::forward(self.similarity(), local, all, offset, mask)
    }

    fn scaled(&self, output: NtXentOutput) -> Result<NtXentOutput> {
        Ok(match self.scale {
            LossScale::Original => output,
            LossScale::Halved => NtXentOutput {
                loss: (output.loss * self.factor())?,
                ..output
            },
        })
    }

    /// Checks the embeddings and gives them in the type that is computed in.
    fn check(&self, embeddings: &Tensor) -> Result<Tensor> {
        self.validate()?;
        let expected = match *embeddings.dims() {
            [rows, width] if rows >= 4 && rows.is_multiple_of(2) && width > 0 => {
                return to_full_precision(LOSS, embeddings);
            }
            [rows, _] if rows % 2 == 1 => "an even number of rows, two views per image",
            [_, _] => "at least two images with embeddings of at least one number",
            _ => "embeddings [2 * images, width]",
        };
        shape_error(expected.to_owned(), embeddings)
    }
}

/// Fails unless the mask is about the rows of these embeddings.
fn check_mask(mask: Option<&NegativeMask>, embeddings: &Tensor) -> Result<()> {
    match mask {
        Some(mask) if mask.views() != embeddings.dim(0)? => shape_error(
            format!("the {} views of the mask", mask.views()),
            embeddings,
        ),
        _ => Ok(()),
    }
}

fn shape_error<T>(expected: String, tensor: &Tensor) -> Result<T> {
    Err(Error::Shape {
        loss: LOSS,
        expected,
        found: tensor.dims().to_vec(),
    })
}
