//! The layers that the models are made of.

pub(crate) mod batch_norm;
pub(crate) mod block;
mod conv;
mod conv_norm;
pub(crate) mod dense;
pub(crate) mod pass;
mod selective_kernel;
mod squeeze_excitation;
pub(crate) mod stem;
