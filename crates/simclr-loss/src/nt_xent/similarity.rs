//! How embeddings are compared.

/// What the original adds inside the logarithm of the entropy.
pub(super) const ENTROPY_OFFSET: f64 = 1e-8;
/// The smallest squared length that an embedding is divided by.
pub(super) const SQUARED_LENGTH_FLOOR: f64 = 1e-12;

/// `s(x, y) = x . y / temperature`, of embeddings scaled to unit length if `normalize` is set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Similarity {
    pub(super) temperature: f64,
    pub(super) normalize: bool,
}
