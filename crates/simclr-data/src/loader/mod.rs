//! Batches of augmented views, made on threads of their own while the network trains.

mod batch;
mod batches;
mod cache;
mod config;
mod job;
mod sampler;
mod view_loader;

pub use batch::Batch;
pub use batches::{Batches, LoaderTimes};
pub use config::{LastBatch, LoaderConfig, Order, Shard};
pub use view_loader::ViewLoader;
