pub(crate) mod adjust;
pub(crate) mod jitter;
pub(crate) mod passes;
pub(crate) mod planes;
