//! Images that are in a data set more than once.

mod fingerprint;
mod report;
mod search;

pub use report::{DuplicateGroup, DuplicateImage, DuplicateReport};
pub use search::DuplicateSearch;
