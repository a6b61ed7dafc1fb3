//! The result of the loss.

use candle_core::Tensor;

/// The loss and two metrics of the contrastive task; scalars on the embeddings' device.
///
/// All three are f64 for embeddings in f64 and f32 otherwise.
#[derive(Debug, Clone)]
pub struct NtXentOutput {
    /// The loss, differentiable.
    pub loss: Tensor,
    /// Contrastive accuracy: the share of first views whose own second view is the most
    /// similar of all second views (the lowest index among equals). Detached.
    pub accuracy: Tensor,
    /// The mean entropy, in nats, of each first view's softmax over the second views;
    /// `ln n` if nothing is told apart. Detached.
    pub entropy: Tensor,
}
