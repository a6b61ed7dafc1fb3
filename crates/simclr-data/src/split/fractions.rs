use serde::{Deserialize, Serialize};

use super::parts::Part;
use crate::error::{Result, check};

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

    /// Fails if a fraction is out of range, or both are more than 1 together.
    ///
    /// # Errors
    /// Names the fraction.
    pub fn validate(&self) -> Result<()> {
        check_fraction("train", self.train)?;
        let is_valid = (0.0..=1.0).contains(&self.validation);
        check(is_valid, "validation", "between 0 and 1", self.validation)?;
        check_sum("train + validation", self.train + self.validation)
    }

    /// The parts for training, validation and testing.
    pub(super) fn parts(&self) -> Result<[Part; 3]> {
        self.validate()?;
        let (train, validation) = (self.train, self.validation);
        Ok([
            Part::needed("training", "a train fraction of", train),
            Part {
                needed: validation > 0.0,
                ..Part::needed("validation", "a validation fraction of", validation)
            },
            Part::rest(1.0 - train - validation),
        ])
    }
}

/// What sums of fractions such as 0.7 + 0.2 + 0.1 may be off by.
pub(super) const ROUNDING: f64 = 1e-9;

/// Fails unless a fraction is in (0, 1].
pub(super) fn check_fraction(name: &'static str, fraction: f64) -> Result<()> {
    let is_valid = fraction > 0.0 && fraction <= 1.0;
    check(is_valid, name, "more than 0 and at most 1", fraction)
}

/// Fails if fractions are more than 1 together.
pub(super) fn check_sum(name: &'static str, sum: f64) -> Result<()> {
    check(sum <= 1.0 + ROUNDING, name, "at most 1", sum)
}
