//! Less memory for more time.

use serde::{Deserialize, Serialize};

/// What a training pass saves for its backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GradientCheckpointing {
    /// Every activation that the backward pass needs: fastest.
    #[default]
    #[serde(alias = "keep")]
    None,
    /// Only the input of the stem and of each block; the backward pass, which has to be
    /// `simclr_kernels::backward`, computes the inside again. The gradients are the same to
    /// the last bit, a step of ResNet-50 takes 0.6 of the memory and a third longer, and
    /// `initial_conv` is detached. In the fused form only: f32 on the CPU.
    #[serde(alias = "recompute_blocks")]
    PerBlock,
}
