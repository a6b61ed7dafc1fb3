//! The configuration of pretraining.

use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Deserializer, Serialize};
use simclr_data::DepthGuidance;
use simclr_loss::NtXent;
use simclr_model::{ResNetConfig, SimClrConfig};
use simclr_optim::LearningRateScaling;

use crate::config::{LoopConfig, TrainingConfig, above_zero, deserialize_over_defaults};
use crate::error::{Error, Result};
use crate::gradient_cache::check_chunks;

/// The settings of a pretraining run. They are written to `config.json`, and a
/// run can only be resumed with the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
#[must_use]
pub struct PretrainConfig {
    /// What all loops have. Defaults: those of [`TrainingConfig`], the paper's.
    #[serde(flatten)]
    pub training: TrainingConfig,
    /// The contrastive loss. Default: temperature 0.5, normalised.
    pub loss: NtXent,
    /// Whether a linear classifier learns alongside, on stopped gradients, where
    /// the images have labels. Default: true.
    pub linear_classifier: bool,
    /// How many images at a time a gradient cache embeds, at least 2: memory for so many images
    /// serves any batch, for a second forward pass. Default: none, the batch is embedded at once.
    ///
    /// The gradient is that of the loss over the whole batch (Gao et al., 2021, "Scaling deep
    /// contrastive learning batch size under memory limited setup"). The batch is divided into
    /// the fewest chunks of at most so many images, whose sizes differ by one at most; a chunk
    /// holds all views of its images. Each batch norm takes its statistics over a chunk and
    /// updates its moving ones after each, so in a step as often as there are chunks. Where one
    /// chunk suffices, the step is the plain one.
    pub gradient_cache: Option<usize>,
    /// Second views of neighbours in depth, and neighbours that are no negatives, for images with
    /// [positions](simclr_data::Dataset::position). Default: neither.
    pub depth_guidance: DepthGuidance,
}

/// The settings of a [`PretrainConfig`] beside those that all loops have.
#[derive(Deserialize)]
struct OwnSettings {
    loss: NtXent,
    linear_classifier: bool,
    gradient_cache: Option<usize>,
    depth_guidance: DepthGuidance,
}

impl<'de> Deserialize<'de> for PretrainConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (training, own): (_, OwnSettings) =
            deserialize_over_defaults::<Self, _, D>(deserializer)?;
        Ok(Self {
            training,
            loss: own.loss,
            linear_classifier: own.linear_classifier,
            gradient_cache: own.gradient_cache,
            depth_guidance: own.depth_guidance,
        })
    }
}

impl Default for PretrainConfig {
    fn default() -> Self {
        Self {
            training: TrainingConfig::default(),
            loss: NtXent {
                temperature: 0.5,
                ..NtXent::default()
            },
            linear_classifier: true,
            gradient_cache: None,
            depth_guidance: DepthGuidance::default(),
        }
    }
}

impl Deref for PretrainConfig {
    type Target = TrainingConfig;

    fn deref(&self) -> &TrainingConfig {
        &self.training
    }
}

impl DerefMut for PretrainConfig {
    fn deref_mut(&mut self) -> &mut TrainingConfig {
        &mut self.training
    }
}

impl PretrainConfig {
    /// The paper's settings with a ResNet of this depth.
    pub fn resnet(depth: usize) -> Self {
        Self::default().with_encoder(ResNetConfig::depth(depth))
    }

    /// Settings for batches of up to some hundred images, as small data sets have them: the
    /// learning rate 0.075, scaled with the square root of the batch as SimCLR's authors advise for
    /// small ones, one epoch of warm-up, and the temperature 0.2.
    pub fn with_small_batches(mut self, epochs: usize) -> Self {
        self.loss.temperature = 0.2;
        let schedule = self.schedule.clone();
        self.schedule = schedule
            .with_learning_rate(0.075)
            .with_scaling(LearningRateScaling::Sqrt)
            .with_warmup_epochs(1.0)
            .with_epochs(epochs);
        self
    }

    /// Sets the contrastive loss.
    pub fn with_loss(mut self, loss: NtXent) -> Self {
        self.loss = loss;
        self
    }

    /// Sets whether a linear classifier learns alongside.
    pub fn with_linear_classifier(mut self, linear_classifier: bool) -> Self {
        self.linear_classifier = linear_classifier;
        self
    }

    /// Sets how many images at a time a gradient cache embeds; `None` goes without one.
    pub fn with_gradient_cache(mut self, images: impl Into<Option<usize>>) -> Self {
        self.gradient_cache = images.into();
        self
    }

    /// Sets how depths guide the choice of views and negatives.
    pub fn with_depth_guidance(mut self, depth_guidance: DepthGuidance) -> Self {
        self.depth_guidance = depth_guidance;
        self
    }
}

impl LoopConfig for PretrainConfig {
    const STAGE: &'static str = "pretraining";
    const VIEWS: usize = 2;

    fn gradient_cache(&self) -> Option<usize> {
        self.gradient_cache
    }

    fn try_gradient_cache(self, images: usize) -> Option<Self> {
        Some(self.with_gradient_cache(images))
    }

    fn depth_guidance(&self) -> DepthGuidance {
        self.depth_guidance
    }

    fn network(&self, num_classes: usize) -> SimClrConfig {
        let model = SimClrConfig::new(self.encoder.clone())
            .with_projection_head(self.projection_head.clone());
        if self.linear_classifier && num_classes > 0 {
            model.with_classes(num_classes)
        } else {
            model
        }
    }

    fn validate(&self) -> Result<()> {
        self.training.validate()?;
        above_zero("temperature", self.loss.temperature)?;
        self.depth_guidance.validate()?;
        if self.batch_size < 2 {
            return Err(Error::setting(
                "batch size",
                "at least 2, because the other images are the negatives",
                self.batch_size,
            ));
        }
        self.gradient_cache
            .map_or(Ok(()), |images| check_chunks(images, self.batch_size))
    }
}
