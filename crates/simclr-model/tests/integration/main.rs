//! The integration tests of the crate, in one program.

mod config;
mod forward;
mod freezing;
mod gradient_checkpointing;
mod names;
mod parameters;
