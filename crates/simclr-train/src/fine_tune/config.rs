//! Everything that decides how a fine-tuning goes.

use serde::{Deserialize, Serialize};
use simclr_augment::{Crop, Policy};
use simclr_model::{
    Freeze, ProjectionHeadConfig, ResNetConfig, SimClrConfig, Stem, SupervisedHeadConfig,
};

use super::validation;
use crate::trainer::Objective;
use crate::training_loop::{Settings, shared_settings};
use crate::{Error, Result};
use simclr_optim::{LarsConfig, OptimizerConfig};
use simclr_optim::{LearningRateScaling, ScheduleConfig};

/// Images of this size and less are evaluated whole, as in the original.
const WHOLE_UP_TO: usize = 32;

/// What the supervised head starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadStart {
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FineTuneConfig {
    /// The encoder. Default: ResNet-50.
    pub encoder: ResNetConfig,
    /// The projection head; the supervised head stands on the level that its
    /// [`FineTuneFrom`](simclr_model::FineTuneFrom) names. Default: three layers, on none of which it stands.
    pub projection_head: ProjectionHeadConfig,
    /// What the supervised head starts from. Default: zeros.
    pub head: HeadStart,
    /// How a training image becomes a view. Default: squashed, random crop and left-right
    /// flip, 224 px; no colours are changed, as in the original.
    pub policy: Policy,
    /// How the images of the other parts are seen. Default: squashed, centre crop of
    /// 87.5 %, 224 px.
    pub evaluation: Policy,
    /// The optimizer. Default: LARS, momentum 0.9.
    pub optimizer: OptimizerConfig,
    /// The strength of weight decay. Default: 0.
    pub weight_decay: f64,
    /// The learning rate over time, and with it the number of epochs. Default:
    /// 0.005 x sqrt(batch), no warm-up, cosine, 60 epochs.
    pub schedule: ScheduleConfig,
    /// Images per step. Default: 64.
    pub batch_size: usize,
    /// Which part of the encoder stays as it is. Default: none.
    pub freeze: Freeze,
    /// The seed of initial weights, order and views. Default: 0.
    pub seed: u64,
}

impl Default for FineTuneConfig {
    fn default() -> Self {
        Self {
            encoder: ResNetConfig::depth(50),
            projection_head: ProjectionHeadConfig::default(),
            head: HeadStart::Zero,
            policy: Policy::paper(224)
                .without_color_jitter()
                .with_grayscale(0.0),
            evaluation: Policy::evaluation(224).squash_first(),
            optimizer: OptimizerConfig::Lars(LarsConfig::default()),
            weight_decay: 0.0,
            schedule: ScheduleConfig::default()
                .with_learning_rate(0.005)
                .with_scaling(LearningRateScaling::Sqrt)
                .with_warmup_epochs(0.0)
                .with_epochs(60),
            batch_size: 64,
            freeze: Freeze::None,
            seed: 0,
        }
    }
}

impl FineTuneConfig {
    /// The authors' settings for fine-tuning a pretrained network on few labels (Chen et
    /// al., 2020, section 3, but for the batch, which there is 1024).
    pub fn resnet(depth: usize) -> Self {
        Self {
            encoder: ResNetConfig::depth(depth),
            ..Self::default()
        }
    }

    /// Supervised training of an untrained network, with the settings of pretraining: LARS
    /// with 1.0 x batch / 256, 10 epochs of warm-up, 100 epochs, weight decay 1e-4, batches
    /// of 256, a head that starts at random.
    pub fn supervised(depth: usize) -> Self {
        Self {
            head: HeadStart::Random,
            weight_decay: 1e-4,
            schedule: ScheduleConfig::default(),
            batch_size: 256,
            ..Self::resnet(depth)
        }
    }

    /// The model that this run trains.
    pub fn model(&self, num_classes: usize) -> SimClrConfig {
        let supervised_head = SupervisedHeadConfig::classes(num_classes)
            .with_zero_init_logits(self.head == HeadStart::Zero);
        SimClrConfig::new(self.encoder.clone())
            .with_projection_head(self.projection_head.clone())
            .with_supervised_head(supervised_head)
    }

    /// Checks every setting that can be checked without the data.
    ///
    /// # Errors
    /// The first setting that is out of its range, with its value.
    pub fn validate(&self) -> Result<()> {
        self.encoder.validate()?;
        self.projection_head.validate()?;
        self.freeze.validate()?;
        self.schedule.validate()?;
        for policy in [&self.policy, &self.evaluation] {
            policy.validate()?;
            let (height, width) = policy.size;
            self.encoder.check_image_size(height, width)?;
        }
        match self.batch_size {
            0 => Err(Error::setting("batch size", "at least 1", 0)),
            _ => Ok(()),
        }
    }

    /// Changes the image size, and with it the stem: images of 32 pixels and less get the
    /// CIFAR stem, and are evaluated whole, as in the original.
    pub fn with_image_size(self, size: usize) -> Self {
        let encoder = self.encoder.clone().with_stem(Stem::for_image_size(size));
        Self {
            encoder,
            ..self.with_view_size(size)
        }
    }

    /// Changes the image size alone, for a network whose stem is given.
    fn with_view_size(mut self, size: usize) -> Self {
        for policy in [&mut self.policy, &mut self.evaluation] {
            policy.size = (size, size);
            policy.squash = policy.squash.map(|_| (size, size));
        }
        if let (Crop::Center { .. }, true) = (self.evaluation.crop, size <= WHOLE_UP_TO) {
            self.evaluation.crop = Crop::Whole;
        }
        self
    }
}

impl Settings for FineTuneConfig {
    const STAGE: &'static str = "fine-tuning";
    const COLUMNS: &'static [&'static str] = &[
        "epoch",
        "learning_rate",
        "total_loss",
        "supervised_loss",
        "supervised_accuracy",
        "weight_decay",
        validation::LOSS,
        validation::ACCURACY,
        validation::WEIGHTED_F1,
    ];
    const VIEWS: usize = 1;

    shared_settings!();

    fn resize(self, size: usize, network_is_given: bool) -> Self {
        match network_is_given {
            true => self.with_view_size(size),
            false => self.with_image_size(size),
        }
    }

    fn network(&self, classes: usize) -> SimClrConfig {
        self.model(classes)
    }

    fn objective(&self) -> Objective {
        Objective::FineTune
    }

    fn wants(&self, parameter: &str) -> bool {
        self.head == HeadStart::Given || !parameter.starts_with("supervised_head.")
    }
}
