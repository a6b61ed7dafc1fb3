//! Loops compiled several times, for the vector instructions of the processor that
//! runs them, and the few steps of which the compiler does not find the good form.

mod aligned_buffer;
mod dispatch;
mod level;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use aligned_buffer::{AlignedBuffer, CACHE_LINE};
#[cfg(test)]
pub(crate) use dispatch::on_every_level;
pub(crate) use dispatch::{Kernel, vectorized, vectorized_short};
pub(crate) use level::{ColumnGroup, GROUP, Level, MARGIN};
pub(crate) use portable::split;
