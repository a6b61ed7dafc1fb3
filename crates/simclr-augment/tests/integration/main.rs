//! The integration tests of the crate, in one program.

mod crop_distribution;
mod policy;
