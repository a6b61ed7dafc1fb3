//! What a classifier says about an image.

use crate::error::{Error, Result};

/// What a classifier says about an image.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Prediction {
    /// The most probable class.
    pub class: usize,
    /// Its calibrated probability.
    pub confidence: f64,
    /// The second most probable class; the first if there is only one.
    pub second: usize,
    /// The calibrated probability of each class.
    pub probabilities: Vec<f64>,
    /// The distance to the training images' features, 0 (the same) to 2.
    pub novelty: f64,
    /// Whether that is more than the threshold: the image is unlike all that the classifier knows.
    pub is_novel: bool,
}

impl Prediction {
    pub(crate) fn new(probabilities: Vec<f64>, novelty: f64, threshold: f64) -> Self {
        let mut order: Vec<usize> = (0..probabilities.len()).collect();
        order.sort_by(|a, b| probabilities[*b].total_cmp(&probabilities[*a]));
        let class = order.first().copied().unwrap_or(0);
        Self {
            class,
            confidence: probabilities.get(class).copied().unwrap_or(0.0),
            second: order.get(1).copied().unwrap_or(class),
            probabilities,
            novelty,
            is_novel: novelty > threshold,
        }
    }
}

/// Features of images, and what a classifier says about them.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Description {
    /// `[images, size]`, flat.
    pub features: Vec<f32>,
    /// Numbers per image.
    pub size: usize,
    /// A prediction per image.
    pub predictions: Vec<Prediction>,
}

impl Description {
    /// The class probabilities, `[images, classes]`, flat.
    pub fn probabilities(&self) -> Vec<f64> {
        let rows = self.predictions.iter();
        rows.flat_map(|row| row.probabilities.iter().copied())
            .collect()
    }
}

/// When a classifier had better say nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum Abstain {
    /// Never.
    #[default]
    Never,
    /// If the confidence is below this.
    Below(f64),
    /// If the conformal set of this coverage does not hold exactly one class.
    Conformal(f64),
}

impl Abstain {
    /// That its number is between 0 and 1.
    ///
    /// # Errors
    /// [`Error::Setting`] if it is not.
    pub fn validate(self) -> Result<()> {
        let (Self::Below(share) | Self::Conformal(share)) = self else {
            return Ok(());
        };
        if share > 0.0 && share < 1.0 {
            return Ok(());
        }
        Err(Error::setting("abstain", "a number between 0 and 1", share))
    }
}

impl std::str::FromStr for Abstain {
    type Err = String;

    /// A confidence such as `0.6`, or `conformal:0.9`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (number, make): (_, fn(f64) -> Self) = match text.strip_prefix("conformal:") {
            Some(number) => (number, Self::Conformal),
            None => (text, Self::Below),
        };
        let abstain = number.parse().map(make).map_err(|_| ());
        let valid =
            abstain.and_then(|abstain| abstain.validate().map(|()| abstain).map_err(|_| ()));
        valid.map_err(|()| {
            format!("expected a confidence between 0 and 1 or conformal:COVERAGE, found {text}")
        })
    }
}
