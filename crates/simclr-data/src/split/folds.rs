use super::fractions::{check_fraction, check_sum};
use super::grouped::deal;
use super::groups::Groups;
use super::parts::{Part, Split};
use super::stratified::cut;
use crate::Seed;
use crate::dataset::{Dataset, IntoDataset};
use crate::error::{Result, check};
use crate::subset::Subset;

/// Folds with one common test set.
///
/// Each class is shuffled and `folds` chunks of `fraction` are cut from it; what
/// is left is the test set of every fold. The folds differ in what the chunks are
/// used for.
///
/// ```
/// # use simclr_augment::DecodedImage;
/// # use simclr_data::InMemory;
/// use simclr_data::{Dataset, Folds, Seed};
///
/// # let images = vec![DecodedImage::new(1, 1, vec![0; 3])?; 40];
/// # let labels = (0..40).map(|i| i % 2).collect();
/// # let cores = InMemory::labelled(images, labels, vec!["crack".into(), "none".into()])?;
/// let folds = Folds::small_train(&cores, 3, 0.1, Seed(2))?;
/// let trained_on = folds.evaluate(|fold| Ok::<_, simclr_data::Error>(fold.train.len()))?;
/// assert_eq!(trained_on, [4, 4, 4]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Folds {
    folds: Vec<Split<Subset>>,
}

impl Folds {
    /// Fold k trains on chunk k and validates on the others. The paper's: three
    /// folds of 0.1.
    ///
    /// # Errors
    /// If the images have no labels, there are fewer than two folds, the chunks
    /// are more than everything, or a chunk of a class would be empty.
    pub fn small_train(
        dataset: &(impl Dataset + Clone + 'static),
        folds: usize,
        fraction: f64,
        seed: Seed,
    ) -> Result<Self> {
        Self::new(dataset, None, folds, fraction, seed, false)
    }

    /// Fold k validates on chunk k and trains on the others. The paper's: four
    /// folds of 0.225, so that 67.5 % are trained on ("70 %"), 22.5 % validate and
    /// 10 % test.
    ///
    /// # Errors
    /// As [`Folds::small_train`].
    pub fn large_train(
        dataset: &(impl Dataset + Clone + 'static),
        folds: usize,
        fraction: f64,
        seed: Seed,
    ) -> Result<Self> {
        Self::new(dataset, None, folds, fraction, seed, true)
    }

    /// [`Folds::small_train`] with whole groups in each chunk; see
    /// [`grouped_split`](crate::grouped_split).
    ///
    /// # Errors
    /// As [`Folds::small_train`]; if the groups are those of another set, or a class
    /// has too few of them.
    pub fn small_train_grouped(
        dataset: &(impl Dataset + Clone + 'static),
        groups: &Groups,
        folds: usize,
        fraction: f64,
        seed: Seed,
    ) -> Result<Self> {
        Self::new(dataset, Some(groups), folds, fraction, seed, false)
    }

    /// [`Folds::large_train`] with whole groups in each chunk; see
    /// [`grouped_split`](crate::grouped_split).
    ///
    /// # Errors
    /// As [`Folds::small_train_grouped`].
    pub fn large_train_grouped(
        dataset: &(impl Dataset + Clone + 'static),
        groups: &Groups,
        folds: usize,
        fraction: f64,
        seed: Seed,
    ) -> Result<Self> {
        Self::new(dataset, Some(groups), folds, fraction, seed, true)
    }

    /// One fold per chunk: the chunk is the validation part and the others are trained on
    /// (`large_train`), or the other way round.
    fn new(
        dataset: &(impl Dataset + Clone + 'static),
        groups: Option<&Groups>,
        folds: usize,
        fraction: f64,
        seed: Seed,
        large_train: bool,
    ) -> Result<Self> {
        check(folds >= 2, "the number of folds", "at least 2", folds)?;
        check_fraction("the fraction of a fold", fraction)?;
        let sum = folds as f64 * fraction;
        check_sum("the number of folds times the fraction of a fold", sum)?;
        let chunk = |_| Part::needed("one of the folds", "folds of", fraction);
        let mut parts: Vec<Part> = (0..folds).map(chunk).collect();
        parts.push(Part::rest(1.0 - sum));
        let mut chunks = match groups {
            None => cut(dataset, &parts, "cross-validation", seed)?,
            Some(groups) => deal(dataset, groups, &parts, "grouped cross-validation", seed)?,
        };
        let rest = chunks.pop().unwrap_or_default();
        let dataset = dataset.clone().into_dataset();
        let fold = |own: usize| {
            let others = [&chunks[..own], &chunks[own + 1..]].concat().concat();
            let own = chunks[own].clone();
            let [train, validation] = if large_train {
                [others, own]
            } else {
                [own, others]
            };
            Split::of_parts(vec![train, validation, rest.clone()]).of(dataset.clone())
        };
        let folds = (0..folds).map(fold).collect::<Result<_>>()?;
        Ok(Self { folds })
    }

    /// The folds in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Split<Subset>> {
        self.folds.iter()
    }

    /// How many folds there are.
    pub fn len(&self) -> usize {
        self.folds.len()
    }

    /// Never: there are at least two folds.
    pub fn is_empty(&self) -> bool {
        self.folds.is_empty()
    }

    /// Evaluates every fold and collects the results.
    ///
    /// # Errors
    /// The first that `evaluation` returns.
    pub fn evaluate<R, E>(
        &self,
        evaluation: impl FnMut(&Split<Subset>) -> Result<R, E>,
    ) -> Result<Vec<R>, E> {
        self.folds.iter().map(evaluation).collect()
    }
}

impl<'a> IntoIterator for &'a Folds {
    type Item = &'a Split<Subset>;
    type IntoIter = std::slice::Iter<'a, Split<Subset>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
