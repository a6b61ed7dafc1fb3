//! How an experiment divides its labelled images.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use simclr_data::{
    Dataset, DatasetExt, Folds, Fractions, Groups, Seed, Split, Subset, grouped_split,
    stratified_split,
};
use simclr_report::short_percent;

use crate::error::{Error, Result};

/// How labelled images are divided into training, validation and test images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FoldScheme {
    /// One split.
    Single(Fractions),
    /// Fold k trains on chunk k and validates on the others; the rest is the test set
    /// of all. The paper's: three folds of 0.1.
    SmallTrain {
        /// How many folds.
        folds: usize,
        /// The part of each class in a chunk.
        fraction: f64,
    },
    /// Fold k validates on chunk k and trains on the others; the rest is the test set of
    /// all. The paper's: four folds of 0.225.
    LargeTrain {
        /// How many folds.
        folds: usize,
        /// The part of each class in a chunk.
        fraction: f64,
    },
    /// Fold k tests on group k, such as a hole or an expedition, and trains on the others:
    /// how well does it do where nothing was labelled?
    LeaveOneGroupOut {
        /// The part of each class of the other groups that validates.
        validation: f64,
    },
}

impl FoldScheme {
    /// The paper's three folds with few training images: 10 % each.
    pub fn small_train() -> Self {
        Self::SmallTrain {
            folds: 3,
            fraction: 0.1,
        }
    }

    /// The paper's four folds with many training images: 67.5 %.
    pub fn large_train() -> Self {
        Self::LargeTrain {
            folds: 4,
            fraction: 0.225,
        }
    }

    /// One group left out after the other; 20 % of the rest validate.
    pub fn leave_one_group_out() -> Self {
        Self::LeaveOneGroupOut { validation: 0.2 }
    }

    /// Whether all folds have the same test images.
    pub fn shares_test_images(&self) -> bool {
        !matches!(self, Self::LeaveOneGroupOut { .. })
    }

    /// The folds as indices into `images`, with whole groups in each subset if there are
    /// groups. Where one group is left out, the others are not enough to be divided: training and
    /// validation images come from the same groups, but `copies` of an image stay together.
    ///
    /// # Errors
    /// Images without labels, fractions out of range, a class too small for the parts; no
    /// groups, or a single one, where one is to be left out.
    pub fn divide(
        &self,
        images: &Arc<dyn Dataset>,
        groups: Option<&Groups>,
        copies: Option<&Groups>,
        seed: Seed,
    ) -> Result<Vec<Split<Vec<usize>>>> {
        let folds = match (*self, groups) {
            (Self::LeaveOneGroupOut { validation }, groups) => {
                return leave_one_group_out(images, groups, copies, validation, seed);
            }
            (Self::Single(fractions), None) => {
                return Ok(vec![stratified_split(images, fractions, seed)?]);
            }
            (Self::Single(fractions), Some(groups)) => {
                return Ok(vec![grouped_split(images, groups, fractions, seed)?]);
            }
            (Self::SmallTrain { folds, fraction }, None) => {
                Folds::small_train(images, folds, fraction, seed)
            }
            (Self::SmallTrain { folds, fraction }, Some(groups)) => {
                Folds::small_train_grouped(images, groups, folds, fraction, seed)
            }
            (Self::LargeTrain { folds, fraction }, None) => {
                Folds::large_train(images, folds, fraction, seed)
            }
            (Self::LargeTrain { folds, fraction }, Some(groups)) => {
                Folds::large_train_grouped(images, groups, folds, fraction, seed)
            }
        }?;
        let indices = |subset: Subset| Ok(subset.indices().to_vec());
        let folds = folds.iter().map(|fold| fold.clone().try_map(indices));
        folds.collect()
    }
}

fn leave_one_group_out(
    images: &Arc<dyn Dataset>,
    groups: Option<&Groups>,
    copies: Option<&Groups>,
    validation: f64,
    seed: Seed,
) -> Result<Vec<Split<Vec<usize>>>> {
    let members = groups.map(Groups::members).unwrap_or_default();
    if members.len() < 2 {
        let expected = "at least two, of which one is left out";
        return Err(Error::setting("groups of images", expected, members.len()));
    }
    let fractions = Fractions {
        train: 1.0 - validation,
        validation,
    };
    let fold = |test: &Vec<usize>| {
        let others = (0..images.len()).filter(|image| test.binary_search(image).is_err());
        let others = Subset::new(images.clone(), others.collect::<Vec<_>>())?;
        let parts = match copies {
            None => stratified_split(&others.shared(), fractions, seed)?,
            Some(copies) => {
                let copies = others.indices().iter().map(|&image| copies.group_of(image));
                grouped_split(&others, &Groups::by_key(copies), fractions, seed)?
            }
        };
        let of_all = |part: Vec<usize>| part.iter().map(|&image| others.indices()[image]).collect();
        Ok(Split {
            train: of_all([parts.train, parts.test].concat()),
            validation: of_all(parts.validation),
            test: test.clone(),
        })
    };
    members.iter().map(fold).collect()
}

impl fmt::Display for FoldScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = |used: f64| short_percent((1.0 - used).max(0.0));
        let chunks = |folds: usize, fraction: f64| {
            let others = short_percent((folds as f64 - 1.0) * fraction);
            (
                short_percent(fraction),
                others,
                rest(folds as f64 * fraction),
            )
        };
        match *self {
            Self::LeaveOneGroupOut { validation } => write!(
                f,
                "One group after the other tests; of the others {} validate and the rest train",
                short_percent(validation)
            ),
            Self::Single(Fractions { train, validation }) => write!(
                f,
                "One split: {} train, {} validation, {} test",
                short_percent(train),
                short_percent(validation),
                rest(train + validation)
            ),
            Self::SmallTrain { folds, fraction } => {
                let (train, validation, test) = chunks(folds, fraction);
                write!(
                    f,
                    "{folds} folds: each trains on a different {train} and validates on \
                     {validation}; the same {test} test all"
                )
            }
            Self::LargeTrain { folds, fraction } => {
                let (validation, train, test) = chunks(folds, fraction);
                write!(
                    f,
                    "{folds} folds: each validates on a different {validation} and trains on \
                     {train}; the same {test} test all"
                )
            }
        }
    }
}
