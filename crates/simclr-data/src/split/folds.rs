//! Cross-validation in the paper's two forms.

use super::classes::shuffled_classes;
use super::fractions::{ROUNDING, check_fraction};
use super::grouped::{Part, deal};
use super::groups::Groups;
use super::parts::Split;
use crate::Seed;
use crate::dataset::{Dataset, IntoDataset};
use crate::error::{Error, Result};
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
        Chunks::cut(dataset, folds, fraction, seed)?.folds(dataset, false)
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
        Chunks::cut(dataset, folds, fraction, seed)?.folds(dataset, true)
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
        Chunks::deal(dataset, groups, folds, fraction, seed)?.folds(dataset, false)
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
        Chunks::deal(dataset, groups, folds, fraction, seed)?.folds(dataset, true)
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

/// The chunks over all classes, and the rest.
struct Chunks {
    chunks: Vec<Vec<usize>>,
    rest: Vec<usize>,
}

impl Chunks {
    fn cut(dataset: &dyn Dataset, folds: usize, fraction: f64, seed: Seed) -> Result<Self> {
        check_folds(folds, fraction)?;
        let mut cut = Self {
            chunks: vec![Vec::new(); folds],
            rest: Vec::new(),
        };
        for class in shuffled_classes(dataset, "cross-validation", seed)? {
            let mut start = 0;
            for (k, chunk) in (1u32..).zip(&mut cut.chunks) {
                let end = class.count(f64::from(k) * fraction);
                class.check_some("folds of", fraction, end - start, "one of the folds")?;
                chunk.extend(class.part(start, end));
                start = end;
            }
            cut.rest.extend(class.part(start, class.images.len()));
        }
        Ok(cut)
    }

    fn deal(
        dataset: &dyn Dataset,
        groups: &Groups,
        folds: usize,
        fraction: f64,
        seed: Seed,
    ) -> Result<Self> {
        check_folds(folds, fraction)?;
        let chunk = |_| Part::needed("one of the folds", fraction);
        let rest = Part::rest("testing", 1.0 - folds as f64 * fraction);
        let parts: Vec<Part> = (0..folds).map(chunk).chain([rest]).collect();
        let mut chunks = deal(dataset, groups, &parts, "grouped cross-validation", seed)?;
        let rest = chunks.pop().unwrap_or_default();
        Ok(Self { chunks, rest })
    }

    /// One fold per chunk: the chunk is the validation part and the others are trained on
    /// (`large_train`), or the other way round.
    fn folds(
        &self,
        dataset: &(impl Dataset + Clone + 'static),
        large_train: bool,
    ) -> Result<Folds> {
        let dataset = dataset.clone().into_dataset();
        let fold = |own: usize| {
            let chunks = self.chunks.iter().enumerate();
            let others = chunks.filter(|&(chunk, _)| chunk != own);
            let others = others.flat_map(|(_, chunk)| chunk).copied().collect();
            let mut split = Split {
                train: self.chunks[own].clone(),
                validation: others,
                test: self.rest.clone(),
            };
            if large_train {
                std::mem::swap(&mut split.train, &mut split.validation);
            }
            split.sorted().of(dataset.clone())
        };
        let folds = (0..self.chunks.len()).map(fold).collect::<Result<_>>()?;
        Ok(Folds { folds })
    }
}

fn check_folds(folds: usize, fraction: f64) -> Result<()> {
    if folds < 2 {
        return Err(Error::setting("the number of folds", "at least 2", folds));
    }
    check_fraction("the fraction of a fold", fraction)?;
    let sum = folds as f64 * fraction;
    if sum > 1.0 + ROUNDING {
        let name = "the number of folds times the fraction of a fold";
        return Err(Error::setting(name, "at most 1", sum));
    }
    Ok(())
}
