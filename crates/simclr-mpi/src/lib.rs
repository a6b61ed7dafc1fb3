#![doc = include_str!("../README.md")]

#[cfg(feature = "mpi")]
mod beside;
#[cfg(any(feature = "mpi", test))]
mod chunks;
#[cfg(feature = "mpi")]
mod error;
#[cfg(feature = "mpi")]
mod world;

#[cfg(feature = "mpi")]
pub use error::{Error, Result};
#[cfg(feature = "mpi")]
pub use world::MpiWorld;
