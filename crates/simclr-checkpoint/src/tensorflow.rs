//! TensorFlow's checkpoints ("tensor bundles", the V2 format), read without TensorFlow.
//!
//! A bundle is an index, `PREFIX.index`, and its data, `PREFIX.data-00000-of-00001` and so on.
//! The index is a table in the format of LevelDB from names to entries: type, shape, and where
//! in the data the values lie. [`Bundle`] reads any of them; nothing here knows about SimCLR.
//!
//! ```no_run
//! use simclr_checkpoint::tensorflow::Bundle;
//!
//! # fn main() -> simclr_checkpoint::Result<()> {
//! let bundle = Bundle::open("r50_1x_sk0/")?; // or a prefix, an index or a SavedModel
//! for (name, variable) in bundle.variables() {
//!     println!("{name}: {} {:?}", variable.data_type(), variable.shape());
//! }
//! let step = bundle.read("global_step")?;
//! bundle.verify()?; // reads everything and compares all checksums
//! # Ok(())
//! # }
//! ```

mod bundle;
mod checksum;
mod coding;
mod locate;
mod object_graph;
mod proto;
mod shards;
mod table;
mod variable;

pub use bundle::Bundle;
pub use locate::locate;
pub use object_graph::{ObjectGraph, SavedVariable};
pub use variable::{DataType, Variable};
