//! The integration tests of the crate, in one program.

mod augmented_copies;
mod common;
mod reports;
mod unlabelled_copies;
