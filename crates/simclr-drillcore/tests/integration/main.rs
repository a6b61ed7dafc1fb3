//! The integration tests of the crate, in one program.

mod log;
mod tables;
mod tiles;
