//! Making classifiers.

use std::sync::Arc;

use candle_core::Device;
use serde::{Deserialize, Serialize};
use simclr_augment::Policy;
use simclr_data::{Dataset, DatasetExt, Split, Subset, check_class_count};
use simclr_eval::NetworkClassifier;
use simclr_eval::analysis::Calibration;
use simclr_eval::metrics::ClassificationReport;
use simclr_eval::probes::{FeatureScaling, KNearest, LinearHead, LinearProbe, LogisticProbe};
use simclr_model::FrozenEncoder;
use simclr_progress::Progress;

use crate::calibration::{probabilities, temperature};
use crate::classifier::{Classifier, Network, each_batch};
use crate::error::{Error, Result};
use crate::head::{Bank, Head, matrix};
use crate::info::{CLASSIFIER_VERSION, ClassifierFigures, ClassifierInfo, HeadKind, SplitSizes};

/// Intervals of the calibration error.
const BINS: usize = 15;

/// Which head is fitted to the features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum HeadConfig {
    /// Logistic regression to convergence, the penalty chosen on validation images.
    Logistic(LogisticProbe),
    /// The paper's linear probe.
    LinearProbe(LinearProbe),
    /// The vote of the nearest training images.
    Neighbours(KNearest),
}

impl Default for HeadConfig {
    fn default() -> Self {
        Self::Logistic(LogisticProbe::default())
    }
}

/// How a classifier is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ClassifierConfig {
    /// Which head is fitted. A fine-tuned network has its own. Default: logistic regression.
    pub head: HeadConfig,
    /// How images are prepared. Default: [`Policy::probe`] at 224 pixels.
    pub policy: Policy,
    /// Novelty is the distance to this many-th nearest training image. Default: 5.
    pub novelty_neighbours: usize,
    /// The share of validation images that are not novel, between 0 and 1. Default: 0.95.
    pub novelty_quantile: f64,
    /// At most so many training images are kept for novelty, evenly chosen; the vote of the nearest
    /// keeps all. Default: 4096.
    pub bank: usize,
    /// How the images were split, in words, for the file. Default: empty.
    pub split_note: String,
}

impl Default for ClassifierConfig {
    fn default() -> Self {
        Self {
            head: HeadConfig::default(),
            policy: Policy::probe(224),
            novelty_neighbours: 5,
            novelty_quantile: 0.95,
            bank: 4096,
            split_note: String::new(),
        }
    }
}

/// Methods that take the configuration and give it back with one field set.
macro_rules! setters {
    ($($method:ident($field:ident: $type:ty);)*) => {$(
        #[doc = concat!("Sets [`Self::", stringify!($field), "`].")]
        pub fn $method(mut self, $field: $type) -> Self {
            self.$field = $field;
            self
        }
    )*};
}

impl ClassifierConfig {
    setters! {
        with_head(head: HeadConfig);
        with_policy(policy: Policy);
        with_novelty_neighbours(novelty_neighbours: usize);
        with_novelty_quantile(novelty_quantile: f64);
        with_bank(bank: usize);
        with_split_note(split_note: String);
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Setting`] for one that is out of range, and those of the head and the policy.
    pub fn validate(&self) -> Result<()> {
        for (name, count) in [
            ("novelty_neighbours", self.novelty_neighbours),
            ("bank", self.bank),
        ] {
            if count == 0 {
                return Err(Error::setting(name, "at least 1", count));
            }
        }
        if !(self.novelty_quantile > 0.0 && self.novelty_quantile < 1.0) {
            return Err(Error::setting(
                "novelty_quantile",
                "a number between 0 and 1",
                self.novelty_quantile,
            ));
        }
        self.policy.validate().map_err(simclr_eval::Error::from)?;
        match &self.head {
            HeadConfig::Logistic(probe) => probe.validate()?,
            HeadConfig::LinearProbe(probe) => probe.validate()?,
            HeadConfig::Neighbours(settings) => settings.validate()?,
        }
        Ok(())
    }
}

/// What a network makes of images.
struct Outputs {
    /// `[images, size]`, flat.
    features: Vec<f32>,
    size: usize,
    /// Of a fine-tuned network, `[images, classes]`, flat.
    logits: Vec<f32>,
    labels: Vec<u32>,
}

impl Outputs {
    fn of(
        network: &Network,
        images: Arc<dyn Dataset>,
        policy: &Policy,
        progress: &mut dyn Progress,
    ) -> Result<Self> {
        let labels = images.labels("a classifier")?;
        let mut outputs = Self {
            features: Vec::new(),
            size: 0,
            logits: Vec::new(),
            labels,
        };
        each_batch(images.clone(), policy, progress, |first, views| {
            let batch = network.run(views, |row| images.name(first + row))?;
            outputs.size = batch.features.dim(1)?;
            outputs.features.extend(batch.values);
            outputs.logits.extend(batch.logits.unwrap_or_default());
            Ok::<_, Error>(())
        })?;
        Ok(outputs)
    }

    fn examples(&self) -> Result<simclr_eval::probes::Examples<'_>> {
        Ok(simclr_eval::probes::Examples::new(
            &self.features,
            self.size,
            &self.labels,
        )?)
    }

    /// At most `count` of the images, evenly chosen.
    fn bank(&self, count: usize) -> Result<Bank> {
        let step = self.labels.len().div_ceil(count).max(1);
        let rows = self.features.chunks_exact(self.size.max(1)).step_by(step);
        Ok(Bank {
            features: matrix(&rows.flatten().copied().collect::<Vec<_>>(), self.size)?,
            labels: self.labels.iter().copied().step_by(step).collect(),
        })
    }
}

impl Classifier {
    /// Fits a head to a frozen encoder's features of the training images. Penalty or epoch, temperature
    /// and thresholds are chosen on the validation images, and the figures are those of the test images.
    ///
    /// # Errors
    /// Parts of the split without images, images without labels or of a single class, a setting out of
    /// range, an image that cannot be read, or whose features are not finite.
    pub fn fit(
        encoder: &FrozenEncoder,
        split: &Split<Subset>,
        config: &ClassifierConfig,
        progress: &mut dyn Progress,
    ) -> Result<Self> {
        Self::of(
            Network::Frozen(Box::new(encoder.clone())),
            split,
            config,
            progress,
        )
    }

    /// Makes a classifier of a network that was fine-tuned on these classes. Where the network names
    /// the same classes in another order, its head is [reordered](NetworkClassifier::for_classes).
    ///
    /// # Errors
    /// As [`Self::fit`]; a network whose classes are others, or of another number.
    pub fn of_network(
        network: NetworkClassifier,
        split: &Split<Subset>,
        config: &ClassifierConfig,
        progress: &mut dyn Progress,
    ) -> Result<Self> {
        let network = network.for_classes(split.train.class_names())?;
        let model = Box::new(network.into_model());
        Self::of(Network::FineTuned(model), split, config, progress)
    }

    /// The steps of progress of [`Self::fit`].
    pub fn fitting_steps(split: &Split<Subset>) -> usize {
        let parts = [&split.train, &split.validation, &split.test];
        parts
            .iter()
            .map(|part| Self::prediction_steps(part.len()))
            .sum()
    }

    fn of(
        network: Network,
        split: &Split<Subset>,
        config: &ClassifierConfig,
        progress: &mut dyn Progress,
    ) -> Result<Self> {
        config.validate()?;
        for (name, part) in [
            ("train", &split.train),
            ("validation", &split.validation),
            ("test", &split.test),
        ] {
            if part.is_empty() {
                return Err(Error::setting(name, "at least one image", 0));
            }
        }
        let classes = split.train.class_names().to_vec();
        check_class_count(&classes)?;
        let mut run =
            |part: &Subset| Outputs::of(&network, part.shared(), &config.policy, progress);
        let (train, validation, test) = (
            run(&split.train)?,
            run(&split.validation)?,
            run(&split.test)?,
        );
        let (kind, head) = match &network {
            Network::Frozen(_) => fit_head(&config.head, &train, &validation, &classes)?,
            Network::FineTuned(_) => (HeadKind::FineTuned, Head::FineTuned),
        };
        let all = matches!(head, Head::Neighbours { .. });
        let bank = train.bank(if all { usize::MAX } else { config.bank })?;
        let logits = |part: &Outputs| match &head {
            Head::FineTuned => Ok(part.logits.clone()),
            head => head.logits(&matrix(&part.features, part.size)?, &bank, classes.len()),
        };
        let (validation_logits, test_logits) = (logits(&validation)?, logits(&test)?);
        let temperature = temperature(&validation_logits, &validation.labels, classes.len());
        let own = own_probabilities(
            &validation_logits,
            &validation.labels,
            classes.len(),
            temperature,
        );
        let neighbours = config.novelty_neighbours.min(bank.labels.len());
        let mut known =
            bank.novelty(&matrix(&validation.features, validation.size)?, neighbours)?;
        known.sort_by(f64::total_cmp);
        let place = (config.novelty_quantile * known.len() as f64) as usize;
        let threshold = known.get(place).or(known.last()).copied().unwrap_or(2.0);
        let novelty = bank.novelty(&matrix(&test.features, test.size)?, neighbours)?;
        let novel = novelty
            .iter()
            .filter(|novelty| **novelty > threshold)
            .count();
        let report = ClassificationReport::new(&test_logits, &test.labels, &classes)?;
        let figures = ClassifierFigures {
            accuracy: report.accuracy,
            macro_f1: report.macro_f1,
            ece_before: calibration_error(&test_logits, &report, 1.0)?,
            ece_after: calibration_error(&test_logits, &report, temperature)?,
            novel: novel as f64 / novelty.len() as f64,
            class_f1: report.per_class.iter().map(|class| class.f1).collect(),
        };
        Ok(Self {
            network,
            head,
            bank,
            conformal: own,
            info: ClassifierInfo {
                version: CLASSIFIER_VERSION,
                head: kind,
                classes,
                policy: config.policy.clone(),
                temperature,
                novelty_neighbours: neighbours,
                novelty_threshold: threshold,
                split: SplitSizes {
                    train: split.train.len(),
                    validation: split.validation.len(),
                    test: split.test.len(),
                },
                split_note: config.split_note.clone(),
                figures,
            },
        })
    }
}

fn fit_head(
    config: &HeadConfig,
    train: &Outputs,
    validation: &Outputs,
    classes: &[String],
) -> Result<(HeadKind, Head)> {
    let (examples, held_out) = (train.examples()?, validation.examples()?);
    Ok(match config {
        HeadConfig::Logistic(probe) => {
            let head = probe.train(examples, held_out, classes)?.head()?;
            let unit_length = probe.scaling == FeatureScaling::UnitLength;
            (
                HeadKind::LogisticRegression { unit_length },
                Head::Linear { head, unit_length },
            )
        }
        HeadConfig::LinearProbe(probe) => {
            let (_, head) = probe.fit_head(examples, held_out, held_out, classes)?;
            let unit_length = false;
            (HeadKind::LinearProbe, Head::Linear { head, unit_length })
        }
        HeadConfig::Neighbours(settings) => {
            let (k, temperature) = (settings.k, settings.temperature);
            (
                HeadKind::NearestNeighbours { k, temperature },
                Head::Neighbours {
                    settings: settings.clone(),
                    features: train.features.clone(),
                },
            )
        }
    })
}

/// The probabilities of the true classes in increasing order.
fn own_probabilities(logits: &[f32], labels: &[u32], classes: usize, temperature: f64) -> Vec<f32> {
    let shares = probabilities(logits, classes, temperature);
    let rows = shares.chunks_exact(classes.max(1)).zip(labels);
    let mut own: Vec<f32> = rows
        .filter_map(|(row, &label)| row.get(label as usize).map(|p| *p as f32))
        .collect();
    own.sort_by(f32::total_cmp);
    own
}

fn calibration_error(
    logits: &[f32],
    report: &ClassificationReport,
    temperature: f64,
) -> Result<f64> {
    let classes = report.class_names.len();
    let shares = probabilities(logits, classes, temperature);
    let highest = |row: &[f64]| row.iter().copied().fold(0.0, f64::max).min(1.0);
    let confidences: Vec<f64> = shares.chunks_exact(classes.max(1)).map(highest).collect();
    let correct: Vec<bool> = report
        .labels
        .iter()
        .zip(&report.predictions)
        .map(|(a, b)| a == b)
        .collect();
    Ok(Calibration::of(&confidences, &correct, BINS)?.expected_error)
}

/// A head from its tensors.
pub(crate) fn linear_head(
    kernel: &candle_core::Tensor,
    bias: &candle_core::Tensor,
) -> Result<LinearHead> {
    Ok(LinearHead::new(
        &kernel.to_device(&Device::Cpu)?,
        &bias.to_device(&Device::Cpu)?,
    )?)
}
