#![doc = include_str!("../README.md")]

mod error;
pub mod proto;
mod record;
mod writer;

pub use error::{Error, Result};
pub use record::read_events;
pub use writer::EventWriter;
