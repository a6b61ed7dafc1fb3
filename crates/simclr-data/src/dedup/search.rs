use petgraph::unionfind::UnionFind;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::disc::{Disc, discs};
use super::fingerprint::Fingerprint;
use super::report::{DuplicateGroup, DuplicateImage, DuplicateKind, DuplicateReport, differ};
use super::turned::turned_pairs;
use crate::dataset::Dataset;
use crate::decode::hold_memory;
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
/// deviation.
///
/// Copies turned by any angle, mirrored or not, are found by discs around the images' centres,
/// in polar coordinates and with local contrast made even: by the correlation of two discs at the
/// best angle. Discs of nine sizes are compared with the largest one, so it does not matter
/// whether a turned copy was enlarged to hold its corners, cropped to what is left within them,
/// or cropped about its centre to no less than half. For each image the 8 with the most
/// similar spectra are compared in full; their mean colours have to agree, and layered images,
/// which have little about them, need a correlation of 0.8.
///
/// Images that are connected through others are one group. Every image is decoded once, on all
/// threads; memory grows with the number of images (13 KB each), time with its square. Crops
/// away from the centre and overlapping photographs of the same spot are not found; file names
/// often tell about those, see [`Groups`](crate::Groups). `docs/experiments.md` in the
/// repository states recall and false alarms on photographs of thin sections.
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
    /// Whether mirrored and turned copies count. Default: yes.
    pub orientations: bool,
    /// Least correlation of copies turned by any angle; unrelated images, unless they are
    /// layered, stay below 0.45. Default 0.6.
    pub correlation: f32,
}

impl Default for DuplicateSearch {
    fn default() -> Self {
        Self {
            hash_distance: 12,
            difference: 0.3,
            orientations: true,
            correlation: 0.6,
        }
    }
}

/// An image of one of the parts that are searched together.
struct Candidate {
    image: DuplicateImage,
    fingerprint: Fingerprint,
    discs: Vec<Disc>,
}

impl DuplicateSearch {
    setters! {
        with_hash_distance(hash_distance: u32);
        with_difference(difference: f32);
        with_orientations(orientations: bool);
        with_correlation(correlation: f32);
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
            let candidate = |index| self.candidate(part, *dataset, index);
            let of_part = (0..dataset.len()).into_par_iter().map(candidate);
            candidates.append(&mut of_part.collect::<Result<Vec<_>>>()?);
        }
        let (distinct, mut sets) = self.connected(&candidates);
        let near = sets.clone().into_labeling();
        if self.orientations {
            let discs = distinct
                .iter()
                .map(|&index| candidates[index].discs.as_slice());
            for [a, b] in turned_pairs(&discs.collect::<Vec<_>>(), self.correlation) {
                sets.union(distinct[a], distinct[b]);
            }
        }
        let groups = Groups::by_key(sets.into_labeling()).members();
        let groups = groups.into_iter().filter(|members| members.len() > 1);
        let groups = groups.map(|members| group(&candidates, &near, &members));
        Ok(DuplicateReport {
            images: candidates.len(),
            groups: groups.collect(),
        })
    }

    fn candidate(&self, part: &str, dataset: &dyn Dataset, index: usize) -> Result<Candidate> {
        let label = dataset.label(index).map(|label| label as usize);
        let class = label.and_then(|label| dataset.class_names().get(label).cloned());
        let (fingerprint, discs) = hold_memory(|| -> Result<_> {
            let decoded = dataset.decode(index)?;
            let discs = self.orientations.then(|| discs(&decoded));
            Ok((Fingerprint::of(&decoded), discs.unwrap_or_default()))
        })?;
        Ok(Candidate {
            fingerprint,
            discs,
            image: DuplicateImage {
                part: part.to_owned(),
                index,
                name: dataset.name(index),
                class,
            },
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
        check(is_valid, "difference", "between 0 and 1", difference)?;
        let correlation = self.correlation;
        let is_valid = correlation > 0.0 && correlation <= 1.0;
        check(is_valid, "correlation", "above 0, at most 1", correlation)
    }

    /// The candidates of distinct pixels, and all of them as sets of near-duplicates.
    fn connected(&self, candidates: &[Candidate]) -> (Vec<usize>, UnionFind<usize>) {
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
        (distinct, sets)
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

/// `near`: the sets of near-duplicates that the candidates are in.
fn group(candidates: &[Candidate], near: &[usize], members: &[usize]) -> DuplicateGroup {
    let images = || members.iter().map(|&member| &candidates[member]);
    let kind = if differ(members.iter().map(|&member| near[member])) {
        DuplicateKind::TurnedCopy
    } else if differ(images().map(|candidate| candidate.fingerprint.digest)) {
        DuplicateKind::NearCopy
    } else {
        DuplicateKind::SamePixels
    };
    DuplicateGroup {
        kind,
        images: images().map(|candidate| candidate.image.clone()).collect(),
    }
}
