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
//! use std::collections::BTreeMap;
//!
//! let seeds = BTreeMap::from([("views".to_owned(), 1), ("weights".to_owned(), 2)]);
//! simclr_files::write_json(&path, &seeds)?;
//! assert_eq!(simclr_files::read_json(&path)?, Some(seeds));
//! # Ok(())
//! # }
//! ```
//!
//! Every file holds the SHA-256 of its content, which is compared when it is read: a JSON file in
//! the field `sha256`, others where their format has room for it ([`write_with_digest`]).
//!
//! Names in tables are compared with names of files whatever their Unicode form
//! ([`normalized_name`], [`FileFinder`]).

mod atomic;
mod digest;
mod error;
mod forms;
mod json;
mod names;

pub use atomic::{
    Durability, check_destination, remove_leftovers, replace_atomically, write_atomically,
    write_bytes, write_folder, write_with_digest,
};
pub use digest::{DIGEST_LENGTH, DIGEST_PLACEHOLDER, Digest, digest_around};
pub use error::{Error, Result};
pub use forms::{describe_forms, normalized_name, same_names};
pub use json::{read_json, write_json};
pub use names::{FileFinder, FirstSpellings};

/// The program of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
