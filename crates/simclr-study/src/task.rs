//! The images of an experiment, and what is known about them.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use simclr_data::{
    ClassMap, Concatenated, Dataset, DatasetExt, DuplicateReport, DuplicateSearch, Groups,
    PartlyLabelled, Seed, Split, Subset, check_class_count,
};
use simclr_files::Error as FileError;
use simclr_model::SimClr;

use crate::duplicates::{DuplicateRecord, Duplicates};
use crate::error::{Error, Result};
use crate::fingerprint::parameters_digest;
use crate::fold_scheme::FoldScheme;

/// What a manifest calls the digest of the network that methods start from.
pub(crate) const START_NETWORK: &str = "start network";

/// The images of an experiment: labelled ones, from which folds are cut, and perhaps
/// more without labels.
///
/// Splits and label budgets are drawn by the images' original classes, and a class map
/// ([`Task::with_class_map`]) is put over them afterwards, so that a binary task has the same
/// folds as the one with all classes.
#[derive(Clone)]
pub struct Task {
    source: String,
    images: Arc<dyn Dataset>,
    labelled: Arc<dyn Dataset>,
    groups: Option<Groups>,
    /// The labelled images that are copies of each other, if those are to be kept together.
    copies: Option<Groups>,
    given: Option<Split<Vec<usize>>>,
    extra_unlabelled: Option<Arc<dyn Dataset>>,
    pub(crate) duplicates: Option<DuplicateRecord>,
    remarks: Vec<String>,
    /// The digest of the network that methods start from.
    pub(crate) start_network: Option<String>,
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extra = self.extra_unlabelled.as_ref();
        f.debug_struct("Task")
            .field("source", &self.source)
            .field("images", &self.images.len())
            .field("classes", &self.labelled.class_names())
            .field("extra_unlabelled", &extra.map(|images| images.len()))
            .finish_non_exhaustive()
    }
}

impl Task {
    /// Labelled images; `source` says in the report where they come from.
    ///
    /// # Errors
    /// An image without a label; fewer than two classes.
    pub fn new(source: impl Into<String>, images: Arc<dyn Dataset>) -> Result<Self> {
        images.labels("an experiment")?;
        check_class_count(images.class_names())?;
        Ok(Self {
            source: source.into(),
            labelled: images.clone(),
            images,
            groups: None,
            copies: None,
            given: None,
            extra_unlabelled: None,
            duplicates: None,
            remarks: Vec::new(),
            start_network: None,
        })
    }

    /// Adds a paragraph about the images to the report, such as which files were left out.
    pub fn with_remark(mut self, text: impl Into<String>) -> Self {
        self.remarks.push(text.into());
        self
    }

    /// Labelled images that are split already: every scheme of folds is this one split.
    ///
    /// # Errors
    /// Parts with different classes; an image without a label.
    pub fn presplit(source: impl Into<String>, parts: Split<Arc<dyn Dataset>>) -> Result<Self> {
        let all = Concatenated::new([parts.train, parts.validation, parts.test])?;
        let mut ranges = all.ranges().into_iter().map(Iterator::collect);
        let mut next = || ranges.next().unwrap_or_default();
        let given = Split {
            train: next(),
            validation: next(),
            test: next(),
        };
        let mut task = Self::new(source, all.shared())?;
        task.given = Some(given);
        Ok(task)
    }

    /// The same images with other classes.
    ///
    /// # Errors
    /// A map that does not fit the classes, or leaves fewer than two.
    pub fn with_class_map(&self, map: &ClassMap) -> Result<Self> {
        let labelled = map.apply(self.images.clone())?;
        check_class_count(labelled.class_names())?;
        Ok(Self {
            labelled: Arc::new(labelled),
            ..self.clone()
        })
    }

    /// Keeps groups of images together in one part of every split, and with those that
    /// are kept together already.
    ///
    /// # Errors
    /// Groups of another number of images; a task that is split already.
    pub fn with_groups(mut self, groups: &Groups) -> Result<Self> {
        if self.given.is_some() {
            let expected = "images that are not split yet";
            return Err(Error::setting("groups", expected, "a given split"));
        }
        self.groups = Some(match &self.groups {
            Some(known) => known.joined(groups)?,
            None => groups.clone(),
        });
        Ok(self)
    }

    /// Adds images without labels for self-supervision. If they have labels, those are
    /// not seen. Duplicates are to be searched for afterwards: an earlier search is forgotten.
    pub fn with_unlabelled(mut self, images: Arc<dyn Dataset>) -> Self {
        self.extra_unlabelled = Some(images);
        self.duplicates = None;
        self
    }

    /// Says which network the methods start from. A study's folder then belongs to this network:
    /// another one is refused when the study is [opened](crate::Study::open), before it is
    /// recorded, and not only by the first result on record.
    ///
    /// # Errors
    /// Parameters that cannot be read.
    pub fn with_start_network(mut self, network: &SimClr) -> Result<Self> {
        self.start_network = Some(parameters_digest(&network.store()?)?);
        Ok(self)
    }

    /// Looks for images that are there more than once, among the labelled and the unlabelled
    /// ones together. Unlabelled images that are copies of a fold's test images are left out of
    /// self-supervision; labelled ones are kept together if asked to.
    ///
    /// # Errors
    /// An image that cannot be decoded; images to be kept together that are split already.
    pub fn with_duplicate_search(
        self,
        search: &DuplicateSearch,
        duplicates: Duplicates,
    ) -> Result<Self> {
        self.searched(search, duplicates, None)
    }

    /// [`with_duplicate_search`](Self::with_duplicate_search), whose result is read where the
    /// study in `dir` has recorded that of the same search.
    ///
    /// # Errors
    /// As [`with_duplicate_search`](Self::with_duplicate_search); a record that cannot be read.
    pub fn with_recorded_duplicate_search(
        self,
        search: &DuplicateSearch,
        duplicates: Duplicates,
        dir: impl AsRef<Path>,
    ) -> Result<Self> {
        self.searched(search, duplicates, Some(dir.as_ref()))
    }

    fn searched(
        mut self,
        search: &DuplicateSearch,
        duplicates: Duplicates,
        dir: Option<&Path>,
    ) -> Result<Self> {
        if duplicates == Duplicates::Ignore {
            return Ok(self);
        }
        let unlabelled = self.extra_unlabelled.as_deref();
        let record = DuplicateRecord::find(search, &self.images, unlabelled, dir)?;
        let groups = record.groups(self.images.len());
        self.duplicates = Some(record);
        if duplicates == Duplicates::KeepTogether {
            self = self.with_groups(&groups)?;
            self.copies = Some(groups);
        }
        Ok(self)
    }

    /// Where the images come from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// All labelled images, with their original classes.
    pub fn images(&self) -> &Arc<dyn Dataset> {
        &self.images
    }

    /// All labelled images, with the classes that are to be told apart.
    pub fn labelled(&self) -> &Arc<dyn Dataset> {
        &self.labelled
    }

    /// The images that are there beside the labelled ones.
    pub fn extra_unlabelled(&self) -> Option<&Arc<dyn Dataset>> {
        self.extra_unlabelled.as_ref()
    }

    /// What readers of the report should know about the images.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// The images that are there more than once, in the parts `labelled` and `unlabelled`, if
    /// they were looked for.
    pub fn duplicates(&self) -> Option<&DuplicateReport> {
        self.duplicates.as_ref().map(|record| &record.report)
    }

    /// How many groups are kept together, if any are.
    pub fn groups(&self) -> Option<&Groups> {
        self.groups.as_ref()
    }

    /// Whether the images are split already.
    pub fn is_split(&self) -> bool {
        self.given.is_some()
    }

    /// The folds, as indices into the labelled images.
    ///
    /// # Errors
    /// As [`FoldScheme::divide`].
    pub fn folds(&self, scheme: &FoldScheme, seed: Seed) -> Result<Vec<Split<Vec<usize>>>> {
        match &self.given {
            Some(split) => Ok(vec![split.clone()]),
            None => {
                let (groups, copies) = (self.groups.as_ref(), self.copies.as_ref());
                scheme.divide(&self.images, groups, copies, seed)
            }
        }
    }

    /// A part of the training images, the same part of each class.
    ///
    /// # Errors
    /// A fraction that is not in (0, 1].
    pub fn label_budget(&self, train: &[usize], fraction: f64, seed: Seed) -> Result<Vec<usize>> {
        let train = Subset::new(self.images.clone(), train)?;
        let kept = train.label_budget(fraction, seed)?;
        let position = |kept: &usize| train.indices().get(*kept).copied();
        Ok(kept.indices().iter().filter_map(position).collect())
    }

    /// What self-supervision may see beside a fold's test images: its training and
    /// validation images and those without labels, but for copies of test images among the
    /// latter ([`copies_of_test_images`](Self::copies_of_test_images)), or a part of all that.
    /// The labels, which only the classifier alongside looks at, are the original ones.
    ///
    /// # Errors
    /// A fraction that is not in (0, 1].
    pub fn unlabelled(
        &self,
        fold: &Split<Vec<usize>>,
        fraction: f64,
        seed: Seed,
    ) -> Result<Arc<dyn Dataset>> {
        let mut own = [fold.train.as_slice(), &fold.validation].concat();
        own.sort_unstable();
        let own = Subset::new(self.images.clone(), own)?;
        let pool: Arc<dyn Dataset> = match &self.extra_unlabelled {
            Some(more) => {
                let more = without(more, &self.copies_of_test_images(fold))?;
                PartlyLabelled::new(own.shared(), more).shared()
            }
            None => own.shared(),
        };
        if fraction == 1.0 {
            return Ok(pool);
        }
        Ok(pool.unlabelled_fraction(fraction, seed)?.shared())
    }

    /// The unlabelled images that are copies of a fold's test images, as far as they were
    /// looked for: self-supervision does not see them.
    pub fn copies_of_test_images(&self, fold: &Split<Vec<usize>>) -> BTreeSet<usize> {
        let record = self.duplicates.as_ref();
        record.map_or_else(BTreeSet::new, |record| record.unlabelled_copies(fold))
    }

    /// How many of a fold's test images have a duplicate among its training or
    /// validation images, if duplicates were looked for.
    pub fn leaked_test_images(&self, fold: &Split<Vec<usize>>) -> Option<usize> {
        Some(self.duplicates.as_ref()?.leaked(fold))
    }

    /// Digests of what decides, beside the images, how they are divided and which of them
    /// self-supervision sees.
    pub(crate) fn digests(&self) -> Result<Vec<(&'static str, String)>> {
        let mut digests = Vec::new();
        if let Some(groups) = &self.groups {
            let groups = serde_json::to_vec(groups).map_err(FileError::json("groups".as_ref()));
            let groups = Sha256::digest(groups.map_err(Error::from)?);
            digests.push(("groups", hex::encode(groups)));
        }
        let record = self.duplicates.as_ref();
        let leaks = record.and_then(DuplicateRecord::digest_of_leaks);
        digests.extend(leaks.map(|digest| ("duplicates", digest)));
        let network = self.start_network.clone();
        digests.extend(network.map(|digest| (START_NETWORK, digest)));
        Ok(digests)
    }
}

/// The images but for some.
fn without(images: &Arc<dyn Dataset>, left_out: &BTreeSet<usize>) -> Result<Arc<dyn Dataset>> {
    if left_out.is_empty() {
        return Ok(images.clone());
    }
    let kept = (0..images.len()).filter(|index| !left_out.contains(index));
    Ok(Subset::new(images.clone(), kept.collect::<Vec<_>>())?.shared())
}

#[cfg(test)]
mod tests {
    use super::*;
    use simclr_data::{InMemory, SyntheticCores};

    fn cores(count: usize) -> Arc<dyn Dataset> {
        SyntheticCores::new(count, 64, Seed(1)).unwrap().shared()
    }

    #[test]
    fn a_binary_task_has_the_same_folds_and_budgets() {
        let task = Task::new("cores", cores(200)).unwrap();
        let binary = task.with_class_map(&ClassMap::binary("none")).unwrap();
        assert_eq!(binary.labelled().class_names(), ["none", "other"]);
        let scheme = FoldScheme::large_train();
        let folds = task.folds(&scheme, Seed(2)).unwrap();
        assert_eq!(folds, binary.folds(&scheme, Seed(2)).unwrap());
        let train = &folds[1].train;
        let few = task.label_budget(train, 0.25, Seed(2)).unwrap();
        assert_eq!(few, binary.label_budget(train, 0.25, Seed(2)).unwrap());
        assert_eq!(few.len(), 10 * (train.len() as f64 / 40.0).round() as usize);
        assert!(few.iter().all(|index| train.contains(index)));
    }

    #[test]
    fn self_supervision_never_sees_a_test_image() {
        let task = Task::new("cores", cores(100)).unwrap();
        let task = task.with_unlabelled(cores(7));
        let fold = &task.folds(&FoldScheme::large_train(), Seed(2)).unwrap()[0];
        let pool = task.unlabelled(fold, 1.0, Seed(2)).unwrap();
        assert_eq!(pool.len(), fold.train.len() + fold.validation.len() + 7);
        let seen: Vec<String> = (0..pool.len() - 7).map(|i| pool.name(i)).collect();
        for &index in &fold.test {
            assert!(!seen.contains(&task.images().name(index)));
        }
        let half = task.unlabelled(fold, 0.5, Seed(2)).unwrap();
        assert_eq!(half.len(), (pool.len() as f64 / 2.0).round() as usize);
    }

    #[test]
    fn duplicates_leak_unless_they_are_kept_together() {
        let mut pictures = InMemory::collect(&cores(40)).unwrap().images().to_vec();
        pictures.extend(pictures.clone());
        let labels = (0..80).map(|i| i % 2).collect();
        let twice = InMemory::labelled(pictures, labels, vec!["a".into(), "b".into()]).unwrap();
        let task = Task::new("twice", twice.shared()).unwrap();
        let search = DuplicateSearch::default();
        let scheme = FoldScheme::small_train();
        let leaked = |task: &Task| {
            task.leaked_test_images(&task.folds(&scheme, Seed(1)).unwrap()[0])
                .unwrap()
        };
        let warned = task
            .clone()
            .with_duplicate_search(&search, Duplicates::Warn)
            .unwrap();
        assert!(leaked(&warned) > 5);
        let kept = task
            .with_duplicate_search(&search, Duplicates::KeepTogether)
            .unwrap();
        assert_eq!(leaked(&kept), 0);

        // Nor are training and validation images copies of each other.
        let groups = Groups::by_key((0..80).map(|image| image % 40 / 14));
        let kept = kept.with_groups(&groups).unwrap();
        let folds = kept.folds(&FoldScheme::leave_one_group_out(), Seed(1));
        let folds = folds.unwrap();
        assert_eq!(folds.len(), 3);
        for fold in folds {
            assert!(!fold.validation.is_empty());
            let copy = |image: &usize| (image + 40) % 80;
            let leaked = fold
                .train
                .iter()
                .filter(|i| fold.validation.contains(&copy(i)));
            assert_eq!(leaked.count(), 0);
        }
    }

    #[test]
    fn one_class_is_nothing_to_tell_apart() {
        let pictures = InMemory::collect(&cores(10)).unwrap().images().to_vec();
        let one = InMemory::labelled(pictures, vec![0; 10], vec!["crack".into()]).unwrap();
        let error = Task::new("one class", one.shared()).err().unwrap();
        assert!(error.to_string().contains("1 (crack)"), "{error}");

        let task = Task::new("cores", cores(20)).unwrap();
        let names = task.images().class_names();
        let all = ClassMap::parse(&format!("anything: {}", names.join(", "))).unwrap();
        let error = task.with_class_map(&all).err().unwrap().to_string();
        assert!(error.contains("at least two"), "{error}");
    }

    #[test]
    fn given_parts_are_the_only_fold() {
        let parts = Split {
            train: cores(20),
            validation: cores(10),
            test: cores(30),
        };
        let task = Task::presplit("folders", parts).unwrap();
        let folds = task.folds(&FoldScheme::small_train(), Seed(5)).unwrap();
        assert_eq!(folds.len(), 1);
        assert_eq!(folds[0].validation, (20..30).collect::<Vec<_>>());
        assert_eq!(folds[0].test, (30..60).collect::<Vec<_>>());
        let groups = Groups::by_key(vec![0; 60]);
        assert!(task.with_groups(&groups).is_err());
    }
}
