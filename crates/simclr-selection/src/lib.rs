#![doc = include_str!("../README.md")]
#![warn(missing_debug_implementations)]

mod clusters;
mod config;
mod error;
mod pool;
mod select;

pub use config::{SelectionConfig, Strategy};
pub use error::{Error, Result};
pub use pool::Pool;
pub use select::Choice;
pub use simclr_augment::Seed;
