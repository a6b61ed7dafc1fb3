use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::dataset::Dataset;
use crate::error::Result;

/// Which images a run works on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetFacts {
    /// Where they come from: a folder, or the name of a generator.
    pub source: String,
    /// How many there are.
    pub images: usize,
    /// A digest of names and labels, and where it says so of contents: another digest
    /// is another data set, wherever it lies.
    pub digest: String,
}

/// What identifies a data set in a run's manifest: how many images there are, and a
/// digest of their names and labels.
pub fn dataset_facts(source: &str, images: &dyn Dataset) -> DatasetFacts {
    let mut digest = Sha256::new();
    for class in images.class_names() {
        digest.update(class);
        digest.update([0]);
    }
    for index in 0..images.len() {
        digest.update(images.name(index));
        digest.update([0]);
        digest.update(images.label(index).unwrap_or(u32::MAX).to_le_bytes());
    }
    DatasetFacts {
        source: source.to_owned(),
        images: images.len(),
        digest: hex::encode(digest.finalize()),
    }
}

/// As [`dataset_facts`], with the images' contents in the digest, which takes reading them
/// all.
///
/// # Errors
/// An image that cannot be read.
pub fn dataset_facts_with_contents(source: &str, images: &dyn Dataset) -> Result<DatasetFacts> {
    let facts = dataset_facts(source, images);
    let mut digest = Sha256::new();
    digest.update(&facts.digest);
    digest.update(content_digest(images)?);
    Ok(DatasetFacts {
        digest: hex::encode(digest.finalize()),
        ..facts
    })
}

/// A digest of the images' contents in their order; names and labels do not count.
///
/// # Errors
/// An image that cannot be read.
pub fn content_digest(images: &dyn Dataset) -> Result<String> {
    let indices = (0..images.len()).into_par_iter();
    let contents = indices.map(|index| images.content_digest(index));
    let contents: Vec<[u8; 32]> = contents.collect::<Result<_>>()?;
    Ok(hex::encode(Sha256::digest(contents.as_flattened())))
}
