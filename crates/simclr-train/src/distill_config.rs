//! The configuration of distillation.

use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Deserializer, Serialize};
use simclr_loss::DistillationLoss;
use simclr_model::{ResNetConfig, SimClrConfig};

use crate::config::{
    LoopConfig, TrainingConfig, above_zero, crop_and_flip, deserialize_over_defaults,
};
use crate::error::{Error, Result};

/// The settings of a distillation. They are written to `config.json`, and a run can only
/// be resumed with the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
#[must_use]
pub struct DistillConfig {
    /// What all loops have, for the student. Defaults: those of [`TrainingConfig`], but views
    /// are squashed, randomly cropped and flipped left-right only.
    #[serde(flatten)]
    pub training: TrainingConfig,
    /// The teacher's temperature and weight. Default: temperature 1, weight 1.
    pub loss: DistillationLoss,
}

/// The settings of a [`DistillConfig`] beside those that all loops have.
#[derive(Deserialize)]
struct OwnSettings {
    loss: DistillationLoss,
}

impl<'de> Deserialize<'de> for DistillConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (training, own): (_, OwnSettings) =
            deserialize_over_defaults::<Self, _, D>(deserializer)?;
        Ok(Self {
            training,
            loss: own.loss,
        })
    }
}

impl Default for DistillConfig {
    fn default() -> Self {
        Self {
            training: TrainingConfig {
                policy: crop_and_flip(224),
                ..TrainingConfig::default()
            },
            loss: DistillationLoss::default(),
        }
    }
}

impl Deref for DistillConfig {
    type Target = TrainingConfig;

    fn deref(&self) -> &TrainingConfig {
        &self.training
    }
}

impl DerefMut for DistillConfig {
    fn deref_mut(&mut self) -> &mut TrainingConfig {
        &mut self.training
    }
}

impl DistillConfig {
    /// The usual settings with a student of this depth.
    pub fn resnet(depth: usize) -> Self {
        Self::default().with_encoder(ResNetConfig::depth(depth))
    }

    /// Sets the teacher's temperature and weight.
    pub fn with_loss(mut self, loss: DistillationLoss) -> Self {
        self.loss = loss;
        self
    }
}

impl LoopConfig for DistillConfig {
    const STAGE: &'static str = "distillation";
    const VIEWS: usize = 1;

    fn network(&self, num_classes: usize) -> SimClrConfig {
        SimClrConfig::new(self.encoder.clone())
            .with_projection_head(self.projection_head.clone())
            .with_classes(num_classes)
    }

    fn validate(&self) -> Result<()> {
        self.training.validate()?;
        above_zero("temperature", self.loss.temperature)?;
        let weight = self.loss.weight;
        if !(0.0..=1.0).contains(&weight) {
            let expected = "between 0 and 1";
            return Err(Error::setting("weight of the teacher", expected, weight));
        }
        Ok(())
    }
}
