//! Images that are in the pools of a task more than once.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use simclr_data::{
    Dataset, DuplicateGroup, DuplicateReport, DuplicateSearch, Groups, Split,
    dataset_facts_with_contents,
};
use simclr_files::{Error as FileError, read_json, write_json};

use crate::error::{Error, Result};
use crate::files;

/// What is done about images that are there more than once. Whatever is found, the report says so;
/// and those of the unlabelled images that are copies of a fold's test images take no part in
/// self-supervision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Duplicates {
    /// They are looked for (default).
    #[default]
    Warn,
    /// They are looked for, and labelled ones stay together in one subset of every split.
    KeepTogether,
    /// They are not looked for.
    Ignore,
}

/// The pools, as the parts of a report are called.
pub(crate) const LABELLED: &str = "labelled";
pub(crate) const UNLABELLED: &str = "unlabelled";

/// What a search over all pools found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DuplicateRecord {
    /// A digest of what was searched, and how.
    searched: String,
    pub(crate) report: DuplicateReport,
}

impl DuplicateRecord {
    /// Searches the labelled images and perhaps others together, unless the study in `dir` has
    /// recorded the result.
    pub(crate) fn find(
        search: &DuplicateSearch,
        labelled: &dyn Dataset,
        unlabelled: Option<&dyn Dataset>,
        dir: Option<&Path>,
    ) -> Result<Self> {
        let mut pools = vec![(LABELLED, labelled)];
        pools.extend(unlabelled.map(|images| (UNLABELLED, images)));
        let searched = digest_of_search(search, &pools)?;
        let recorded = dir.map(Self::read).transpose()?.flatten();
        if let Some(recorded) = recorded.filter(|recorded| recorded.searched == searched) {
            return Ok(recorded);
        }
        Ok(Self {
            searched,
            report: search.among(&pools)?,
        })
    }

    fn read(dir: &Path) -> Result<Option<Self>> {
        match read_json(&dir.join(files::DUPLICATES)) {
            Err(error @ FileError::Io { .. }) => Err(error.into()),
            Err(damaged) => {
                tracing::warn!("{damaged}; duplicates are searched for again");
                Ok(None)
            }
            Ok(record) => Ok(record),
        }
    }

    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        Ok(write_json(&dir.join(files::DUPLICATES), self)?)
    }

    /// Labelled images that are copies of each other as groups; every other image is a group of
    /// its own.
    pub(crate) fn groups(&self, labelled: usize) -> Groups {
        let mut keys: Vec<usize> = (0..labelled).collect();
        for group in &self.report.groups {
            let first = indices(group, LABELLED).next().unwrap_or_default();
            for member in indices(group, LABELLED) {
                if let Some(key) = keys.get_mut(member) {
                    *key = first;
                }
            }
        }
        Groups::by_key(keys)
    }

    /// How many of a fold's test images have a copy among its training or validation images.
    pub(crate) fn leaked(&self, fold: &Split<Vec<usize>>) -> usize {
        let of_group = self.report.groups.iter().map(|group| {
            let (test, others): (Vec<_>, Vec<_>) =
                indices(group, LABELLED).partition(|index| fold.test.binary_search(index).is_ok());
            if others.is_empty() { 0 } else { test.len() }
        });
        of_group.sum()
    }

    /// The unlabelled images that are copies of a fold's test images, in order.
    pub(crate) fn unlabelled_copies(&self, fold: &Split<Vec<usize>>) -> BTreeSet<usize> {
        let is_tested = |group: &&DuplicateGroup| {
            indices(group, LABELLED).any(|index| fold.test.binary_search(&index).is_ok())
        };
        let tested = self.report.groups.iter().filter(is_tested);
        tested
            .flat_map(|group| indices(group, UNLABELLED))
            .collect()
    }

    /// A digest of which unlabelled images are copies of which labelled ones, if any are. It is
    /// part of a study's identity, since self-supervision leaves some of them out.
    pub(crate) fn digest_of_leaks(&self) -> Option<String> {
        let mut digest = Sha256::new();
        for group in self.report.leaks() {
            for image in &group.images {
                digest.update(format!("{} {},", image.part, image.index));
            }
            digest.update(";");
        }
        let is_any = self.report.leaks().next().is_some();
        is_any.then(|| hex::encode(digest.finalize()))
    }
}

/// The images of a group that are in a pool.
fn indices(group: &DuplicateGroup, pool: &str) -> impl Iterator<Item = usize> {
    let images = group.images.iter();
    images
        .filter(move |image| image.part == pool)
        .map(|image| image.index)
}

fn digest_of_search(search: &DuplicateSearch, pools: &[(&str, &dyn Dataset)]) -> Result<String> {
    let settings = serde_json::to_string(search);
    let settings = settings.map_err(FileError::json("duplicate search".as_ref()));
    let mut digest = Sha256::new();
    // Another version may find others.
    digest.update(env!("CARGO_PKG_VERSION"));
    digest.update(settings.map_err(Error::from)?);
    for (pool, images) in pools {
        digest.update(dataset_facts_with_contents(pool, *images)?.digest);
    }
    Ok(hex::encode(digest.finalize()))
}
