//! The configuration of fine-tuning.

use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Deserializer, Serialize};
use simclr_augment::{Crop, Policy};
use simclr_model::{ResNetConfig, SimClrConfig, SupervisedHeadConfig};
use simclr_optim::{LearningRateScaling, ScheduleConfig};

use crate::config::{
    LoopConfig, TrainingConfig, check_policy, crop_and_flip, deserialize_over_defaults, resize,
};
use crate::error::Result;
use crate::validation::EVALUATION_BATCH_SIZE;

/// Images of this size and less are evaluated whole, as in the original.
const WHOLE_UP_TO: usize = 32;

/// How the supervised head is initialised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadInit {
    /// Zeros, as the original's `zero_init_logits_layer`: the first step moves the head
    /// alone.
    #[default]
    Zero,
    /// Small random numbers.
    Random,
    /// The head of the network to start from, if it is of the right size; else small random
    /// numbers. Mind that a head that learned alongside pretraining has seen the labels of
    /// all those images.
    Given,
}

/// The settings of a fine-tuning or of a supervised training. They are written to
/// `config.json`, and a run can only be resumed with the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
#[must_use]
pub struct FineTuneConfig {
    /// What all loops have; the supervised head stands on the level of the projection head that
    /// its selector names. Defaults: those of [`TrainingConfig`], but views are squashed,
    /// randomly cropped and flipped left-right only, as in the original; no weight decay; batches
    /// of 64; 0.005 x sqrt(batch), no warm-up, 60 epochs.
    #[serde(flatten)]
    pub training: TrainingConfig,
    /// How the supervised head is initialised. Default: zeros.
    pub head: HeadInit,
    /// How validation and test images are seen. Default: squashed, centre crop of
    /// 87.5 %, 224 px.
    pub evaluation: Policy,
}

/// The settings of a [`FineTuneConfig`] beside those that all loops have.
#[derive(Deserialize)]
struct OwnSettings {
    head: HeadInit,
    evaluation: Policy,
}

impl<'de> Deserialize<'de> for FineTuneConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (training, own): (_, OwnSettings) =
            deserialize_over_defaults::<Self, _, D>(deserializer)?;
        Ok(Self {
            training,
            head: own.head,
            evaluation: own.evaluation,
        })
    }
}

impl Default for FineTuneConfig {
    fn default() -> Self {
        let schedule = ScheduleConfig::default()
            .with_learning_rate(0.005)
            .with_scaling(LearningRateScaling::Sqrt)
            .with_warmup_epochs(0.0)
            .with_epochs(60);
        Self {
            training: TrainingConfig {
                policy: crop_and_flip(224),
                weight_decay: 0.0,
                schedule,
                batch_size: 64,
                ..TrainingConfig::default()
            },
            head: HeadInit::Zero,
            evaluation: Policy::evaluation(224).squash_first(),
        }
    }
}

impl Deref for FineTuneConfig {
    type Target = TrainingConfig;

    fn deref(&self) -> &TrainingConfig {
        &self.training
    }
}

impl DerefMut for FineTuneConfig {
    fn deref_mut(&mut self) -> &mut TrainingConfig {
        &mut self.training
    }
}

impl FineTuneConfig {
    /// The authors' settings for fine-tuning a pretrained network on few labels (Chen et
    /// al., 2020, section 3, but for the batch, which there is 1024).
    pub fn resnet(depth: usize) -> Self {
        Self::default().with_encoder(ResNetConfig::depth(depth))
    }

    /// Supervised training of an untrained network, with the settings of pretraining: LARS
    /// with 1.0 x batch / 256, 10 epochs of warm-up, 100 epochs, weight decay 1e-4, batches
    /// of 256, a head that starts at random.
    pub fn supervised(depth: usize) -> Self {
        let mut config = Self::resnet(depth).with_head(HeadInit::Random);
        let pretraining = TrainingConfig::default();
        config.weight_decay = pretraining.weight_decay;
        config.schedule = pretraining.schedule;
        config.batch_size = pretraining.batch_size;
        config
    }

    /// Sets how the supervised head is initialised.
    pub fn with_head(mut self, head: HeadInit) -> Self {
        self.head = head;
        self
    }

    /// Sets how validation and test images are seen.
    pub fn with_evaluation(mut self, evaluation: Policy) -> Self {
        self.evaluation = evaluation;
        self
    }
}

impl LoopConfig for FineTuneConfig {
    const STAGE: &'static str = "fine-tuning";
    const VIEWS: usize = 1;
    const EVALUATION_BATCH: usize = EVALUATION_BATCH_SIZE;

    fn network(&self, num_classes: usize) -> SimClrConfig {
        let supervised_head = SupervisedHeadConfig::classes(num_classes)
            .with_zero_init_logits(self.head == HeadInit::Zero);
        SimClrConfig::new(self.encoder.clone())
            .with_projection_head(self.projection_head.clone())
            .with_supervised_head(supervised_head)
    }

    fn validate(&self) -> Result<()> {
        self.training.validate()?;
        check_policy(&self.encoder, &self.evaluation)
    }

    fn takes_over(&self, parameter: &str) -> bool {
        self.head == HeadInit::Given || !parameter.starts_with("supervised_head.")
    }

    /// Images of 32 pixels and less are evaluated whole, as in the original.
    fn with_view_size(mut self, size: usize) -> Self {
        resize(&mut self.policy, size);
        resize(&mut self.evaluation, size);
        if matches!(self.evaluation.crop, Crop::Center { .. }) && size <= WHOLE_UP_TO {
            self.evaluation.crop = Crop::Whole;
        }
        self
    }
}
