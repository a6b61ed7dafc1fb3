//! How much memory a training takes, and how much there is.

mod available;
mod estimate;

pub(crate) use available::available_memory;
pub use estimate::MemoryEstimate;
pub(crate) use estimate::RunLoad;
