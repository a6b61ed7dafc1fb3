//! Fine-tuning with labels: SimCLRv2's second step, and supervised training.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use simclr_checkpoint::load_model;
use simclr_data::{
    Dataset, DatasetExt, LoaderConfig, Split, Subset, ViewLoader, check_class_count,
};
use simclr_eval::metrics::ClassificationReport;
use simclr_eval::{NetworkClassifier, classifier_scores};
use simclr_model::{FineTuneFrom, Freeze, SimClr};

use crate::completed_run::CompletedRun;
use crate::config::LoopConfig;
use crate::error::{Error, Result};
use crate::fine_tune_config::FineTuneConfig;
use crate::fine_tune_result::{Evaluation, FineTuneResult};
use crate::images::facts_of;
use crate::resume::KeptNetwork;
use crate::run::RunFacts;
use crate::run_spec::{RunSpec, TrainingInputs};
use crate::supervised::SupervisedObjective;
use crate::validation::{self, Validation, best_step};

/// Builder for training on labels: of a pretrained network, whole or behind its frozen part,
/// or of an untrained one.
///
/// The cross-entropy of the supervised head is minimised, with gradients into everything
/// that is not frozen. The head stands on the level of the projection head that
/// [`projection_layer`](Self::projection_layer) names. After each epoch the validation
/// images are looked at; the network of the best epoch is the result and is judged on the
/// test images, once.
///
/// Three things are easily confused: *fine-tuning* (this) changes the encoder; *linear
/// evaluation* ([`LinearProbe`](simclr_eval::probes::LinearProbe)) trains a classifier on
/// [`Features`](simclr_eval::Features) of an encoder that stays as it is; *freezing* a part
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
pub type FineTune = RunSpec<FineTuneConfig>;

/// A run fine-tuning.
#[derive(Debug, Clone)]
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
        let config = FineTuneConfig::default()
            .with_encoder(model.config().encoder.clone())
            .with_projection_head(model.config().projection_head.clone());
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
    pub fn projection_layer(mut self, level: impl Into<FineTuneFrom>) -> Self {
        self.config.projection_head.fine_tune_from = level.into();
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
        let inputs = TrainingInputs {
            images: split.train.shared(),
            num_classes: split.train.class_names().len(),
            facts: facts(split)?,
            identity: BTreeMap::new(),
        };
        let validation_images = self.evaluation_loader(&split.validation)?;
        let run = self.start(
            dir.into(),
            inputs,
            SupervisedObjective,
            &validation::COLUMNS,
            KeptNetwork::Best,
        )?;
        let mut validation = Validation {
            images: validation_images,
            best: best_step(&run.metrics_so_far()?)?.map(|(_, accuracy)| accuracy),
            model_file: run.model_file(),
        };
        let completed = run.run(&mut |trainer| validation.after_epoch(trainer))?;
        let recorded = completed.record(
            |run| FineTuneResult::new(run, split, self.evaluate(run, split)?),
            FineTuneResult::summary,
        )?;
        Ok(FineTuneRun {
            classifier: NetworkClassifier::load(&recorded.model_file, &self.options.device)?,
            result: recorded.result,
            dir: recorded.dir,
            model_file: recorded.model_file,
        })
    }

    /// The images as they are evaluated; `None` if there are none.
    fn evaluation_loader(&self, images: &Subset) -> Result<Option<ViewLoader>> {
        if images.is_empty() {
            return Ok(None);
        }
        let config = LoaderConfig::evaluation(validation::EVALUATION_BATCH_SIZE)
            .with_cache_bytes(self.options.cache_bytes);
        let policy = self.config.evaluation.clone();
        Ok(Some(ViewLoader::new(images.shared(), policy, config)?))
    }

    /// Evaluates the network of the best epoch, which is in the run's file.
    fn evaluate(&self, run: &CompletedRun, split: &Split<Subset>) -> Result<Evaluation> {
        let last = run.trainer.steps_taken();
        let best = best_step(&run.metrics)?.map_or(last, |(step, _)| step);
        let epoch = run.epoch_ends.binary_search(&(best as usize));
        let classifier = self.best_network(&run.model_file(), best)?;
        let (validation, _) = self.evaluate_subset(&classifier, &split.validation)?;
        let (test, test_scores) = self.evaluate_subset(&classifier, &split.test)?;
        Ok(Evaluation {
            best_epoch: epoch.map_or(run.epoch_ends.len(), |index| index + 1),
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

    /// The report and the logits of a subset; nothing for an empty one.
    fn evaluate_subset(
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

/// Every image has a label, and all parts have the same classes, at least two.
fn check_labels(split: &Split<Subset>) -> Result<()> {
    let classes = split.train.class_names();
    if classes.is_empty() {
        return Err(Error::NoLabels {
            operation: "training on labels",
            missing: "images with classes",
        });
    }
    check_class_count(classes)?;
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

fn facts(split: &Split<Subset>) -> Result<RunFacts> {
    let mut facts = RunFacts::default();
    for (part, images) in [
        ("train", &split.train),
        ("validation", &split.validation),
        ("test", &split.test),
    ] {
        facts = facts.dataset(part, facts_of(images)?);
    }
    Ok(facts)
}
