//! Images that are in a data set more than once.

mod disc;
mod fingerprint;
mod report;
mod search;
mod turned;

pub use report::{DuplicateGroup, DuplicateImage, DuplicateKind, DuplicateReport};
pub use search::DuplicateSearch;
