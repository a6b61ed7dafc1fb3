//! The integration tests of the crate, in one program.

mod global_batch_norm;
mod levels;
mod mixed;
mod ops;
mod precision;
mod split;
mod support;
mod units;
