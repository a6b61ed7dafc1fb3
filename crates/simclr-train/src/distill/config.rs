//! Everything that decides how a distillation goes.

use serde::{Deserialize, Serialize};
use simclr_augment::Policy;
use simclr_loss::DistillationLoss;
use simclr_model::{Freeze, ProjectionHeadConfig, ResNetConfig, SimClrConfig, Stem};

use crate::trainer::Objective;
use crate::training_loop::{Settings, shared_settings};
use crate::{Error, Result};
use simclr_optim::ScheduleConfig;
use simclr_optim::{LarsConfig, OptimizerConfig};

/// The settings of a distillation. They are written to `config.json`, and a run can only
/// be resumed with the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DistillConfig {
    /// The student's encoder. Default: ResNet-50.
    pub encoder: ResNetConfig,
    /// The student's projection head, of which only the layers up to its selector work.
    /// Default: none of them, so the classifier stands on the encoder.
    pub projection_head: ProjectionHeadConfig,
    /// How an image becomes a view, for student and teacher alike. Default: squashed,
    /// random crop and left-right flip, 224 px.
    pub policy: Policy,
    /// The teacher's temperature and weight. Default: temperature 1, weight 1.
    pub loss: DistillationLoss,
    /// The optimizer. Default: LARS, momentum 0.9.
    pub optimizer: OptimizerConfig,
    /// The strength of weight decay. Default: 1e-4.
    pub weight_decay: f64,
    /// The learning rate over time, and with it the number of epochs. Default:
    /// 1.0 x batch / 256, 10 epochs of warm-up, cosine, 100 epochs.
    pub schedule: ScheduleConfig,
    /// Images per step. Default: 256.
    pub batch_size: usize,
    /// Which part of the student's encoder stays as it is. Default: none.
    pub freeze: Freeze,
    /// The seed of initial weights, order and views. Default: 0.
    pub seed: u64,
}

impl Default for DistillConfig {
    fn default() -> Self {
        Self {
            encoder: ResNetConfig::depth(50),
            projection_head: ProjectionHeadConfig::default(),
            policy: Policy::paper(224)
                .without_color_jitter()
                .with_grayscale(0.0),
            loss: DistillationLoss::default(),
            optimizer: OptimizerConfig::Lars(LarsConfig::default()),
            weight_decay: 1e-4,
            schedule: ScheduleConfig::default(),
            batch_size: 256,
            freeze: Freeze::None,
            seed: 0,
        }
    }
}

impl DistillConfig {
    /// The usual settings with a student of this depth.
    pub fn resnet(depth: usize) -> Self {
        Self {
            encoder: ResNetConfig::depth(depth),
            ..Self::default()
        }
    }

    /// The student that this run trains.
    pub fn model(&self, num_classes: usize) -> SimClrConfig {
        SimClrConfig::new(self.encoder.clone())
            .with_projection_head(self.projection_head.clone())
            .with_classes(num_classes)
    }

    /// Checks every setting that can be checked without the data.
    ///
    /// # Errors
    /// The first setting that is out of its range, with its value.
    pub fn validate(&self) -> Result<()> {
        self.encoder.validate()?;
        self.projection_head.validate()?;
        self.policy.validate()?;
        self.freeze.validate()?;
        self.schedule.validate()?;
        let (temperature, weight) = (self.loss.temperature, self.loss.weight);
        if !(temperature.is_finite() && temperature > 0.0) {
            let expected = "a finite number above 0";
            return Err(Error::setting("temperature", expected, temperature));
        }
        if !(0.0..=1.0).contains(&weight) {
            return Err(Error::setting(
                "weight of the teacher",
                "between 0 and 1",
                weight,
            ));
        }
        let (height, width) = self.policy.size;
        self.encoder.check_image_size(height, width)?;
        Ok(())
    }

    /// Changes the image size, and with it the stem: images of 32 pixels and less get the
    /// CIFAR stem, as in the original.
    pub fn with_image_size(mut self, size: usize) -> Self {
        self.policy.size = (size, size);
        self.policy.squash = self.policy.squash.map(|_| (size, size));
        self.encoder = self.encoder.with_stem(Stem::for_image_size(size));
        self
    }
}

impl Settings for DistillConfig {
    const STAGE: &'static str = "distillation";
    const COLUMNS: &'static [&'static str] = &[
        "epoch",
        "learning_rate",
        "total_loss",
        "distillation_loss",
        "agreement_accuracy",
        "supervised_loss",
        "supervised_accuracy",
        "weight_decay",
    ];
    const VIEWS: usize = 1;

    shared_settings!();

    fn resize(self, size: usize, _network_is_given: bool) -> Self {
        self.with_image_size(size)
    }

    fn network(&self, classes: usize) -> SimClrConfig {
        self.model(classes)
    }

    fn objective(&self) -> Objective {
        Objective::Distill(self.loss)
    }
}
