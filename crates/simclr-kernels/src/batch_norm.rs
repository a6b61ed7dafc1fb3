//! What batch norms are given, and what they compute beside their output.

use candle_core::{DType, Tensor};

use crate::Result;

/// The learned parameters of a batch norm, and its guard against division by zero.
#[derive(Debug, Clone, Copy)]
pub struct BatchNormParameters<'a> {
    /// `[c]`: the factor.
    pub gamma: &'a Tensor,
    /// `[c]`: the offset.
    pub beta: &'a Tensor,
    /// Added to the variance.
    pub epsilon: f64,
}

/// Mean and biased variance of each channel, `[c]`, detached.
#[derive(Debug, Clone)]
pub struct BatchStats {
    /// The mean.
    pub mean: Tensor,
    /// The biased variance.
    pub variance: Tensor,
}

impl BatchNormParameters<'_> {
    /// Scale and shift per channel of a batch norm with given statistics; f32 for half types.
    pub(crate) fn scale_and_shift(&self, stats: &BatchStats) -> Result<(Tensor, Tensor)> {
        let variance = widened(&stats.variance)?;
        let scale = (widened(self.gamma)? / (variance + self.epsilon)?.sqrt()?)?;
        let shift = (widened(self.beta)? - (widened(&stats.mean)? * &scale)?)?;
        Ok((scale, shift))
    }
}

/// The tensor in a type that statistics can be computed in: f32 for half types.
pub(crate) fn widened(x: &Tensor) -> Result<Tensor> {
    Ok(match x.dtype() {
        DType::F16 | DType::BF16 => x.to_dtype(DType::F32)?,
        _ => x.clone(),
    })
}
