//! Fine-tuning with labels: SimCLRv2's second step, and supervised training.

mod config;
mod outcome;
mod validation;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use simclr_augment::Policy;
use simclr_checkpoint::load_model;
use simclr_data::{Dataset, DatasetExt, LoaderConfig, Split, Subset, ViewLoader};
use simclr_model::{Freeze, Parameters, SimClr};

pub use config::{FineTuneConfig, HeadStart};
use outcome::Evaluation;
pub use outcome::{FineTuneEpoch, FineTuneResult};
use validation::{Validation, best_step};

use crate::run::RunFacts;
use crate::session::{Finished, Session};
use crate::training_loop::{Material, TrainingLoop};
use crate::{Error, Result};
use simclr_data::dataset_facts;
use simclr_eval::metrics::ClassificationReport;
use simclr_eval::{EXTRACTION_BATCH_SIZE, NetworkClassifier, classifier_scores, values_digest};

/// A training on labels to be: of a pretrained network, whole or behind its frozen part, or
/// of an untrained one.
///
/// The cross-entropy of the supervised head is minimised, with gradients into everything
/// that is not frozen. The head stands on the level of the projection head that
/// [`projection_layer`](Self::projection_layer) names. After each epoch the validation
/// images are looked at; the network of the best epoch is the result and is judged on the
/// test images, once.
///
/// Three things are easily confused: *fine-tuning* (this) changes the encoder; *linear
/// evaluation* ([`LinearProbe`](simclr_eval::evaluation::LinearProbe)) trains a classifier on
/// [`Features`](crate::Features) of an encoder that stays as it is; *freezing* a part
/// ([`Freeze`]) lies between the two.
///
/// ```no_run
/// use candle_core::Device;
/// use simclr_data::{DatasetExt, Fractions, ImageFolder, Seed};
/// use simclr_model::Freeze;
/// use simclr_train::FineTune;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let split = ImageFolder::labelled("labelled/")?.split(Fractions::small_train(), Seed(1))?;
/// let pretrained = simclr_checkpoint::load_model("runs/cores/model.safetensors", &Device::Cpu)?;
/// let run = FineTune::network(&pretrained.model)?
///     .image_size(64).projection_layer(1).freeze(Freeze::AfterBlock(2)).epochs(30)
///     .run(&split, "runs/fine-tuned")?;
/// println!("{}", run.result);
///
/// // The same labels without pretraining, to compare with:
/// let run = FineTune::supervised(18).image_size(64).run(&split, "runs/supervised")?;
/// # Ok(())
/// # }
/// ```
pub type FineTune = TrainingLoop<FineTuneConfig>;

/// A finished fine-tuning.
#[derive(Debug)]
pub struct FineTuneRun {
    /// The network of the best epoch, ready to classify.
    pub classifier: NetworkClassifier,
    /// What was measured, also in `result.json`.
    pub result: FineTuneResult,
    /// The run folder.
    pub dir: PathBuf,
    /// The network of the best epoch in the run folder, heads included.
    pub model_file: PathBuf,
}

impl FineTune {
    /// Fine-tunes this network, with the authors' settings for few labels.
    ///
    /// # Errors
    /// None are known: a network's parameters have distinct names.
    pub fn network(model: &SimClr) -> Result<Self> {
        let config = FineTuneConfig {
            encoder: model.config().encoder.clone(),
            projection_head: model.config().projection_head.clone(),
            ..FineTuneConfig::default()
        };
        Ok(Self::new(config).start_from(model.store()?))
    }

    /// Supervised training of an untrained network of this depth:
    /// [`FineTuneConfig::supervised`].
    pub fn supervised(depth: usize) -> Self {
        Self::new(FineTuneConfig::supervised(depth))
    }

    /// Leaves a part of the encoder as it is. Default: nothing.
    pub fn freeze(mut self, freeze: Freeze) -> Self {
        self.config.freeze = freeze;
        self
    }

    /// On which level of the projection head the supervised head stands
    /// (`ft_proj_selector`): 0 is the encoder's output, k the output of layer k, -1 that of
    /// the last layer. Default: 0, or what the network to start from says.
    pub fn projection_layer(mut self, level: i64) -> Self {
        self.config.projection_head.ft_proj_selector = level;
        self
    }

    /// Runs, or goes on where an interrupted run in `dir` stopped. A finished run is not
    /// repeated: its outcome is read back.
    ///
    /// The parts for validation and test may be empty: then the last epoch counts as the
    /// best, and there is no test report.
    ///
    /// # Errors
    /// Settings out of range; a training or evaluation image without a label; parts with
    /// other classes; a batch larger than the training part; a network to start from that
    /// does not fit; a folder that holds another run; an image that cannot be read; a loss
    /// that is no longer finite.
    pub fn run(&self, split: &Split<Subset>, dir: impl Into<PathBuf>) -> Result<FineTuneRun> {
        self.config.validate()?;
        check_labels(split)?;
        let start = self.start.as_ref().map(parameters_digest).transpose()?;
        let material = Material {
            images: split.train.shared(),
            classes: split.train.class_names().len(),
            facts: facts(split),
            identity: BTreeMap::from([("start", start)]),
        };
        let validation = |session: &Session| {
            Ok(Validation {
                images: self.evaluation_loader(&split.validation)?,
                best: best_step(&session.metrics_so_far()?)?.map(|(_, accuracy)| accuracy),
                model_file: session.model_file(),
            })
        };
        let outcome = self.carry_out(
            dir.into(),
            material,
            validation,
            |finished| {
                let evaluation = self.evaluate(finished, split)?;
                FineTuneResult::new(finished, split, evaluation)
            },
            FineTuneResult::summary,
        )?;
        Ok(FineTuneRun {
            classifier: NetworkClassifier::load(&outcome.model_file, &self.options.device)?,
            result: outcome.result,
            dir: outcome.dir,
            model_file: outcome.model_file,
        })
    }

    /// The images as they are evaluated; `None` if there are none.
    fn evaluation_loader(&self, images: &Subset) -> Result<Option<ViewLoader>> {
        if images.is_empty() {
            return Ok(None);
        }
        let config = LoaderConfig {
            cache_bytes: self.options.cache_bytes,
            ..LoaderConfig::evaluation(EXTRACTION_BATCH_SIZE)
        };
        let policy: Policy = self.config.evaluation.clone();
        Ok(Some(ViewLoader::new(images.shared(), policy, config)?))
    }

    /// Judges the network of the best epoch, which is in the run's file.
    fn evaluate(&self, finished: &Finished, split: &Split<Subset>) -> Result<Evaluation> {
        let last = finished.trainer.steps_taken();
        let best = best_step(&finished.metrics)?.map_or(last, |(step, _)| step);
        let epoch = finished.epoch_ends.binary_search(&(best as usize));
        let classifier = self.best_network(&finished.model_file(), best)?;
        let (validation, _) = self.judge(&classifier, &split.validation)?;
        let (test, test_scores) = self.judge(&classifier, &split.test)?;
        Ok(Evaluation {
            best_epoch: epoch.map_or(finished.epoch_ends.len(), |index| index + 1),
            validation,
            test,
            test_scores,
        })
    }

    fn best_network(&self, path: &Path, step: u64) -> Result<NetworkClassifier> {
        let loaded = load_model(path, &self.options.device)?;
        let found = loaded.metadata.source.and_then(|source| source.global_step);
        if found != i64::try_from(step).ok() {
            return Err(Error::RunFile {
                path: path.to_owned(),
                reason: format!(
                    "is the network after {}, expected that of the best epoch, after {step} steps",
                    found.map_or("an unknown step".into(), |step| format!("{step} steps"))
                ),
            });
        }
        Ok(NetworkClassifier::new(loaded.model)?)
    }

    /// The report and the logits of a part; nothing for an empty one.
    fn judge(
        &self,
        classifier: &NetworkClassifier,
        images: &Subset,
    ) -> Result<(Option<ClassificationReport>, Vec<f32>)> {
        let Some(loader) = self.evaluation_loader(images)? else {
            return Ok((None, Vec::new()));
        };
        let labels = images.labels("an evaluation")?;
        let scores = classifier_scores(classifier, &loader)?;
        let report = ClassificationReport::new(&scores, &labels, images.class_names())?;
        Ok((Some(report), scores))
    }
}

/// Every image has a label, and all parts have the same classes.
fn check_labels(split: &Split<Subset>) -> Result<()> {
    let classes = split.train.class_names();
    if classes.is_empty() {
        return Err(Error::NoLabels {
            missing: "images with classes",
        });
    }
    for (name, part) in parts(split) {
        if part.class_names() != classes {
            return Err(Error::setting(
                name,
                format!(
                    "the classes of the training images ({})",
                    classes.join(", ")
                ),
                part.class_names().join(", "),
            ));
        }
        part.labels("fine-tuning")?;
    }
    Ok(())
}

fn parts(split: &Split<Subset>) -> [(&'static str, &Subset); 3] {
    [
        ("classes of the training images", &split.train),
        ("classes of the validation images", &split.validation),
        ("classes of the test images", &split.test),
    ]
}

fn facts(split: &Split<Subset>) -> RunFacts {
    RunFacts::default()
        .dataset("train", dataset_facts("images", &split.train))
        .dataset("validation", dataset_facts("images", &split.validation))
        .dataset("test", dataset_facts("images", &split.test))
}

fn parameters_digest(parameters: &Parameters) -> Result<String> {
    let named = parameters.iter();
    Ok(values_digest(
        named.map(|(name, variable)| (name, variable.as_tensor())),
    )?)
}
