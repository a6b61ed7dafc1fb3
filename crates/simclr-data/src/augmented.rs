//! A set and altered copies of its images, made when they are asked for.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use simclr_augment::DecodedImage;

use crate::{Dataset, Error, FolderEnlargement, Result};

/// The images of a set, under their own indices, and behind them altered copies of some:
/// what [`FolderEnlargement::write`] puts into a folder, without the folder.
///
/// Enlarge what is trained on and never what is split afterwards.
///
/// ```
/// use simclr_data::{Dataset, DatasetExt, Enlarged, FolderEnlargement, Seed, SyntheticCores};
///
/// let cores = SyntheticCores::new(10, 32, Seed(1))?.shared();
/// let train = [2, 5];
/// let enlarged = Enlarged::new(cores, &train, FolderEnlargement::default())?;
/// assert_eq!(enlarged.len(), 10 + 2 * 3);
/// assert_eq!(enlarged.with_copies(&[5]), [5, 13, 14, 15]);
/// assert!(enlarged.name(13).ends_with(".left-right"));
/// # Ok::<(), simclr_data::Error>(())
/// ```
#[derive(Clone)]
pub struct Enlarged {
    images: Arc<dyn Dataset>,
    /// The images that have copies, ascending.
    chosen: Arc<[usize]>,
    how: FolderEnlargement,
}

impl Enlarged {
    /// `images` and copies of those at the indices `chosen`, as far as their classes are to
    /// get copies.
    ///
    /// # Errors
    /// An index past the end; a setting out of range; a class that does not exist.
    pub fn new(images: Arc<dyn Dataset>, chosen: &[usize], how: FolderEnlargement) -> Result<Self> {
        how.check(images.as_ref())?;
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

    /// The image of the set that an index is of, and if it is of a copy, which.
    fn place(&self, index: usize) -> Option<(usize, Option<usize>)> {
        let Some(copy) = index.checked_sub(self.images.len()) else {
            return Some((index, None));
        };
        let copies = self.how.copies_per_image();
        let original = self.chosen.get(copy.checked_div(copies)?)?;
        Some((*original, Some(copy % copies)))
    }

    fn known(&self, index: usize) -> Result<(usize, Option<usize>)> {
        let len = self.len();
        self.place(index).ok_or(Error::Index { index, len })
    }
}

impl Dataset for Enlarged {
    fn len(&self) -> usize {
        self.images.len() + self.chosen.len() * self.how.copies_per_image()
    }

    fn class_names(&self) -> &[String] {
        self.images.class_names()
    }

    fn label(&self, index: usize) -> Option<u32> {
        self.images.label(self.place(index)?.0)
    }

    fn name(&self, index: usize) -> String {
        match self.place(index) {
            Some((original, None)) => self.images.name(original),
            Some((original, Some(copy))) => {
                format!("{}.{}", self.images.name(original), self.how.kind(copy))
            }
            None => format!("image {index}"),
        }
    }

    fn decode(&self, index: usize) -> Result<DecodedImage> {
        let (original, copy) = self.known(index)?;
        let image = self.images.decode(original)?;
        let Some(copy) = copy else { return Ok(image) };
        let place = (self.images.as_ref(), original);
        Ok(self.how.copy(&image.to_image(), place, copy)?.to_decoded())
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DatasetExt, Seed, SyntheticCores};

    fn cores() -> Arc<dyn Dataset> {
        SyntheticCores::new(20, 24, Seed(1)).unwrap().shared()
    }

    fn both(seed: u64) -> FolderEnlargement {
        FolderEnlargement {
            copies: 2,
            seed: Seed(seed),
            ..FolderEnlargement::default()
        }
    }

    #[test]
    fn copies_belong_to_their_originals_alone() {
        let images = cores();
        let enlarged = Enlarged::new(images.clone(), &[7, 3, 7], both(1)).unwrap();
        assert_eq!(enlarged.len(), 20 + 2 * 5);
        assert_eq!(enlarged.with_copies(&[2, 7]), [2, 7, 25, 26, 27, 28, 29]);
        for index in 0..20 {
            assert_eq!(
                enlarged.decode(index).unwrap(),
                images.decode(index).unwrap()
            );
        }
        for index in 25..30 {
            assert_eq!(enlarged.label(index), images.label(7));
            assert!(enlarged.name(index).starts_with(&images.name(7)));
        }
        let flipped = enlarged.decode(20).unwrap().to_image();
        let [left_right, ..] = simclr_augment::enlarge::flipped_copies(&flipped);
        assert_eq!(left_right.to_decoded(), images.decode(3).unwrap());
        assert!(enlarged.decode(30).is_err() && enlarged.label(30).is_none());
        assert!(Enlarged::new(images, &[20], both(1)).is_err());
    }

    #[test]
    fn copies_and_digests_depend_on_the_seed_where_chance_plays_a_part() {
        let images = cores();
        let all: Vec<usize> = (0..20).collect();
        let [one, again, other] =
            [1, 1, 2].map(|seed| Enlarged::new(images.clone(), &all, both(seed)).unwrap());
        let differs = |index: &usize| {
            assert_eq!(one.decode(*index).unwrap(), again.decode(*index).unwrap());
            let digest = |set: &Enlarged| set.content_digest(*index).unwrap();
            assert_eq!(digest(&one), digest(&again));
            let images_differ = one.decode(*index).unwrap() != other.decode(*index).unwrap();
            assert!(!images_differ || digest(&one) != digest(&other));
            images_differ
        };
        let heavier = (0..20).flat_map(|image| [23 + 5 * image, 24 + 5 * image]);
        assert!(heavier.filter(differs).count() > 20);
        let mut digests: Vec<_> = (0..one.len())
            .map(|index| one.content_digest(index).unwrap())
            .collect();
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), one.len());
        // A flip is a flip, whatever the seed.
        assert_eq!(
            one.content_digest(20).unwrap(),
            other.content_digest(20).unwrap()
        );
    }

    #[test]
    fn only_the_named_classes_get_copies() {
        let images = cores();
        let name = images.class_names()[1].clone();
        let how = FolderEnlargement {
            classes: vec![name],
            ..FolderEnlargement::default()
        };
        let all: Vec<usize> = (0..20).collect();
        let enlarged = Enlarged::new(images.clone(), &all, how).unwrap();
        let of_class = (0..20).filter(|&i| images.label(i) == Some(1)).count();
        assert_eq!(enlarged.len(), 20 + 3 * of_class);
        let unknown = FolderEnlargement {
            classes: vec!["granite".into()],
            ..FolderEnlargement::default()
        };
        assert!(Enlarged::new(images, &all, unknown).is_err());
    }
}
