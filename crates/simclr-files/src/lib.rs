//! Files that are either complete or not there.
//!
//! Everything that `simclr` leaves on disk is written beside its place under a temporary name
//! and renamed into it: a reader sees the old content or the new one, never a part, whatever
//! happens to the process in between.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("seeds.json");
//! simclr_files::write_json(&path, &[1, 2, 3])?;
//! assert_eq!(simclr_files::read_json::<Vec<u32>>(&path)?, Some(vec![1, 2, 3]));
//! # Ok(())
//! # }
//! ```

mod atomic;
mod error;
mod json;

pub use atomic::{Durability, remove_leftovers, replace_atomically, write_atomically, write_bytes};
pub use error::{Error, Result};
pub use json::{read_json, write_json};
