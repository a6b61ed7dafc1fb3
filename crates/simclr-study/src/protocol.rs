//! Everything that decides how an experiment goes, beside its data and its methods.

use std::fmt::Debug;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use simclr_augment::Policy;
use simclr_data::{AugmentedDataset, Dataset, DatasetExt, OfflineAugmentation, Seed};
use simclr_eval::ProbeSuite;
use simclr_model::{Freeze, GradientCheckpointing, ResNetConfig};
use simclr_train::{FineTuneConfig, LoopConfig, Pretrain, PretrainConfig};

use crate::error::{Error, Result};
use crate::fold_scheme::FoldScheme;
use crate::task::Task;

/// An experiment's settings. They are written to the study's `config.json`, and a study
/// can only be resumed with the same.
///
/// The paper's are in [`paper`](crate::paper).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[must_use]
pub struct Protocol {
    /// What the experiment is called in reports. Default: "Study".
    pub title: String,
    /// The question it asks. Default: none.
    pub question: String,
    /// How labelled images are divided. Default: the paper's four folds that train on 67.5 %.
    pub folds: FoldScheme,
    /// The fractions of the training images whose labels are used, one after the other.
    /// Default: all.
    pub label_fractions: Vec<f64>,
    /// The fractions of the unlabelled images that self-supervision sees, in experiments
    /// that vary it. Default: all.
    pub unlabelled_fractions: Vec<f64>,
    /// What is frozen when training goes on from a network, in experiments that vary it.
    /// Default: nothing.
    #[serde(
        alias = "fine_tune_after_block",
        deserialize_with = "freeze_settings_or_flags"
    )]
    pub freeze: Vec<Freeze>,
    /// Seeds; everything is repeated with each. Default: 1 alone.
    pub seeds: Vec<Seed>,
    /// Self-supervision on task images.
    pub pretrain: PretrainConfig,
    /// The training of whole networks with labels from scratch. The encoder is that of
    /// `pretrain`, and so is the image size. Default: [`FineTuneConfig::supervised`].
    #[serde(alias = "fine_tune")]
    pub supervised: FineTuneConfig,
    /// What is frozen in networks that are fine-tuned with labels, beside the probes on them: a
    /// method each. Default: none, so no network is fine-tuned.
    pub fine_tune_freeze: Vec<Freeze>,
    /// The training of whole networks with labels from pretrained ones, whose encoder they
    /// have. Default: [`FineTuneConfig::default`].
    pub fine_tuning: FineTuneConfig,
    /// The probes on frozen features.
    #[serde(alias = "judge")]
    pub probes: ProbeSuite,
    /// Copies of training images, if there are to be any: of those with labels after the
    /// split, and of all that self-supervision sees. Validation and test images have none.
    /// Default: no copies.
    #[serde(alias = "enlargement", skip_serializing_if = "Option::is_none")]
    pub offline_augmentation: Option<OfflineAugmentation>,
}

impl Default for Protocol {
    fn default() -> Self {
        Self {
            title: "Study".to_owned(),
            question: String::new(),
            folds: FoldScheme::large_train(),
            label_fractions: vec![1.0],
            unlabelled_fractions: vec![1.0],
            freeze: vec![Freeze::None],
            seeds: vec![Seed(1)],
            pretrain: PretrainConfig::default(),
            supervised: FineTuneConfig::supervised(50),
            fine_tune_freeze: Vec::new(),
            fine_tuning: FineTuneConfig::default(),
            probes: ProbeSuite::default(),
            offline_augmentation: None,
        }
    }
}

impl Protocol {
    /// Sets the title and the question.
    pub fn with_title(mut self, title: impl Into<String>, question: impl Into<String>) -> Self {
        (self.title, self.question) = (title.into(), question.into());
        self
    }

    /// Sets [`folds`](Self::folds).
    pub fn with_folds(mut self, folds: FoldScheme) -> Self {
        self.folds = folds;
        self
    }

    /// Sets [`label_fractions`](Self::label_fractions).
    pub fn with_label_fractions(mut self, fractions: impl Into<Vec<f64>>) -> Self {
        self.label_fractions = fractions.into();
        self
    }

    /// Sets [`unlabelled_fractions`](Self::unlabelled_fractions).
    pub fn with_unlabelled_fractions(mut self, fractions: impl Into<Vec<f64>>) -> Self {
        self.unlabelled_fractions = fractions.into();
        self
    }

    /// Sets [`freeze`](Self::freeze).
    pub fn with_freeze(mut self, freeze: impl Into<Vec<Freeze>>) -> Self {
        self.freeze = freeze.into();
        self
    }

    /// Sets [`seeds`](Self::seeds).
    pub fn with_seeds(mut self, seeds: impl Into<Vec<Seed>>) -> Self {
        self.seeds = seeds.into();
        self
    }

    /// Sets [`pretrain`](Self::pretrain).
    pub fn with_pretrain(mut self, pretrain: PretrainConfig) -> Self {
        self.pretrain = pretrain;
        self
    }

    /// Sets [`supervised`](Self::supervised).
    pub fn with_supervised(mut self, supervised: FineTuneConfig) -> Self {
        self.supervised = supervised;
        self
    }

    /// Sets [`fine_tune_freeze`](Self::fine_tune_freeze).
    pub fn with_fine_tune_freeze(mut self, freeze: impl Into<Vec<Freeze>>) -> Self {
        self.fine_tune_freeze = freeze.into();
        self
    }

    /// Sets [`fine_tuning`](Self::fine_tuning).
    pub fn with_fine_tuning(mut self, fine_tuning: FineTuneConfig) -> Self {
        self.fine_tuning = fine_tuning;
        self
    }

    /// Sets [`probes`](Self::probes).
    pub fn with_probes(mut self, probes: ProbeSuite) -> Self {
        self.probes = probes;
        self
    }

    /// Sets [`offline_augmentation`](Self::offline_augmentation).
    pub fn with_offline_augmentation(mut self, copies: Option<OfflineAugmentation>) -> Self {
        self.offline_augmentation = copies;
        self
    }

    /// Changes the image size, and with it the stem of networks that are made from
    /// scratch.
    pub fn with_image_size(mut self, size: usize) -> Self {
        self.pretrain = self.pretrain.with_image_size(size);
        self.supervised = self.supervised.with_image_size(size);
        self.fine_tuning = self.fine_tuning.with_view_size(size);
        self
    }

    /// Side of the square images in pixels, for self-supervision and probes alike.
    pub fn image_size(&self) -> usize {
        self.pretrain.policy.size.0
    }

    /// How the probes see an image.
    pub fn probe_policy(&self) -> Policy {
        Policy::probe(self.image_size())
    }

    /// The architecture of networks that are made from scratch.
    pub fn encoder(&self) -> &ResNetConfig {
        &self.pretrain.encoder
    }

    /// The largest fraction of the unlabelled images: the one that is used where it does not
    /// vary.
    pub fn largest_unlabelled_fraction(&self) -> f64 {
        self.unlabelled_fractions
            .iter()
            .copied()
            .fold(0.0, f64::max)
    }

    /// Whether this is the other protocol with further seeds or label fractions.
    pub(crate) fn extends(&self, other: &Self) -> bool {
        let same = Self {
            seeds: other.seeds.clone(),
            label_fractions: other.label_fractions.clone(),
            ..self.clone()
        };
        let (seeds, fractions) = (&self.seeds, &self.label_fractions);
        same == *other
            && self != other
            && other.seeds.iter().all(|seed| seeds.contains(seed))
            && other
                .label_fractions
                .iter()
                .all(|fraction| fractions.contains(fraction))
    }

    /// Cuts the folds of every seed, and checks that each has images to train and to test on.
    ///
    /// # Errors
    /// As [`Task::folds`]; a fold without training or test images.
    pub fn check_folds(&self, task: &Task) -> Result<()> {
        for &seed in &self.seeds {
            for (index, fold) in task.folds(&self.folds, seed)?.iter().enumerate() {
                let expected = "training and test images in every fold";
                if fold.train.is_empty() || fold.test.is_empty() {
                    let (train, test) = (fold.train.len(), fold.test.len());
                    let found = format!("{train} and {test} in fold {}", index + 1);
                    return Err(Error::setting("folds", expected, found));
                }
            }
        }
        Ok(())
    }

    /// Checks that batches of self-supervision can be filled with the images that it sees.
    ///
    /// # Errors
    /// As [`Task::unlabelled`]; a batch larger than the images.
    pub fn check_pretraining(&self, task: &Task) -> Result<()> {
        for &seed in &self.seeds {
            let folds = task.folds(&self.folds, seed)?;
            let fractions = &self.unlabelled_fractions;
            let cases = folds
                .iter()
                .flat_map(|fold| fractions.iter().map(move |f| (fold, *f)));
            for (fold, fraction) in cases {
                let mut images = task.unlabelled(fold, fraction, seed)?;
                if let Some(how) = &self.offline_augmentation {
                    let all: Vec<usize> = (0..images.len()).collect();
                    images = AugmentedDataset::new(images, &all, how.clone())?.shared();
                }
                if self.pretrain.batch_size > images.len() {
                    let expected = format!(
                        "at most {}, the images that self-supervision sees with an unlabelled \
                         fraction of {fraction}",
                        images.len()
                    );
                    let found = self.pretrain.batch_size;
                    let setting = "batch size (`pretrain.batch_size`, --train-batch-size)";
                    return Err(Error::setting(setting, expected, found));
                }
            }
        }
        Ok(())
    }

    /// Fails if self-supervision on a task's images takes more memory than there is:
    /// [`RunSpec::check_memory`](simclr_train::RunSpec::check_memory).
    ///
    /// # Errors
    /// What such a run needs, what there is, and what would take less.
    pub fn check_memory(&self, task: &Task, checkpointing: GradientCheckpointing) -> Result<()> {
        let Some(&seed) = self.seeds.first() else {
            return Ok(());
        };
        let pretrain = Pretrain::new(self.pretrain.clone()).gradient_checkpointing(checkpointing);
        for fold in task.folds(&self.folds, seed)?.iter().take(1) {
            let images = task.unlabelled(fold, 1.0, seed)?;
            pretrain.check_memory(images.as_ref())?;
        }
        Ok(())
    }

    /// Checks everything that can be checked without the data.
    ///
    /// # Errors
    /// The first setting that is out of its range, with its value.
    pub fn validate(&self) -> Result<()> {
        self.pretrain.validate()?;
        self.supervised.validate()?;
        self.fine_tuning.validate()?;
        for (name, values) in [
            ("label_fractions", &self.label_fractions),
            ("unlabelled_fractions", &self.unlabelled_fractions),
        ] {
            let is_wrong = |value: &&f64| !(**value > 0.0 && **value <= 1.0);
            if let Some(wrong) = values.iter().find(is_wrong) {
                return Err(Error::setting(name, "more than 0, at most 1", wrong));
            }
            check_some(name, values)?;
        }
        for freeze in self.freeze.iter().chain(&self.fine_tune_freeze) {
            freeze.validate()?;
        }
        check_some("seeds", &self.seeds)?;
        check_some("freeze", &self.freeze)?;
        check_distinct("fine_tune_freeze", &self.fine_tune_freeze)
    }
}

/// Fails if there is no value, or one twice.
fn check_some<T: PartialEq + Debug>(name: &'static str, values: &[T]) -> Result<()> {
    if values.is_empty() {
        return Err(Error::setting(name, "at least one", "none"));
    }
    check_distinct(name, values)
}

/// Fails if there is a value twice.
fn check_distinct<T: PartialEq + Debug>(name: &'static str, values: &[T]) -> Result<()> {
    for (index, value) in values.iter().enumerate() {
        if values.iter().take(index).any(|earlier| earlier == value) {
            return Err(Error::setting(
                name,
                "each once",
                format!("{value:?} twice"),
            ));
        }
    }
    Ok(())
}

/// Reads what is to be frozen, also from the original's flags (`-1`, `0`, ...), which earlier
/// versions recorded.
fn freeze_settings_or_flags<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<Freeze>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum SettingOrFlag {
        Setting(Freeze),
        Flag(i64),
    }
    let values = Vec::<SettingOrFlag>::deserialize(deserializer)?;
    let values = values.into_iter().map(|value| match value {
        SettingOrFlag::Setting(freeze) => Ok(freeze),
        SettingOrFlag::Flag(flag) => Freeze::try_from(flag).map_err(D::Error::custom),
    });
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_of_earlier_versions_are_read_and_unknown_keys_refused() {
        let protocol = Protocol::default().with_freeze([Freeze::None, Freeze::AfterBlock(2)]);
        let mut json = serde_json::to_value(&protocol).unwrap();
        let fields = json.as_object_mut().unwrap();
        fields.remove("freeze");
        fields.insert("fine_tune_after_block".into(), vec![-1, 2].into());
        let probes = fields.remove("probes").unwrap();
        fields.insert("judge".into(), probes);
        assert_eq!(
            serde_json::from_value::<Protocol>(json.clone()).unwrap(),
            protocol
        );
        json["label_fraction"] = 0.5.into();
        let error = serde_json::from_value::<Protocol>(json).unwrap_err();
        assert!(error.to_string().contains("`label_fraction`"), "{error}");
    }

    #[test]
    fn values_out_of_range_or_given_twice_are_refused_by_name() {
        let refused = |protocol: Protocol| protocol.validate().unwrap_err().to_string();
        let protocol = Protocol::default();
        protocol.validate().unwrap();
        let error = refused(protocol.clone().with_label_fractions([0.5, 0.0]));
        assert!(error.starts_with("label_fractions") && error.ends_with("found 0"));
        let error = refused(protocol.clone().with_seeds([Seed(4), Seed(5), Seed(4)]));
        assert!(error.contains("Seed(4) twice"), "{error}");
        let error = refused(protocol.with_freeze([]));
        assert!(error.contains("at least one"), "{error}");
    }
}
