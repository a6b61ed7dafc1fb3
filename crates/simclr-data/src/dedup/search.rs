use petgraph::unionfind::UnionFind;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;
use super::report::{DuplicateGroup, DuplicateImage, DuplicateReport, differ};
use crate::dataset::Dataset;
use crate::error::{Result, check};
use crate::setters::setters;
use crate::split::{Groups, Split};

/// Finds images that are the same, pixel by pixel or nearly so: files copied into two
/// folders, images saved again at another quality or size, and mirrored or turned copies,
/// as offline augmentation makes them.
///
/// An image in the training set whose duplicate is in the test set inflates test accuracy.
///
/// Equal pixels are found by a digest (SHA-256 of size and bytes). Near-duplicates are
/// found in two steps. The signs of the 63 lowest frequencies of the brightness (a
/// perceptual hash: the discrete cosine transform of a 16 x 16 thumbnail) select the pairs
/// to compare, and the thumbnails in colour decide: the root mean square of their
/// difference, once each is freed of its mean colour, as a part of their own standard
/// deviation. Images that are connected through others are one group.
///
/// Every image is decoded once, on all threads; then all pairs of hashes are compared,
/// about a second for 20,000 images. Crops and overlapping photographs of the same spot are
/// not found; file names often tell about those, see [`Groups`](crate::Groups).
///
/// ```
/// use simclr_augment::DecodedImage;
/// use simclr_data::{Dataset, DuplicateSearch, InMemory, SyntheticCores, Seed};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cores = SyntheticCores::new(20, 64, Seed(1))?;
/// let mut images = InMemory::collect(&cores)?.images().to_vec();
/// images.push(images[3].clone());
/// let cores = InMemory::unlabelled(images);
///
/// let report = DuplicateSearch::default().within(&cores)?;
/// assert_eq!(report.groups.len(), 1);
/// assert!(report.to_string().contains("image 3 = image 20"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DuplicateSearch {
    /// Largest number of the 63 signs in which near-duplicates may differ. Default 12.
    pub hash_distance: u32,
    /// Largest difference of the thumbnails of near-duplicates, as a part of their
    /// standard deviation; unrelated images have about 1.4. Default 0.3.
    pub difference: f32,
    /// Whether mirrored copies and copies turned by quarters count. Default: yes.
    pub orientations: bool,
}

impl Default for DuplicateSearch {
    fn default() -> Self {
        Self {
            hash_distance: 12,
            difference: 0.3,
            orientations: true,
        }
    }
}

/// An image of one of the parts that are searched together.
struct Candidate {
    image: DuplicateImage,
    fingerprint: Fingerprint,
}

impl DuplicateSearch {
    setters! {
        with_hash_distance(hash_distance: u32);
        with_difference(difference: f32);
        with_orientations(orientations: bool);
    }

    /// Searches one set.
    ///
    /// # Errors
    /// If an image cannot be decoded, or a setting is out of range.
    pub fn within(&self, dataset: &dyn Dataset) -> Result<DuplicateReport> {
        self.among(&[("", dataset)])
    }

    /// Searches the parts of a split together. The groups that leak from one part into
    /// another are [`DuplicateReport::leaks`].
    ///
    /// # Errors
    /// As [`Self::within`].
    pub fn across<D: Dataset>(&self, split: &Split<D>) -> Result<DuplicateReport> {
        self.among(&[
            ("train", &split.train),
            ("validation", &split.validation),
            ("test", &split.test),
        ])
    }

    /// Searches any number of sets together, each with a name for the report.
    ///
    /// # Errors
    /// As [`Self::within`].
    pub fn among(&self, parts: &[(&str, &dyn Dataset)]) -> Result<DuplicateReport> {
        self.validate()?;
        let mut candidates = Vec::new();
        for (part, dataset) in parts {
            let candidate = |index| candidate(part, *dataset, index);
            let of_part = (0..dataset.len()).into_par_iter().map(candidate);
            candidates.append(&mut of_part.collect::<Result<Vec<_>>>()?);
        }
        let sets = self.connected(&candidates).into_labeling();
        let groups = Groups::by_key(sets).members();
        let groups = groups.into_iter().filter(|members| members.len() > 1);
        Ok(DuplicateReport {
            images: candidates.len(),
            groups: groups.map(|members| group(&candidates, &members)).collect(),
        })
    }

    /// Fails if a setting is out of range.
    ///
    /// # Errors
    /// Names the setting.
    pub fn validate(&self) -> Result<()> {
        let (distance, difference) = (self.hash_distance, self.difference);
        check(distance <= 63, "hash_distance", "at most 63", distance)?;
        let is_valid = (0.0..=1.0).contains(&difference);
        check(is_valid, "difference", "between 0 and 1", difference)
    }

    /// The candidates as sets of duplicates.
    fn connected(&self, candidates: &[Candidate]) -> UnionFind<usize> {
        let mut sets = UnionFind::new(candidates.len());
        // Copies of equal pixels follow the first of them, which stands for all.
        let mut by_digest: Vec<usize> = (0..candidates.len()).collect();
        let digest = |index: usize| candidates[index].fingerprint.digest;
        by_digest.sort_by_key(|&index| (digest(index), index));
        let mut distinct: Vec<usize> = Vec::new();
        for run in by_digest.chunk_by(|&a, &b| digest(a) == digest(b)) {
            distinct.extend(run.first());
            for &copy in run {
                sets.union(run[0], copy);
            }
        }
        distinct.sort_unstable();

        // Some rows at a time, so that a set full of duplicates needs little memory.
        const ROWS: usize = 256;
        for block in (0..distinct.len()).step_by(ROWS) {
            let rows = block..(block + ROWS).min(distinct.len());
            let pairs: Vec<(usize, usize)> = rows
                .into_par_iter()
                .flat_map_iter(|row| {
                    let first = distinct[row];
                    let is_duplicate = self.duplicates_of(&candidates[first].fingerprint);
                    let others = distinct[row + 1..].iter().copied();
                    others
                        .filter(move |&other| is_duplicate(&candidates[other].fingerprint))
                        .map(move |other| (first, other))
                })
                .collect();
            for (first, other) in pairs {
                sets.union(first, other);
            }
        }
        sets
    }

    /// Whether another image is a near-duplicate of this one.
    fn duplicates_of(&self, first: &Fingerprint) -> impl Fn(&Fingerprint) -> bool + use<> {
        let settings = *self;
        let mut orientations = first.thumbnail.orientations().to_vec();
        if !settings.orientations {
            orientations.truncate(1);
        }
        move |other| {
            let other = &other.thumbnail;
            orientations.iter().any(|first| {
                (first.hash ^ other.hash).count_ones() <= settings.hash_distance
                    && first.difference(other) <= settings.difference
            })
        }
    }
}

fn candidate(part: &str, dataset: &dyn Dataset, index: usize) -> Result<Candidate> {
    let label = dataset.label(index).map(|label| label as usize);
    let class = label.and_then(|label| dataset.class_names().get(label).cloned());
    Ok(Candidate {
        fingerprint: Fingerprint::of(&dataset.decode(index)?),
        image: DuplicateImage {
            part: part.to_owned(),
            index,
            name: dataset.name(index),
            class,
        },
    })
}

fn group(candidates: &[Candidate], members: &[usize]) -> DuplicateGroup {
    let members = || members.iter().map(|&member| &candidates[member]);
    let digests = members().map(|candidate| candidate.fingerprint.digest);
    DuplicateGroup {
        identical: !differ(digests),
        images: members().map(|candidate| candidate.image.clone()).collect(),
    }
}
