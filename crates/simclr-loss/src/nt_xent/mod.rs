//! The normalised, temperature-scaled cross-entropy loss of contrastive learning.

mod composite;
mod fused;
mod loss;
mod output;
mod ranks;
mod similarity;

pub use loss::{LossScale, NtXent};
pub use output::NtXentOutput;
