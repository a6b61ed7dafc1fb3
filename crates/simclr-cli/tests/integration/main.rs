//! The integration tests of the crate, in one program.

mod classes_and_messages;
mod common;
mod inputs_and_outputs;
mod program;
