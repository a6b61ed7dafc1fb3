//! Where in a photograph the core is.

mod colors;
mod core_outline;
mod find;
mod gaps;
mod lines;
mod mask;
mod reduced;

pub use core_outline::{CoreOutline, Crop};
pub(crate) use reduced::Reduced;
