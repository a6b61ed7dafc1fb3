//! Activation functions.

/// The activation that follows a batch norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Activation {
    /// None (default).
    #[default]
    Identity,
    /// `max(x, 0)`, with gradient 0 at 0.
    Relu,
}
