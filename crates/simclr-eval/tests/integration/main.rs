//! The integration tests of the crate, in one program.

mod evaluation;
mod interval_coverage;
