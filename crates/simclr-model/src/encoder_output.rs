//! The results of the encoder.

use candle_core::Tensor;
use simclr_kernels::FeatureMap;

use crate::error::Result;

/// The encoder's intermediate and final results, under the original's names.
///
/// The intermediate results are [feature maps](FeatureMap), which become tensors on
/// request: gradients flow through those too.
#[derive(Debug, Clone)]
pub struct EncoderOutput {
    /// `[n, h/2, w/2, 64 width]`: the stem's convolution, before batch norm and ReLU
    /// (`[n, h, w, ...]` with the CIFAR stem).
    pub initial_conv: FeatureMap,
    /// `[n, h/4, w/4, 64 width]`: the stem's output (`[n, h, w, ...]` with the CIFAR stem,
    /// which has no max-pool).
    pub initial_max_pool: FeatureMap,
    /// The outputs of block groups 1 to 4, each from the second on with half the side and
    /// twice the channels.
    pub block_groups: [FeatureMap; 4],
    /// `[n, d]`: the representation h, the mean of block group 4 over height and width.
    pub final_avg_pool: Tensor,
}

impl EncoderOutput {
    /// All results as tensors with the original's names, in the order of computation.
    ///
    /// # Errors
    /// None of its own.
    pub fn named(&self) -> Result<Vec<(&'static str, Tensor)>> {
        let [group1, group2, group3, group4] = &self.block_groups;
        let maps = [
            ("initial_conv", &self.initial_conv),
            ("initial_max_pool", &self.initial_max_pool),
            ("block_group1", group1),
            ("block_group2", group2),
            ("block_group3", group3),
            ("block_group4", group4),
        ];
        let maps = maps
            .into_iter()
            .map(|(name, map)| Ok((name, map.tensor()?)));
        let last = Ok(("final_avg_pool", self.final_avg_pool.clone()));
        maps.chain([last]).collect()
    }
}
