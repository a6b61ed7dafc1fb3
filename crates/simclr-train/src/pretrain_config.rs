//! Everything that decides how a pretraining run goes.

use serde::{Deserialize, Serialize};
use simclr_augment::Policy;
use simclr_loss::NtXent;
use simclr_model::{Freeze, ProjectionHeadConfig, ResNetConfig, SimClrConfig, Stem};

use crate::trainer::Objective;
use crate::training_loop::{Settings, shared_settings};
use crate::{Error, Result};
use simclr_optim::ScheduleConfig;
use simclr_optim::{LarsConfig, OptimizerConfig};

/// The settings of a pretraining run. They are written to `config.json`, and a
/// run can only be resumed with the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainConfig {
    /// The encoder. Default: ResNet-50.
    pub encoder: ResNetConfig,
    /// The projection head. Default: three layers, 128 outputs.
    pub projection_head: ProjectionHeadConfig,
    /// How an image becomes a view. Default: the paper's, 224 px.
    pub policy: Policy,
    /// The contrastive loss. Default: temperature 0.5, normalised.
    pub loss: NtXent,
    /// The optimizer. Default: LARS, momentum 0.9.
    pub optimizer: OptimizerConfig,
    /// The strength of weight decay. Default: 1e-4.
    pub weight_decay: f64,
    /// The learning rate over time, and with it the number of epochs. Default:
    /// 1.0 x batch / 256, 10 epochs of warm-up, cosine, 100 epochs.
    pub schedule: ScheduleConfig,
    /// Images per step; each gives two views. Default: 256.
    pub batch_size: usize,
    /// Which part of the encoder stays as it is. Default: none.
    pub freeze: Freeze,
    /// Whether a linear classifier learns alongside, on stopped gradients, where
    /// the images have labels. Default: true.
    pub linear_classifier: bool,
    /// The seed of initial weights, order and views. Default: 0.
    pub seed: u64,
}

impl Default for PretrainConfig {
    fn default() -> Self {
        Self {
            encoder: ResNetConfig::depth(50),
            projection_head: ProjectionHeadConfig::default(),
            policy: Policy::paper(224),
            loss: NtXent {
                temperature: 0.5,
                ..NtXent::default()
            },
            optimizer: OptimizerConfig::Lars(LarsConfig::default()),
            weight_decay: 1e-4,
            schedule: ScheduleConfig::default(),
            batch_size: 256,
            freeze: Freeze::None,
            linear_classifier: true,
            seed: 0,
        }
    }
}

impl PretrainConfig {
    /// The model that this run trains; `num_classes` is 0 for images without labels.
    pub fn model(&self, num_classes: usize) -> SimClrConfig {
        let model = SimClrConfig::new(self.encoder.clone())
            .with_projection_head(self.projection_head.clone());
        if self.linear_classifier && num_classes > 0 {
            model.with_classes(num_classes)
        } else {
            model
        }
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
        let temperature = self.loss.temperature;
        if !(temperature.is_finite() && temperature > 0.0) {
            return Err(Error::setting(
                "temperature",
                "a finite number above 0",
                temperature,
            ));
        }
        let (height, width) = self.policy.size;
        self.encoder.check_image_size(height, width)?;
        if self.batch_size < 2 {
            return Err(Error::setting(
                "batch size",
                "at least 2, because the other images are the negatives",
                self.batch_size,
            ));
        }
        Ok(())
    }

    /// Changes the image size, and with it the stem: images of 32 pixels and less
    /// get the CIFAR stem, as in the original.
    pub fn with_image_size(mut self, size: usize) -> Self {
        self.policy.size = (size, size);
        self.policy.squash = self.policy.squash.map(|_| (size, size));
        self.encoder = self.encoder.with_stem(Stem::for_image_size(size));
        self
    }
}

impl Settings for PretrainConfig {
    const STAGE: &'static str = "pretraining";
    const COLUMNS: &'static [&'static str] = &[
        "epoch",
        "learning_rate",
        "total_loss",
        "contrast_loss",
        "contrast_accuracy",
        "contrast_entropy",
        "supervised_loss",
        "supervised_accuracy",
        "weight_decay",
    ];
    const VIEWS: usize = 2;

    shared_settings!();

    fn resize(self, size: usize, _network_is_given: bool) -> Self {
        self.with_image_size(size)
    }

    fn network(&self, classes: usize) -> SimClrConfig {
        self.model(classes)
    }

    fn objective(&self) -> Objective {
        Objective::Pretrain(self.loss)
    }
}
