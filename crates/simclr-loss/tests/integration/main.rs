//! The integration tests of the crate, in one program.

mod bad_input;
mod element_types;
mod fused_nt_xent;
mod gradients;
