use std::sync::Arc;

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::located::forward_images;

/// Sets with the same classes, one after another: the folders of two expeditions, or
/// training, validation and test images that lie in folders of their own.
///
/// ```
/// use simclr_data::{Concatenated, Dataset, DatasetExt, Seed, SyntheticCores};
///
/// let one = SyntheticCores::new(20, 32, Seed(1))?.shared();
/// let other = SyntheticCores::new(30, 32, Seed(2))?.shared();
/// let both = Concatenated::new([one, other])?;
/// assert_eq!((both.len(), both.ranges()), (50, vec![0..20, 20..50]));
/// # Ok::<(), simclr_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Concatenated {
    sets: Vec<Arc<dyn Dataset>>,
    /// Where each set ends.
    ends: Vec<usize>,
    classes: Vec<String>,
}

impl Concatenated {
    /// The images of the sets, in order.
    ///
    /// # Errors
    /// If there is no set, or two have different classes.
    pub fn new(sets: impl IntoIterator<Item = Arc<dyn Dataset>>) -> Result<Self> {
        let sets: Vec<_> = sets.into_iter().collect();
        let Some(first) = sets.first() else {
            let name = "the number of sets to join";
            return Err(Error::setting(name, "at least 1", 0));
        };
        let classes = first.class_names().to_vec();
        if let Some(other) = sets.iter().find(|set| set.class_names() != classes) {
            let expected = format!("{classes:?}, as in the first set");
            let found = format!("{:?}", other.class_names());
            let name = "the classes of sets to join";
            return Err(Error::setting(name, expected, found));
        }
        let mut end = 0;
        let ends = sets.iter().map(|set| {
            end += set.len();
            end
        });
        Ok(Self {
            ends: ends.collect(),
            classes,
            sets,
        })
    }

    /// The indices of each set's images.
    pub fn ranges(&self) -> Vec<std::ops::Range<usize>> {
        let starts = std::iter::once(&0).chain(&self.ends).zip(&self.ends);
        starts.map(|(&start, &end)| start..end).collect()
    }

    /// The set that an image is in, and its index there.
    fn locate(&self, index: usize) -> Option<(&dyn Dataset, usize)> {
        let number = self.ends.partition_point(|&end| end <= index);
        let set = self.sets.get(number)?;
        let start = self.ends.get(number)? - set.len();
        Some((set.as_ref(), index - start))
    }
}

impl Dataset for Concatenated {
    fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    fn class_names(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> Option<u32> {
        let (set, index) = self.locate(index)?;
        set.label(index)
    }

    forward_images!();

    fn labels(&self, operation: &'static str) -> Result<Vec<u32>> {
        let sets = self.sets.iter().map(|set| set.labels(operation));
        Ok(sets.collect::<Result<Vec<_>>>()?.concat())
    }

    fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for set in &self.sets {
            for (sum, count) in counts.iter_mut().zip(set.class_counts()) {
                *sum += count;
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use simclr_augment::DecodedImage;

    use super::*;
    use crate::{DatasetExt, InMemory, Seed, SyntheticCores};

    #[test]
    fn every_image_is_that_of_its_set() {
        let cores = SyntheticCores::new(30, 16, Seed(1)).unwrap();
        let parts = [0..7, 7..7, 7..30].map(|range| {
            let indices: Vec<usize> = range.collect();
            cores.subset(indices).unwrap().shared()
        });
        let whole = Concatenated::new(parts).unwrap();
        assert_eq!(whole.len(), 30);
        for index in [0, 6, 7, 29] {
            assert_eq!(whole.name(index), cores.name(index));
            assert_eq!(whole.label(index), cores.label(index));
            assert_eq!(whole.decode(index).unwrap(), cores.decode(index).unwrap());
            let digest = cores.content_digest(index).unwrap();
            assert_eq!(whole.content_digest(index).unwrap(), digest);
        }
        let error = whole.decode(30).unwrap_err().to_string();
        assert!(error.contains("30"), "{error}");
        assert_eq!(whole.label(30), None);
    }

    #[test]
    fn sets_with_other_classes_are_refused() {
        let image = || DecodedImage::new(1, 1, vec![0; 3]).unwrap();
        let set = |class: &str| {
            let set = InMemory::labelled(vec![image()], vec![0], vec![class.into()]);
            set.unwrap().shared()
        };
        let joined = Concatenated::new([set("crack"), set("cracks")]);
        let text = joined.unwrap_err().to_string();
        assert!(text.contains("crack\"]"), "{text}");
        assert!(text.contains("cracks"), "{text}");
        assert!(Concatenated::new([]).is_err());
    }
}
