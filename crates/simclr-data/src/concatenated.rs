use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use simclr_files::{FirstSpellings, same_names};

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::located::forward_contents;

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
    parts: Vec<Part>,
    classes: Vec<String>,
}

/// One of the sets.
#[derive(Debug, Clone)]
struct Part {
    set: Arc<dyn Dataset>,
    /// The indices of its images.
    range: Range<usize>,
    /// What stands before the names of its images.
    prefix: Option<String>,
    /// What its labels become, if they do not stay.
    labels: Option<Vec<u32>>,
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
        let differs = |set: &&Arc<dyn Dataset>| !same_names(set.class_names(), &classes);
        if let Some(other) = sets.iter().find(differs) {
            let expected = format!("{classes:?}, as in the first set");
            let found = format!("{:?}", other.class_names());
            let name = "the classes of sets to join";
            return Err(Error::setting(name, expected, found));
        }
        let parts = parts(sets);
        Ok(Self { parts, classes })
    }

    /// The images of named sets, such as expeditions, in order. The classes are those of all
    /// sets, sorted by name, and an image's name begins with that of its set.
    ///
    /// ```
    /// use simclr_data::{Concatenated, Dataset, DatasetExt, Seed, SyntheticCores};
    ///
    /// let sets = [("383", Seed(1)), ("385", Seed(2))].map(|(name, seed)| {
    ///     let cores = SyntheticCores::new(20, 32, seed)?;
    ///     Ok((name.to_owned(), cores.shared()))
    /// });
    /// let both = Concatenated::named(sets.into_iter().collect::<simclr_data::Result<Vec<_>>>()?)?;
    /// assert!(both.name(25).starts_with("385/"));
    /// # Ok::<(), simclr_data::Error>(())
    /// ```
    ///
    /// # Errors
    /// If there is no set, two have the same name, or only some have classes.
    pub fn named(sets: impl IntoIterator<Item = (String, Arc<dyn Dataset>)>) -> Result<Self> {
        let (prefixes, sets): (Vec<String>, Vec<_>) = sets.into_iter().unzip();
        let names: BTreeSet<&String> = prefixes.iter().collect();
        if names.len() < sets.len() || sets.is_empty() {
            let name = "the names of sets to join";
            let found = format!("{prefixes:?}");
            return Err(Error::setting(name, "at least one, each once", found));
        }
        let mut spellings = FirstSpellings::default();
        let names = sets.iter().flat_map(|set| set.class_names());
        let classes: BTreeSet<String> = names.map(|class| spellings.of(class)).collect();
        let without = sets.iter().position(|set| set.class_names().is_empty());
        if let Some(without) = without.filter(|_| !classes.is_empty()) {
            let name = "the classes of sets to join";
            let found = format!("none in {}", prefixes[without]);
            return Err(Error::setting(name, "some in each set", found));
        }
        let classes: Vec<String> = classes.into_iter().collect();
        let mut number = |class: &String| {
            let class = spellings.of(class);
            classes.partition_point(|known| *known < class) as u32
        };
        let mut parts = parts(sets);
        for (part, prefix) in parts.iter_mut().zip(prefixes) {
            part.labels = Some(part.set.class_names().iter().map(&mut number).collect());
            part.prefix = Some(prefix);
        }
        Ok(Self { parts, classes })
    }

    /// The indices of each set's images.
    pub fn ranges(&self) -> Vec<Range<usize>> {
        self.parts.iter().map(|part| part.range.clone()).collect()
    }

    /// The part that an image is in, and its index there.
    fn find(&self, index: usize) -> Option<(&Part, usize)> {
        let number = self.parts.partition_point(|part| part.range.end <= index);
        let part = self.parts.get(number)?;
        Some((part, index - part.range.start))
    }

    /// The set that an image is in, and its index there.
    fn locate(&self, index: usize) -> Option<(&dyn Dataset, usize)> {
        let (part, within) = self.find(index)?;
        Some((part.set.as_ref(), within))
    }
}

impl Part {
    /// What a label of the set becomes.
    fn joined_label(&self, label: u32) -> u32 {
        let labels = self.labels.as_ref();
        let joined = labels.and_then(|labels| labels.get(label as usize));
        joined.copied().unwrap_or(label)
    }
}

/// The sets one after another, whose names and labels stay.
fn parts(sets: Vec<Arc<dyn Dataset>>) -> Vec<Part> {
    let mut end = 0;
    let parts = sets.into_iter().map(|set| {
        let start = end;
        end += set.len();
        Part {
            set,
            range: start..end,
            prefix: None,
            labels: None,
        }
    });
    parts.collect()
}

impl Dataset for Concatenated {
    fn len(&self) -> usize {
        self.parts.last().map_or(0, |part| part.range.end)
    }

    fn class_names(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> Option<u32> {
        let (part, within) = self.find(index)?;
        Some(part.joined_label(part.set.label(within)?))
    }

    fn name(&self, index: usize) -> String {
        let Some((part, within)) = self.find(index) else {
            return format!("image {index}");
        };
        let name = part.set.name(within);
        match &part.prefix {
            Some(prefix) => format!("{prefix}/{name}"),
            None => name,
        }
    }

    forward_contents!();

    fn labels(&self, operation: &'static str) -> Result<Vec<u32>> {
        let mut all = Vec::with_capacity(self.len());
        for part in &self.parts {
            let labels = part.set.labels(operation)?.into_iter();
            all.extend(labels.map(|label| part.joined_label(label)));
        }
        Ok(all)
    }

    fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for part in &self.parts {
            for (label, count) in part.set.class_counts().into_iter().enumerate() {
                let joined = part.joined_label(label as u32) as usize;
                if let Some(sum) = counts.get_mut(joined) {
                    *sum += count;
                }
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
    fn named_sets_have_the_classes_of_all() {
        let set = |classes: [&str; 2]| {
            let image = || DecodedImage::new(1, 1, vec![0; 3]).unwrap();
            let classes = classes.map(str::to_owned).to_vec();
            let set = InMemory::labelled(vec![image(), image()], vec![0, 1], classes);
            set.unwrap().shared()
        };
        let sets = [("383", ["none", "soupy"]), ("385", ["crack", "none"])];
        let sets = sets.map(|(name, classes)| (name.to_owned(), set(classes)));
        let both = Concatenated::named(sets.clone()).unwrap();
        assert_eq!(both.class_names(), ["crack", "none", "soupy"]);
        assert_eq!(both.labels("a test").unwrap(), [1, 2, 0, 1]);
        assert_eq!([both.label(1), both.label(2)], [Some(2), Some(0)]);
        assert_eq!(both.class_counts(), [1, 2, 1]);
        assert_eq!(both.name(2), "385/image 0");
        let [first, _] = sets;
        assert!(Concatenated::named([first.clone(), first.clone()]).is_err());
        let unlabelled = InMemory::unlabelled(Vec::new()).shared();
        let error = Concatenated::named([first, ("386".to_owned(), unlabelled)]).unwrap_err();
        assert!(error.to_string().contains("none in 386"), "{error}");
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
