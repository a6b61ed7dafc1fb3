//! Everything that decides how an experiment goes, beside its data and its arms.

use serde::{Deserialize, Serialize};
use simclr_augment::Policy;
use simclr_data::{Dataset, OfflineAugmentation, Seed};
use simclr_model::ResNetConfig;

use super::{FoldScheme, Trial};
use crate::{Error, Result};
use simclr_eval::ProbeSuite;
use simclr_train::{FineTuneConfig, LoopConfig, PretrainConfig};

/// An experiment's settings. They are written to the study's `config.json`, and a study
/// can only be resumed with the same.
///
/// The paper's are in [`crate::paper`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Protocol {
    /// What the experiment is called in reports.
    pub title: String,
    /// What it asks.
    pub question: String,
    /// How labelled images are divided.
    pub folds: FoldScheme,
    /// The parts of the training images whose labels are used, one after the other.
    pub label_fractions: Vec<f64>,
    /// The parts of the unlabelled images that self-supervision sees, in experiments
    /// that vary it.
    pub unlabelled_fractions: Vec<f64>,
    /// Up to which block group the network stays as it is (-1: nothing does), in
    /// experiments that vary it.
    pub fine_tune_after_block: Vec<i64>,
    /// Seeds; everything is repeated with each.
    pub seeds: Vec<u64>,
    /// Self-supervision on task images.
    pub pretrain: PretrainConfig,
    /// The training of whole networks with labels, from scratch or from a network. The
    /// encoder is that of `pretrain`, and so is the image size.
    pub fine_tune: FineTuneConfig,
    /// The probes on frozen features.
    #[serde(alias = "judge")]
    pub probes: ProbeSuite,
    /// Copies of training images, if there are to be any: of those with labels after the
    /// split, and of all that self-supervision sees. Validation and test images have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enlargement: Option<OfflineAugmentation>,
}

impl Protocol {
    /// Side of the square images in pixels, for self-supervision and probes alike.
    pub fn image_size(&self) -> usize {
        self.pretrain.policy.size.0
    }

    /// Changes the image size, and with it the stem of networks that are made from
    /// scratch.
    pub fn with_image_size(mut self, size: usize) -> Self {
        self.pretrain = self.pretrain.with_image_size(size);
        self.fine_tune = self.fine_tune.with_image_size(size);
        self
    }

    /// How the probes see an image.
    pub fn probe_policy(&self) -> Policy {
        Policy::probe(self.image_size())
    }

    /// The architecture of networks that are made from scratch.
    pub fn encoder(&self) -> &ResNetConfig {
        &self.pretrain.encoder
    }

    /// The settings with which a cell's network is trained. With few labels an epoch has few
    /// steps, so there are more epochs, up to four times as many, and batches are no larger
    /// than the set.
    pub fn training(&self, trial: &Trial) -> FineTuneConfig {
        const MOST: f64 = 4.0;
        let mut config = self.fine_tune.clone();
        config.encoder = self.pretrain.encoder.clone();
        config.seed = Seed(trial.seed);
        config.batch_size = config.batch_size.min(trial.split.train.len()).max(1);
        let factor = (1.0 / trial.label_fraction).clamp(1.0, MOST);
        config.schedule.epochs = (config.schedule.epochs as f64 * factor).round() as usize;
        config
    }

    /// The largest part of the unlabelled images: what is used where it does not vary.
    pub fn most_unlabelled(&self) -> f64 {
        self.unlabelled_fractions
            .iter()
            .copied()
            .fold(0.0, f64::max)
    }

    /// Checks what can be checked without the data.
    ///
    /// # Errors
    /// The first setting that is out of its range, with its value.
    pub fn validate(&self) -> Result<()> {
        self.pretrain.validate()?;
        self.fine_tune.validate()?;
        for (setting, values) in [
            ("label fractions", &self.label_fractions),
            ("unlabelled fractions", &self.unlabelled_fractions),
        ] {
            let is_wrong = |value: &&f64| !(**value > 0.0 && **value <= 1.0);
            if let Some(wrong) = values.iter().find(is_wrong) {
                return Err(Error::setting(setting, "more than 0, at most 1", wrong));
            }
            check_distinct(setting, values)?;
        }
        check_distinct("seeds", &self.seeds)?;
        check_distinct("blocks to fine-tune after", &self.fine_tune_after_block)
    }
}

/// Fails if there is no value, or one twice.
fn check_distinct<T: PartialEq + ToString>(setting: &'static str, values: &[T]) -> Result<()> {
    let repeated = |index: &usize| {
        values
            .iter()
            .take(*index)
            .any(|v| Some(v) == values.get(*index))
    };
    match (0..values.len()).find(repeated) {
        _ if values.is_empty() => Err(Error::setting(setting, "at least one", "none")),
        Some(index) => {
            let twice = values.get(index).map(T::to_string).unwrap_or_default();
            Err(Error::setting(
                setting,
                "each once",
                format!("{twice} twice"),
            ))
        }
        None => Ok(()),
    }
}
