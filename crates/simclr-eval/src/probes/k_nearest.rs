//! The vote of the nearest neighbours.

use serde::{Deserialize, Serialize};

use super::Examples;
use crate::analysis::nearest_neighbours;
use crate::metrics::ClassificationReport;
use crate::setters::setters;
use crate::{Error, Result};

const OPERATION: &str = "k nearest neighbours";

/// Classifies by the most similar training images (Wu et al. 2018): each of the `k`
/// nearest by cosine votes for its class with the weight `exp(similarity / temperature)`.
/// Nothing is trained, so the result depends on the features alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[must_use]
pub struct KNearest {
    /// The number of neighbours, or all if there are fewer. Default 20.
    pub k: usize,
    /// How much nearer neighbours count more. Default 0.07.
    pub temperature: f64,
}

impl Default for KNearest {
    fn default() -> Self {
        Self {
            k: 20,
            temperature: 0.07,
        }
    }
}

impl KNearest {
    setters! {
        with_k(k: usize);
        with_temperature(temperature: f64);
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// `k` of 0; a temperature that is not a positive number.
    pub fn validate(&self) -> Result<()> {
        if self.k == 0 {
            return Err(Error::setting("k", "at least 1", 0));
        }
        if !(self.temperature > 0.0 && self.temperature.is_finite()) {
            let expected = "a finite number above 0";
            return Err(Error::setting("temperature", expected, self.temperature));
        }
        Ok(())
    }

    /// Classifies `test` by `train`.
    ///
    /// # Errors
    /// Sets with rows of different lengths; a label without a class name; `k` of 0; a
    /// temperature that is not a positive number.
    pub fn evaluate(
        &self,
        train: Examples<'_>,
        test: Examples<'_>,
        class_names: &[String],
    ) -> Result<ClassificationReport> {
        let scores = self.scores(train, test, class_names.len())?;
        ClassificationReport::new(&scores, test.labels(), class_names)
    }

    /// The share of the votes for each class, `[test rows, classes]`, flat.
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    pub fn scores(
        &self,
        train: Examples<'_>,
        test: Examples<'_>,
        classes: usize,
    ) -> Result<Vec<f32>> {
        self.validate()?;
        train.check_alike(OPERATION, &test)?;
        train.check_labels(OPERATION, classes)?;
        let nearest = nearest_neighbours(&test.tensor()?, &train.tensor()?, self.k)?;
        let mut scores = Vec::with_capacity(test.len() * classes);
        for neighbours in nearest {
            let mut votes = vec![0.0f64; classes];
            // Weights relative to the nearest: nothing overflows at any temperature.
            let nearest = neighbours.first().map_or(0.0, |first| first.similarity);
            for neighbour in neighbours {
                let gap = f64::from(neighbour.similarity - nearest);
                let class = train.labels()[neighbour.index] as usize;
                votes[class] += (gap / self.temperature).exp();
            }
            let total: f64 = votes.iter().sum();
            scores.extend(votes.iter().map(|vote| (vote / total) as f32));
        }
        Ok(scores)
    }
}
