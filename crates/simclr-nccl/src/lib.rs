#![doc = include_str!("../README.md")]

#[cfg(feature = "nccl")]
mod communicator;
#[cfg(feature = "nccl")]
mod error;
#[cfg(feature = "nccl")]
mod ranks;

#[cfg(feature = "nccl")]
pub use error::{Error, Result};
#[cfg(feature = "nccl")]
pub use ranks::NcclRanks;
