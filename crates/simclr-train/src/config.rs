//! What every training run is configured by.

use std::ops::DerefMut;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use simclr_augment::Policy;
use simclr_data::{DepthGuidance, Seed};
use simclr_model::{Freeze, ProjectionHeadConfig, ResNetConfig, SimClrConfig, Stem};
use simclr_optim::{OptimizerConfig, ScheduleConfig};

use crate::error::{Error, Result};
use crate::identity;

/// The settings that pretraining, fine-tuning and distillation share. The defaults are those
/// of the paper's pretraining; each loop's own configuration states where it differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[must_use]
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
/// Each of them dereferences to its [`TrainingConfig`] and is serialised flat. Those of this crate
/// are read as by [`from_json`](Self::from_json) wherever they are part of something else, and
/// from the `config.json` of a run too.
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
    /// Text that is no JSON object; a setting that does not exist or a value of the wrong kind, by
    /// its path, as in `optimizer.momentum`.
    fn from_json(text: &str) -> Result<Self> {
        let given = serde_json::from_str(text).map_err(no_settings)?;
        let settings = over_defaults::<Self>(given)?;
        read_settings(Value::Object(settings)).map_err(|reason| Error::Configuration { reason })
    }
}

fn no_settings(error: serde_json::Error) -> Error {
    Error::setting("configuration", "settings in JSON", error)
}

/// Reads a loop's configuration as [`LoopConfig::from_json`] does, whatever it is part of: the
/// settings that all loops have, and the loop's own.
///
/// They are told apart here because what `serde` flattens is buffered, and the path of a setting
/// that cannot be read would be lost.
pub(crate) fn deserialize_over_defaults<'de, C, Own, D>(
    deserializer: D,
) -> Result<(TrainingConfig, Own), D::Error>
where
    C: LoopConfig,
    Own: DeserializeOwned,
    D: Deserializer<'de>,
{
    let given = Value::deserialize(deserializer)?;
    let settings = over_defaults::<C>(given).map_err(D::Error::custom)?;
    let shared = serde_json::to_value(TrainingConfig::default()).map_err(D::Error::custom)?;
    let is_shared = |name: &String| shared.get(name).is_some();
    let (training, own): (Map<_, _>, Map<_, _>) =
        settings.into_iter().partition(|(name, _)| is_shared(name));
    let training = read_settings(Value::Object(training)).map_err(D::Error::custom)?;
    let own = read_settings(Value::Object(own)).map_err(D::Error::custom)?;
    Ok((training, own))
}

/// Reads settings. The error begins with the path of the setting that cannot be read.
fn read_settings<T: DeserializeOwned>(settings: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(settings).map_err(|error| {
        let mut path = error.path().to_string();
        let reason = error.into_inner().to_string();
        if path == ROOT {
            return reason;
        }
        // An enum with its variant's name inside, as the optimizer is, is buffered too, and then
        // the path ends at the enum.
        if let Some(name) = unknown_field(&reason)
            && path.rsplit('.').next() != Some(name)
        {
            path = format!("{path}.{name}");
        }
        format!("`{path}`: {reason}")
    })
}

/// The path of everything that is read.
const ROOT: &str = ".";

/// The field that does not exist, if that is the error: `serde` names it first.
fn unknown_field(reason: &str) -> Option<&str> {
    let (name, _) = reason.strip_prefix("unknown field `")?.split_once('`')?;
    Some(name)
}

/// All settings of a loop: the given ones, and the defaults of those that are not named. What the
/// record of a run has besides is left out.
fn over_defaults<C: LoopConfig>(mut given: Value) -> Result<Map<String, Value>> {
    let mut settings = serde_json::to_value(C::default()).map_err(no_settings)?;
    if let (Value::Object(settings), Value::Object(given)) = (&settings, &mut given) {
        given.retain(|name, _| {
            settings.contains_key(name) || !identity::ALL.contains(&name.as_str())
        });
        if let Some(name) = given.keys().find(|name| !settings.contains_key(*name)) {
            let known = settings.keys().cloned().collect::<Vec<_>>().join(", ");
            return Err(Error::setting(
                "configuration",
                format!("one of {known}"),
                name,
            ));
        }
    }
    overlay(&mut settings, given);
    match settings {
        Value::Object(settings) => Ok(settings),
        other => Err(Error::setting("configuration", "an object", other)),
    }
}

/// Puts the given settings over the defaults. Where these lack one of them, or both are of another
/// `kind`, they are another variant of an enum, or have a name of an earlier version: then they
/// take the place of the defaults, and are refused later if there is no such setting.
fn overlay(settings: &mut Value, given: Value) {
    match (settings, given) {
        (Value::Object(settings), Value::Object(given)) if is_alike(settings, &given) => {
            for (name, value) in given {
                if let Some(setting) = settings.get_mut(&name) {
                    overlay(setting, value);
                }
            }
        }
        (setting, mut given) => {
            // So that a field that does not exist is what is wrong, and not a missing `kind`.
            if let (Some(kind), Value::Object(given)) = (setting.get("kind"), &mut given) {
                given.entry("kind").or_insert_with(|| kind.clone());
            }
            *setting = given;
        }
    }
}

fn is_alike(settings: &Map<String, Value>, given: &Map<String, Value>) -> bool {
    let kind = given.get("kind");
    (kind.is_none() || kind == settings.get("kind"))
        && given.keys().all(|name| settings.contains_key(name))
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

#[cfg(test)]
mod tests {
    use simclr_augment::Crop;
    use simclr_optim::AdamConfig;

    use super::*;
    use crate::{DistillConfig, FineTuneConfig, HeadInit, PretrainConfig};

    #[test]
    fn another_variant_of_an_enum_takes_the_place_of_the_default() {
        let read = |text: &str| PretrainConfig::from_json(text).unwrap();
        let config = read(r#"{"policy": {"crop": {"center": {"proportion": 0.5}}}}"#);
        assert_eq!(config.policy.crop, Crop::Center { proportion: 0.5 });
        assert_eq!(config.policy.grayscale, Policy::paper(224).grayscale);
        let config = read(r#"{"policy": {"crop": "whole"}, "freeze": {"after_block": 2}}"#);
        assert_eq!(config.policy.crop, Crop::Whole);
        assert_eq!(config.freeze, Freeze::AfterBlock(2));
        let config = read(r#"{"optimizer": {"kind": "adam"}}"#);
        let adam = OptimizerConfig::Adam(AdamConfig::default());
        assert_eq!(config.optimizer, adam);
    }

    #[test]
    fn settings_are_read_alike_alone_and_in_something_else() {
        #[derive(Debug, Deserialize)]
        struct Mine {
            #[serde(flatten)]
            distill: DistillConfig,
            nested: FineTuneConfig,
        }
        let read = serde_json::from_str::<Mine>;
        let mine = read(r#"{"batch_size": 3, "nested": {"head": "random"}}"#).unwrap();
        assert_eq!(mine.distill, DistillConfig::default().with_batch_size(3));
        let random = FineTuneConfig::default().with_head(HeadInit::Random);
        assert_eq!(mine.nested, random);
        for text in [
            r#"{"batch_sise": 3, "nested": {}}"#,
            r#"{"nested": {"batch_sise": 3}}"#,
            r#"{"nested": {"schedule": {"batch_sise": 3}}}"#,
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("batch_sise"), "{error}");
        }
        assert!(serde_json::from_str::<TrainingConfig>(r#"{"batch_sise": 3}"#).is_err());
        let error = PretrainConfig::from_json("[3]").unwrap_err().to_string();
        assert_eq!(error, "configuration: expected an object, found [3]");
    }

    #[test]
    fn a_setting_that_cannot_be_read_is_named_by_its_path() {
        let pretrain = |text| PretrainConfig::from_json(text).unwrap_err().to_string();
        let fine_tune = |text| FineTuneConfig::from_json(text).unwrap_err().to_string();
        let distill = |text| DistillConfig::from_json(text).unwrap_err().to_string();
        for (error, path) in [
            (
                pretrain(r#"{"optimizer": {"kind": "lars", "momentun": 0.9}}"#),
                "`optimizer.momentun`: unknown field",
            ),
            (
                pretrain(r#"{"optimizer": {"momentun": 0.9}}"#),
                "`optimizer.momentun`: unknown field",
            ),
            (
                pretrain(r#"{"schedule": {"epoch": 3}}"#),
                "`schedule.epoch`: unknown field",
            ),
            (
                pretrain(r#"{"policy": {"crop": {"center": {}}}}"#),
                "`policy.crop.center`: missing field `proportion`",
            ),
            (
                pretrain(r#"{"schedule": {"epochs": "many"}}"#),
                "`schedule.epochs`: invalid type: string \"many\"",
            ),
            (
                pretrain(r#"{"loss": {"temperatur": 1}}"#),
                "`loss.temperatur`: unknown field",
            ),
            (
                fine_tune(r#"{"evaluation": {"sise": 3}}"#),
                "`evaluation.sise`: unknown field",
            ),
            (
                distill(r#"{"loss": {"weights": 1}}"#),
                "`loss.weights`: unknown field",
            ),
        ] {
            assert!(
                error.starts_with(&format!("configuration: {path}")),
                "{error}"
            );
        }
    }

    #[test]
    fn whole_configurations_and_names_of_earlier_versions_are_read() {
        let config = PretrainConfig::resnet(18).with_gradient_cache(4);
        let mut json = serde_json::to_value(&config).unwrap();
        let read = |json: &Value| serde_json::from_value::<PretrainConfig>(json.clone()).unwrap();
        assert_eq!(read(&json), config);
        let head = json["projection_head"].as_object_mut().unwrap();
        let level = head.remove("ft_proj_selector").unwrap();
        head.insert("fine_tune_from".into(), level);
        assert_eq!(read(&json), config);
        // As a run records them.
        json["start"] = Value::Null;
        json["own_objective"] = "Attraction".into();
        assert_eq!(read(&json), config);
    }
}
