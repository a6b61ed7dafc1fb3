//! How much of a data set goes where.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

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
        if !(0.0..=1.0).contains(&self.validation) {
            let found = self.validation;
            return Err(Error::setting("validation", "between 0 and 1", found));
        }
        let sum = self.train + self.validation;
        if sum > 1.0 + ROUNDING {
            return Err(Error::setting("train + validation", "at most 1", sum));
        }
        Ok(())
    }
}

/// What sums of fractions such as 0.7 + 0.2 + 0.1 may be off by.
pub(super) const ROUNDING: f64 = 1e-9;

/// Fails unless a fraction is in (0, 1].
pub(super) fn check_fraction(name: &'static str, fraction: f64) -> Result<()> {
    if fraction > 0.0 && fraction <= 1.0 {
        return Ok(());
    }
    Err(Error::setting(name, "more than 0 and at most 1", fraction))
}
