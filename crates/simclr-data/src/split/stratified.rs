//! Splits, folds and budgets: which images are trained on.
//!
//! All of them work class by class (stratified), depend on a seed alone, and give
//! indices in increasing order, so that a list of indices reads well and the order
//! of training is the loader's business.
//!
//! Parts of a class end at `round(fraction * images)`. The paper's scripts round
//! down and then let the first part have one image more; the two differ by at most
//! one image per class and part.

mod budget;
mod folds;
mod grouped;
mod groups;

use serde::{Deserialize, Serialize};

use crate::seed::{SPLIT, shuffled};
use crate::{Dataset, Error, Result, Seed, Subset};

pub use budget::{label_budget, unlabelled_fraction};
pub use folds::Folds;
pub use grouped::grouped_split;
pub(crate) use groups::DisjointSets;
pub use groups::Groups;

/// The parts that a model is trained on, chosen with and judged on.
///
/// `T` is either the indices (`Vec<usize>`) or the images ([`Subset`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split<T> {
    /// What the model learns from.
    pub train: T,
    /// What epochs and settings are chosen with.
    pub validation: T,
    /// What the result is reported on.
    pub test: T,
}

impl<T> Split<T> {
    /// The same split with something else in each part.
    ///
    /// # Errors
    /// Those of `part`.
    pub fn try_map<U, E>(self, mut part: impl FnMut(T) -> Result<U, E>) -> Result<Split<U>, E> {
        Ok(Split {
            train: part(self.train)?,
            validation: part(self.validation)?,
            test: part(self.test)?,
        })
    }
}

impl Split<Vec<usize>> {
    /// The images at these indices.
    ///
    /// # Errors
    /// If an index is past the end.
    pub fn of(self, dataset: std::sync::Arc<dyn Dataset>) -> Result<Split<Subset>> {
        self.try_map(|indices| Subset::new(dataset.clone(), indices))
    }
}

/// How much of each class goes where; the rest is for testing.
///
/// The paper's single splits are [`Fractions::small_train`] and
/// [`Fractions::large_train`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fractions {
    /// Part of each class to train on, more than 0.
    pub train: f64,
    /// Part of each class to validate on.
    pub validation: f64,
}

impl Fractions {
    /// 10 % train, 5 % validation, 85 % test.
    pub fn small_train() -> Self {
        Self {
            train: 0.1,
            validation: 0.05,
        }
    }

    /// 70 % train, 20 % validation, 10 % test.
    pub fn large_train() -> Self {
        Self {
            train: 0.7,
            validation: 0.2,
        }
    }

    fn validate(&self) -> Result<()> {
        check_fraction("the train fraction", self.train)?;
        if !(0.0..=1.0).contains(&self.validation) {
            let expected = "between 0 and 1";
            return Err(Error::parameter(
                "the validation fraction",
                expected,
                self.validation,
            ));
        }
        let sum = self.train + self.validation;
        if sum > 1.0 + ROUNDING {
            return Err(Error::parameter(
                "the sum of the train and validation fractions",
                "at most 1",
                sum,
            ));
        }
        Ok(())
    }
}

/// What sums of fractions such as 0.7 + 0.2 + 0.1 may be off by.
const ROUNDING: f64 = 1e-9;

/// Splits each class by the same fractions; returns indices.
///
/// # Errors
/// If the images have no labels, the fractions are out of range, or a class is so
/// small that no image is left to train on, or none to validate on although a
/// validation fraction is given.
pub fn stratified_split(
    dataset: &dyn Dataset,
    fractions: Fractions,
    seed: Seed,
) -> Result<Split<Vec<usize>>> {
    fractions.validate()?;
    let mut split = Split {
        train: Vec::new(),
        validation: Vec::new(),
        test: Vec::new(),
    };
    for class in shuffled_classes(dataset, "a stratified split", seed)? {
        let (train_end, validation_end) = (
            class.count(fractions.train),
            class.count(fractions.train + fractions.validation),
        );
        class.check_some(
            "a train fraction of",
            fractions.train,
            train_end,
            "training",
        )?;
        let validated = validation_end - train_end;
        if fractions.validation > 0.0 {
            let request = "a validation fraction of";
            class.check_some(request, fractions.validation, validated, "validation")?;
        }
        split.train.extend(class.part(0, train_end));
        split
            .validation
            .extend(class.part(train_end, validation_end));
        split
            .test
            .extend(class.part(validation_end, class.images.len()));
    }
    Ok(sorted(split))
}

/// The images of one class in random order.
struct ShuffledClass {
    name: String,
    images: Vec<usize>,
}

impl ShuffledClass {
    /// The nearest number of images to a fraction of the class.
    fn count(&self, fraction: f64) -> usize {
        let images = self.images.len();
        ((images as f64 * fraction + ROUNDING).round() as usize).min(images)
    }

    fn part(&self, start: usize, end: usize) -> impl Iterator<Item = usize> {
        let part = self.images.get(start..end).unwrap_or_default();
        part.iter().copied()
    }

    fn check_some(
        &self,
        request: &str,
        fraction: f64,
        images: usize,
        part: &'static str,
    ) -> Result<()> {
        if images > 0 {
            return Ok(());
        }
        Err(Error::ClassTooSmall {
            class: self.name.clone(),
            images: self.images.len(),
            request: format!("{request} {fraction}"),
            part,
        })
    }
}

/// The images of each class, shuffled by (seed, class).
fn shuffled_classes(
    dataset: &dyn Dataset,
    operation: &'static str,
    seed: Seed,
) -> Result<Vec<ShuffledClass>> {
    let labels = dataset.labels(operation)?;
    let names = dataset.class_names();
    check_classes(names)?;
    let class = |(label, name): (u32, &String)| {
        let members = labels.iter().enumerate();
        let members = members.filter(|&(_, &of)| of == label).map(|(i, _)| i);
        ShuffledClass {
            name: name.clone(),
            images: shuffled(members.collect(), seed, 0, u64::from(label), SPLIT),
        }
    };
    Ok((0u32..).zip(names).map(class).collect())
}

fn sorted(mut split: Split<Vec<usize>>) -> Split<Vec<usize>> {
    split.train.sort_unstable();
    split.validation.sort_unstable();
    split.test.sort_unstable();
    split
}

fn check_classes(names: &[String]) -> Result<()> {
    match names {
        [] => Err(Error::parameter("the number of classes", "at least 1", 0)),
        _ => Ok(()),
    }
}

fn check_fraction(name: &'static str, fraction: f64) -> Result<()> {
    if fraction > 0.0 && fraction <= 1.0 {
        return Ok(());
    }
    Err(Error::parameter(
        name,
        "more than 0 and at most 1",
        fraction,
    ))
}
