//! What every training run is configured by.

use std::ops::DerefMut;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use simclr_augment::Policy;
use simclr_data::{DepthGuidance, Seed};
use simclr_model::{Freeze, ProjectionHeadConfig, ResNetConfig, SimClrConfig, Stem};
use simclr_optim::{OptimizerConfig, ScheduleConfig};

use crate::error::{Error, Result};

/// The settings that pretraining, fine-tuning and distillation share. The defaults are those
/// of the paper's pretraining; each loop's own configuration states where it differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TrainingConfig {
    /// The encoder. Default: ResNet-50.
    pub encoder: ResNetConfig,
    /// The projection head. Default: three layers, 128 outputs.
    pub projection_head: ProjectionHeadConfig,
    /// How an image becomes a view. Default: the paper's, 224 px.
    pub policy: Policy,
    /// The optimizer. Default: LARS, momentum 0.9.
    pub optimizer: OptimizerConfig,
    /// The strength of weight decay. Default: 1e-4.
    pub weight_decay: f64,
    /// The learning rate over time, and with it the number of epochs or steps. Default:
    /// 1.0 x batch / 256, 10 epochs of warm-up, cosine, 100 epochs.
    pub schedule: ScheduleConfig,
    /// Images per step. Default: 256.
    pub batch_size: usize,
    /// Which blocks of the encoder are frozen. Default: none.
    pub freeze: Freeze,
    /// The seed of initial weights, order and views. Default: 0.
    pub seed: Seed,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            encoder: ResNetConfig::depth(50),
            projection_head: ProjectionHeadConfig::default(),
            policy: Policy::paper(224),
            optimizer: OptimizerConfig::default(),
            weight_decay: 1e-4,
            schedule: ScheduleConfig::default(),
            batch_size: 256,
            freeze: Freeze::None,
            seed: Seed(0),
        }
    }
}

impl TrainingConfig {
    /// Checks every setting that can be checked without the data.
    ///
    /// # Errors
    /// The first setting that is out of its range, with its value.
    pub fn validate(&self) -> Result<()> {
        self.encoder.validate()?;
        self.projection_head.validate()?;
        self.freeze.validate()?;
        self.schedule.validate()?;
        self.optimizer.validate()?;
        check_policy(&self.encoder, &self.policy)?;
        at_least("weight decay", self.weight_decay, 0.0)?;
        if self.batch_size == 0 {
            return Err(Error::setting("batch size", "at least 1", 0));
        }
        Ok(())
    }
}

/// The configuration of one of the loops: a [`TrainingConfig`] and what the loop adds.
///
/// Each of them dereferences to its [`TrainingConfig`] and is serialised flat.
///
/// ```
/// use simclr_train::{LoopConfig, PretrainConfig};
///
/// let config = PretrainConfig::default().with_image_size(64).with_batch_size(128);
/// assert_eq!((config.policy.size, config.batch_size), ((64, 64), 128));
///
/// // In a file some of the settings are enough; unknown ones are refused by name.
/// let config = PretrainConfig::from_json(r#"{ "batch_size": 32, "loss": { "temperature": 0.1 } }"#)?;
/// assert_eq!((config.batch_size, config.loss.temperature), (32, 0.1));
/// let error = PretrainConfig::from_json(r#"{ "batchsize": 32 }"#).unwrap_err();
/// assert!(error.to_string().contains("batchsize"));
/// # Ok::<(), simclr_train::Error>(())
/// ```
pub trait LoopConfig:
    Clone + Default + Serialize + DeserializeOwned + DerefMut<Target = TrainingConfig>
{
    /// What progress calls the run.
    const STAGE: &'static str;
    /// Views of each image in a batch.
    const VIEWS: usize;
    /// Images that are evaluated at a time after an epoch, if that may take more memory than a
    /// step.
    const EVALUATION_BATCH: usize = 0;

    /// The network that is trained; `num_classes` is 0 for images without labels.
    fn network(&self, num_classes: usize) -> SimClrConfig;

    /// Checks every setting that can be checked without the data.
    ///
    /// # Errors
    /// The first setting that is out of its range, with its value.
    fn validate(&self) -> Result<()>;

    /// Whether a parameter of the network to start from is taken over.
    fn takes_over(&self, _parameter: &str) -> bool {
        true
    }

    /// How many images at a time a gradient cache embeds; `None` without one.
    fn gradient_cache(&self) -> Option<usize> {
        None
    }

    /// Sets how many images at a time a gradient cache embeds; `None` where the loop cannot have
    /// one.
    fn try_gradient_cache(self, _images: usize) -> Option<Self> {
        None
    }

    /// How depths guide the choice of views and negatives. Default: not at all.
    fn depth_guidance(&self) -> DepthGuidance {
        DepthGuidance::default()
    }

    /// Changes the size of the views, for a network whose stem is given.
    fn with_view_size(mut self, size: usize) -> Self {
        resize(&mut self.policy, size);
        self
    }

    /// Changes the image size, and with it the stem: images of 32 pixels and less
    /// get the CIFAR stem, as in the original.
    fn with_image_size(self, size: usize) -> Self {
        let encoder = self.encoder.clone().with_stem(Stem::for_image_size(size));
        self.with_view_size(size).with_encoder(encoder)
    }

    /// Sets the encoder.
    fn with_encoder(mut self, encoder: ResNetConfig) -> Self {
        self.encoder = encoder;
        self
    }

    /// Sets the projection head.
    fn with_projection_head(mut self, projection_head: ProjectionHeadConfig) -> Self {
        self.projection_head = projection_head;
        self
    }

    /// Sets how an image becomes a view.
    fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets the optimizer.
    fn with_optimizer(mut self, optimizer: OptimizerConfig) -> Self {
        self.optimizer = optimizer;
        self
    }

    /// Sets the strength of weight decay.
    fn with_weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = weight_decay;
        self
    }

    /// Sets the learning rate over time.
    fn with_schedule(mut self, schedule: ScheduleConfig) -> Self {
        self.schedule = schedule;
        self
    }

    /// Sets the number of images per step.
    fn with_batch_size(mut self, images: usize) -> Self {
        self.batch_size = images;
        self
    }

    /// Sets which blocks of the encoder are frozen.
    fn with_freeze(mut self, freeze: Freeze) -> Self {
        self.freeze = freeze;
        self
    }

    /// Sets the seed of initial weights, order and views.
    fn with_seed(mut self, seed: Seed) -> Self {
        self.seed = seed;
        self
    }

    /// Reads settings; those that are not named keep their defaults.
    ///
    /// # Errors
    /// Text that is no JSON object, a setting that does not exist, a value of the wrong kind.
    fn from_json(text: &str) -> Result<Self> {
        let wrong =
            |error: serde_json::Error| Error::setting("configuration", "settings in JSON", error);
        let given = serde_json::from_str(text).map_err(wrong)?;
        let mut settings = serde_json::to_value(Self::default()).map_err(wrong)?;
        overlay(&mut settings, given, "")?;
        serde_json::from_value(settings).map_err(wrong)
    }
}

/// Puts the given settings over the defaults. Variants of an enum differ in their fields, so
/// an object with another `kind` takes the place of the default.
fn overlay(settings: &mut Value, given: Value, path: &str) -> Result<()> {
    match (settings, given) {
        (Value::Object(settings), Value::Object(given))
            if path.is_empty() || same_kind(settings, &given) =>
        {
            for (name, value) in given {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                let known = settings.keys().cloned().collect::<Vec<_>>().join(", ");
                let setting = settings.get_mut(&name).ok_or_else(|| {
                    Error::setting("configuration", format!("one of {known}"), &path)
                })?;
                overlay(setting, value, &path)?;
            }
            Ok(())
        }
        (_, given) if path.is_empty() => Err(Error::setting("configuration", "an object", given)),
        (setting, given) => {
            *setting = given;
            Ok(())
        }
    }
}

fn same_kind(
    settings: &serde_json::Map<String, Value>,
    given: &serde_json::Map<String, Value>,
) -> bool {
    let kind = given.get("kind");
    kind.is_none() || kind == settings.get("kind")
}

pub(crate) fn resize(policy: &mut Policy, size: usize) {
    policy.size = (size, size);
    policy.squash = policy.squash.map(|_| (size, size));
}

/// The paper's views without its changes of colour.
pub(crate) fn crop_and_flip(size: usize) -> Policy {
    Policy::paper(size)
        .without_color_jitter()
        .with_grayscale(0.0)
}

/// The longest side of an image that a network sees. One such image takes 3 GiB as numbers.
const LONGEST_SIDE: usize = 1 << 14;

pub(crate) fn check_policy(encoder: &ResNetConfig, policy: &Policy) -> Result<()> {
    policy.validate()?;
    let (height, width) = policy.size;
    if height.max(width) > LONGEST_SIDE {
        let expected = format!("at most {LONGEST_SIDE}");
        return Err(Error::setting("image size", expected, height.max(width)));
    }
    Ok(encoder.check_image_size(height, width)?)
}

pub(crate) fn at_least(setting: &'static str, value: f64, least: f64) -> Result<()> {
    if value.is_finite() && value >= least {
        return Ok(());
    }
    let expected = format!("a finite number, at least {least}");
    Err(Error::setting(setting, expected, value))
}

pub(crate) fn above_zero(setting: &'static str, value: f64) -> Result<()> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(Error::setting(setting, "a finite number above 0", value))
}
