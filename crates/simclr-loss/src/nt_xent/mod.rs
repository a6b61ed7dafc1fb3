//! The normalised, temperature-scaled cross-entropy loss of contrastive learning.

mod composite;
mod fused;
mod loss;
mod mask;
mod output;
mod ranks;
mod similarity;

pub use loss::{LossScale, NtXent};
pub use mask::NegativeMask;
pub use output::NtXentOutput;
