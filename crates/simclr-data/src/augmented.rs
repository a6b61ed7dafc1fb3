use std::sync::Arc;

use sha2::{Digest, Sha256};
use simclr_augment::DecodedImage;

use crate::dataset::{Dataset, IntoDataset, count_labels};
use crate::depth_position::DepthPosition;
use crate::error::{Error, Result};
use crate::offline_augmentation::OfflineAugmentation;

/// The images of a set, under their own indices, followed by altered copies of some: what
/// [`OfflineAugmentation::write`] puts into a folder, without the folder.
///
/// Augment the training part of a split, not what is split afterwards.
///
/// ```
/// use simclr_data::{AugmentedDataset, Dataset, OfflineAugmentation, Seed, SyntheticCores};
///
/// let cores = SyntheticCores::new(10, 32, Seed(1))?;
/// let train = [2, 5];
/// let augmented = AugmentedDataset::new(cores, &train, OfflineAugmentation::default())?;
/// assert_eq!(augmented.len(), 10 + 2 * 3);
/// assert_eq!(augmented.with_copies(&[5]), [5, 13, 14, 15]);
/// assert!(augmented.name(13).ends_with(".left-right"));
/// # Ok::<(), simclr_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct AugmentedDataset {
    images: Arc<dyn Dataset>,
    /// The images that have copies, ascending.
    chosen: Arc<[usize]>,
    how: OfflineAugmentation,
}

impl AugmentedDataset {
    /// `images` and copies of those at the indices `chosen`, as far as their classes are to
    /// get copies.
    ///
    /// # Errors
    /// An index past the end; a setting out of range; a class that does not exist.
    pub fn new(
        images: impl IntoDataset,
        chosen: &[usize],
        how: OfflineAugmentation,
    ) -> Result<Self> {
        let images = images.into_dataset();
        how.validate_for(images.as_ref())?;
        let len = images.len();
        if let Some(&index) = chosen.iter().find(|&&index| index >= len) {
            return Err(Error::Index { index, len });
        }
        let is_chosen = |index: &usize| how.is_chosen(images.as_ref(), *index);
        let mut chosen: Vec<usize> = chosen.iter().copied().filter(is_chosen).collect();
        chosen.sort_unstable();
        chosen.dedup();
        Ok(Self {
            chosen: chosen.into(),
            images,
            how,
        })
    }

    /// These images, each followed by its copies.
    pub fn with_copies(&self, indices: &[usize]) -> Vec<usize> {
        let copies = self.how.copies_per_image();
        let mut all = Vec::with_capacity(indices.len() * (1 + copies));
        for &index in indices {
            all.push(index);
            if let Ok(rank) = self.chosen.binary_search(&index) {
                let first = self.images.len() + rank * copies;
                all.extend(first..first + copies);
            }
        }
        all
    }

    /// The original's index in the set, and the copy's number if it is a copy.
    fn locate(&self, index: usize) -> Option<(usize, Option<usize>)> {
        let Some(copy) = index.checked_sub(self.images.len()) else {
            return Some((index, None));
        };
        let copies = self.how.copies_per_image();
        let original = self.chosen.get(copy.checked_div(copies)?)?;
        Some((*original, Some(copy % copies)))
    }

    fn known(&self, index: usize) -> Result<(usize, Option<usize>)> {
        let len = self.len();
        self.locate(index).ok_or(Error::Index { index, len })
    }
}

impl Dataset for AugmentedDataset {
    fn len(&self) -> usize {
        self.images.len() + self.chosen.len() * self.how.copies_per_image()
    }

    fn class_names(&self) -> &[String] {
        self.images.class_names()
    }

    fn label(&self, index: usize) -> Option<u32> {
        self.images.label(self.locate(index)?.0)
    }

    fn name(&self, index: usize) -> String {
        match self.locate(index) {
            Some((original, None)) => self.images.name(original),
            Some((original, Some(copy))) => {
                format!("{}.{}", self.images.name(original), self.how.suffix(copy))
            }
            None => format!("image {index}"),
        }
    }

    fn position(&self, index: usize) -> Option<DepthPosition> {
        self.images.position(self.locate(index)?.0)
    }

    fn decode(&self, index: usize) -> Result<DecodedImage> {
        let (original, copy) = self.known(index)?;
        let image = self.images.decode(original)?;
        let Some(copy) = copy else { return Ok(image) };
        let images = self.images.as_ref();
        let copy = self.how.copy(&image.to_image(), images, original, copy)?;
        Ok(copy.to_decoded())
    }

    /// A copy's is that of its original and of what made it, so it costs no decoding.
    fn content_digest(&self, index: usize) -> Result<[u8; 32]> {
        let (original, copy) = self.known(index)?;
        let of_original = self.images.content_digest(original)?;
        let Some(copy) = copy else {
            return Ok(of_original);
        };
        let mut digest = Sha256::new();
        digest.update(of_original);
        digest.update(self.how.recipe(original, copy));
        Ok(digest.finalize().into())
    }

    fn labels(&self, operation: &'static str) -> Result<Vec<u32>> {
        let mut labels = self.images.labels(operation)?;
        for &original in self.chosen.iter() {
            if let Some(&label) = labels.get(original) {
                labels.extend(std::iter::repeat_n(label, self.how.copies_per_image()));
            }
        }
        Ok(labels)
    }

    fn class_counts(&self) -> Vec<usize> {
        let copied = self.chosen.iter().filter_map(|&i| self.images.label(i));
        let copied = count_labels(self.class_names().len(), copied);
        let mut counts = self.images.class_counts();
        for (count, copied) in counts.iter_mut().zip(copied) {
            *count += copied * self.how.copies_per_image();
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{DatasetExt, Seed, SyntheticCores};

    fn cores() -> Arc<dyn Dataset> {
        SyntheticCores::new(20, 24, Seed(1)).unwrap().shared()
    }

    fn both(seed: u64) -> OfflineAugmentation {
        OfflineAugmentation::default()
            .with_copies(2)
            .with_seed(Seed(seed))
    }

    #[test]
    fn copies_belong_to_their_originals_alone() {
        let images = cores();
        let augmented = AugmentedDataset::new(images.clone(), &[7, 3, 7], both(1)).unwrap();
        assert_eq!(augmented.len(), 20 + 2 * 5);
        assert_eq!(augmented.with_copies(&[2, 7]), [2, 7, 25, 26, 27, 28, 29]);
        for index in 0..20 {
            let original = images.decode(index).unwrap();
            assert_eq!(augmented.decode(index).unwrap(), original);
        }
        for index in 25..30 {
            assert_eq!(augmented.label(index), images.label(7));
            assert!(augmented.name(index).starts_with(&images.name(7)));
        }
        let flipped = augmented.decode(20).unwrap().to_image();
        let [left_right, ..] = simclr_augment::offline::flipped_copies(&flipped);
        assert_eq!(left_right.to_decoded(), images.decode(3).unwrap());
        assert!(augmented.decode(30).is_err() && augmented.label(30).is_none());
        assert!(AugmentedDataset::new(images, &[20], both(1)).is_err());
    }

    #[test]
    fn copies_and_digests_depend_on_the_seed_where_chance_plays_a_part() {
        let images = cores();
        let all: Vec<usize> = (0..20).collect();
        let [one, again, other] =
            [1, 1, 2].map(|seed| AugmentedDataset::new(images.clone(), &all, both(seed)).unwrap());
        let differs = |index: &usize| {
            assert_eq!(one.decode(*index).unwrap(), again.decode(*index).unwrap());
            let digest = |set: &AugmentedDataset| set.content_digest(*index).unwrap();
            assert_eq!(digest(&one), digest(&again));
            let images_differ = one.decode(*index).unwrap() != other.decode(*index).unwrap();
            assert!(!images_differ || digest(&one) != digest(&other));
            images_differ
        };
        let heavier = (0..20).flat_map(|image| [23 + 5 * image, 24 + 5 * image]);
        assert!(heavier.filter(differs).count() > 20);
        let digest = |set: &AugmentedDataset, index| set.content_digest(index).unwrap();
        let digests: BTreeSet<_> = (0..one.len()).map(|index| digest(&one, index)).collect();
        assert_eq!(digests.len(), one.len());
        // A flip is a flip, whatever the seed.
        assert_eq!(digest(&one, 20), digest(&other, 20));
    }

    #[test]
    fn only_the_named_classes_get_copies() {
        let images = cores();
        let name = images.class_names()[1].clone();
        let how = OfflineAugmentation::default().with_classes([name]);
        let all: Vec<usize> = (0..20).collect();
        let augmented = AugmentedDataset::new(images.clone(), &all, how).unwrap();
        let of_class = (0..20).filter(|&i| images.label(i) == Some(1)).count();
        assert_eq!(augmented.len(), 20 + 3 * of_class);
        let unknown = OfflineAugmentation::default().with_classes(["granite"]);
        assert!(AugmentedDataset::new(images, &all, unknown).is_err());
    }
}
