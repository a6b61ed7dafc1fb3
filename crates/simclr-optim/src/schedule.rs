//! The learning rate at each step: linear warm-up, then a cosine down to zero.

use serde::{Deserialize, Serialize};

use crate::error::{check_count, check_not_negative, check_positive};
use crate::setters::setters;
use crate::{Error, Result};

/// More than anybody trains for; what is counted with them stays within its type.
const MOST_EPOCHS: usize = 1_000_000;
const MOST_STEPS: usize = 1_000_000_000;

/// How the learning rate grows with the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LearningRateScaling {
    /// `base * batch / 256` (the original's default).
    #[default]
    Linear,
    /// `base * sqrt(batch)`, which the authors advise for small batches.
    Sqrt,
    /// `base`, whatever the batch.
    None,
}

impl LearningRateScaling {
    /// The learning rate for a batch of this size.
    pub fn apply(self, base: f64, batch_size: usize) -> f64 {
        let batch = batch_size as f64;
        match self {
            Self::Linear => base * batch / 256.0,
            Self::Sqrt => base * batch.sqrt(),
            Self::None => base,
        }
    }
}

/// What a [`WarmupCosine`] schedule is made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[must_use]
pub struct ScheduleConfig {
    /// The learning rate before scaling. Default 1.0.
    pub learning_rate: f64,
    /// How it grows with the batch. Default linear.
    pub scaling: LearningRateScaling,
    /// Epochs of linear warm-up; parts of an epoch are allowed. Default 10.
    pub warmup_epochs: f64,
    /// Epochs in all. Default 100.
    pub epochs: usize,
    /// Steps in all, instead of counting them from the epochs. Default `None`.
    pub steps: Option<usize>,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1.0,
            scaling: LearningRateScaling::Linear,
            warmup_epochs: 10.0,
            epochs: 100,
            steps: None,
        }
    }
}

impl ScheduleConfig {
    setters! {
        with_learning_rate(learning_rate: f64);
        with_scaling(scaling: LearningRateScaling);
        with_warmup_epochs(warmup_epochs: f64);
        with_epochs(epochs: usize);
        with_steps(steps: impl Into<Option<usize>>);
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// No epochs or steps, or more than a million or a billion; a learning rate or warm-up that is
    /// negative or not finite, or a warm-up of more than a million epochs.
    pub fn validate(&self) -> Result<()> {
        check_not_negative("learning rate", self.learning_rate)?;
        check_not_negative("warm-up epochs", self.warmup_epochs)?;
        if self.warmup_epochs > MOST_EPOCHS as f64 {
            let found = format!("{:e}", self.warmup_epochs);
            let expected = format!("at most {MOST_EPOCHS}");
            return Err(Error::setting("warm-up epochs", expected, found));
        }
        match self.steps {
            Some(steps) => check_count("steps", steps, MOST_STEPS),
            None => check_count("epochs", self.epochs, MOST_EPOCHS),
        }
    }

    /// The steps of a whole training on `images` images in batches of `batch_size`, as the
    /// original counts them: `steps` if it is given, else `floor(images * epochs / batch_size) + 1`.
    ///
    /// ```
    /// use simclr_optim::ScheduleConfig;
    ///
    /// let schedule = ScheduleConfig::default().with_epochs(3);
    /// assert_eq!(schedule.total_steps(100, 64), 5);
    /// assert_eq!(schedule.with_steps(77).total_steps(100, 64), 77);
    /// ```
    pub fn total_steps(&self, images: usize, batch_size: usize) -> usize {
        self.steps
            .unwrap_or_else(|| self.epochs.saturating_mul(images) / batch_size.max(1) + 1)
    }
}

/// Linear warm-up and cosine decay, the original's `WarmUpAndCosineDecay`.
///
/// With `n` images and batches of `b`:
///
/// ```text
/// warmup = floor(warmup_epochs * n / b)        total = ScheduleConfig::total_steps(n, b)
/// rate(s) = scaled * s / warmup                                                  for s < warmup
/// rate(s) = scaled * (1 + cos(pi * min(s - warmup, total - warmup) / (total - warmup))) / 2
/// ```
///
/// The step counts from 0 and is the one *before* the update: with a warm-up
/// the first step has learning rate 0.
///
/// ```
/// use simclr_optim::{ScheduleConfig, WarmupCosine};
///
/// let schedule = WarmupCosine::new(&ScheduleConfig::default(), 12_827, 256)?;
/// assert_eq!((schedule.warmup_steps(), schedule.total_steps()), (501, 5011));
/// assert_eq!(schedule.at(0), 0.0);
/// assert_eq!(schedule.at(501), 1.0);
/// # Ok::<(), simclr_optim::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WarmupCosine {
    peak: f64,
    warmup_steps: usize,
    total_steps: usize,
}

impl WarmupCosine {
    /// The schedule for a data set of `examples` images in batches of `batch_size`.
    ///
    /// # Errors
    /// No examples, a batch of 0, no epochs or steps, or a learning rate or
    /// warm-up that is negative or not finite.
    pub fn new(config: &ScheduleConfig, examples: usize, batch_size: usize) -> Result<Self> {
        check_positive("examples", examples)?;
        check_positive("batch size", batch_size)?;
        config.validate()?;
        let warmup_steps = config.warmup_epochs * examples as f64 / batch_size as f64;
        Ok(Self {
            peak: config.scaling.apply(config.learning_rate, batch_size),
            warmup_steps: warmup_steps.floor() as usize,
            total_steps: config.total_steps(examples, batch_size),
        })
    }

    /// The learning rate of the step with this index, counted from 0.
    pub fn at(&self, step: usize) -> f64 {
        if step < self.warmup_steps {
            return self.peak * step as f64 / self.warmup_steps as f64;
        }
        // A warm-up as long as the run leaves one step to decay over.
        let decay_steps = self.total_steps.saturating_sub(self.warmup_steps).max(1);
        let done = (step - self.warmup_steps).min(decay_steps) as f64 / decay_steps as f64;
        self.peak * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
    }

    /// The highest learning rate, reached at the end of the warm-up.
    pub fn peak(&self) -> f64 {
        self.peak
    }

    /// The number of steps with a rising learning rate.
    pub fn warmup_steps(&self) -> usize {
        self.warmup_steps
    }

    /// The step at which the learning rate has fallen to zero.
    pub fn total_steps(&self) -> usize {
        self.total_steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_step_of_warmup_are_dropped() {
        let config = ScheduleConfig::default()
            .with_warmup_epochs(0.5)
            .with_epochs(7);
        let schedule = WarmupCosine::new(&config, 1525, 100).unwrap();
        assert_eq!((schedule.warmup_steps(), schedule.total_steps()), (7, 107));
        assert_eq!(schedule.at(7), schedule.peak());
    }

    #[test]
    fn the_end_is_zero_and_stays_so() {
        let config = ScheduleConfig::default().with_steps(77);
        let schedule = WarmupCosine::new(&config, 100, 64).unwrap();
        assert!(schedule.at(77).abs() < 1e-15);
        assert_eq!(schedule.at(78), schedule.at(77));
    }

    #[test]
    fn nonsense_is_refused() {
        let config = ScheduleConfig::default();
        assert!(WarmupCosine::new(&config, 0, 1).is_err());
        assert!(WarmupCosine::new(&config, 10, 0).is_err());
        let error = config.clone().with_warmup_epochs(1e300).validate();
        assert_eq!(
            error.unwrap_err().to_string(),
            "warm-up epochs: expected at most 1000000, found 1e300"
        );
        for rate in [-1.0, f64::NAN, f64::INFINITY] {
            let config = ScheduleConfig::default().with_learning_rate(rate);
            assert!(WarmupCosine::new(&config, 10, 1).is_err());
        }
        // The number of steps stands for that of epochs, but one of them is needed.
        let config = config.with_epochs(0);
        assert!(config.validate().is_err());
        assert!(config.clone().with_steps(0).validate().is_err());
        for config in [
            config.clone().with_epochs(usize::MAX),
            config.clone().with_steps(usize::MAX),
        ] {
            let error = config.validate().unwrap_err().to_string();
            assert!(
                error.contains("at most") && error.contains("18446744073709551615"),
                "{error}"
            );
        }
        assert!(config.with_steps(5).validate().is_ok());
        let unknown = serde_json::from_str::<ScheduleConfig>(r#"{"warmup": 1}"#);
        assert!(unknown.unwrap_err().to_string().contains("`warmup`"));
    }
}
