//! Colour operations, each by itself and as the colour jitter made of them.

pub(crate) mod adjust;
pub(crate) mod jitter;
pub(crate) mod passes;
pub(crate) mod planes;
