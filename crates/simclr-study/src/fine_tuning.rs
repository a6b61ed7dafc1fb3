//! Methods that are networks trained with the labels of each cell.

use std::fs;
use std::num::NonZeroUsize;

use sha2::{Digest, Sha256};
use simclr_data::Split;
use simclr_model::{Freeze, SimClr};
use simclr_train::{FineTune, FineTuneConfig, LoopConfig};

use crate::cell::Cell;
use crate::cell_result::{CellResult, Evaluation, NetworkEvaluation};
use crate::comparison::MethodResults;
use crate::error::{Error, Result};
use crate::file_name::file_name;
use crate::fingerprint::{parameters_digest, short};
use crate::seed_run::SeedRun;
use crate::study::{EvaluatedMethod, Study};
use crate::training_job::TrainingJob;

/// Epochs between the checkpoints of a job. The jobs are short, and writing a checkpoint each
/// epoch would take longer than the steps.
const CHECKPOINT_EPOCHS: NonZeroUsize = NonZeroUsize::new(10).unwrap();

/// The protocol's settings that [`Study::fine_tune`] uses.
const FINE_TUNING: &[&str] = &["fine_tune_freeze", "fine_tuning"];

impl Study {
    /// Evaluates a network that is trained from scratch with each cell's labels, with the
    /// settings [`TrainingJob::supervised`].
    ///
    /// # Errors
    /// As [`fine_tune_with`](Self::fine_tune_with).
    pub fn supervised(&mut self, name: impl Into<String>) -> Result<()> {
        let runs = self.next_runs();
        let random = |_: &SeedRun| Ok::<_, Error>(None);
        self.train_from(name, &runs, &["supervised"], random, |job| {
            job.supervised.clone()
        })
    }

    /// Evaluates a network that is fine-tuned with each cell's labels, in general another one
    /// for each seed, which sees images of `image_size`: a method for every part of it that is
    /// frozen ([`Protocol::fine_tune_freeze`](crate::Protocol::fine_tune_freeze)), with the
    /// settings [`TrainingJob::fine_tuning`]. Where there is none, no method.
    ///
    /// # Errors
    /// As [`fine_tune_with`](Self::fine_tune_with).
    pub fn fine_tune<E: Into<Error>>(
        &mut self,
        name: &str,
        image_size: usize,
        network: impl FnMut(&SeedRun) -> Result<SimClr, E>,
    ) -> Result<()> {
        let runs = self.next_runs();
        self.fine_tune_runs(name, image_size, &runs, network)
    }

    pub(crate) fn fine_tune_runs<E: Into<Error>>(
        &mut self,
        name: &str,
        image_size: usize,
        runs: &[SeedRun],
        mut network: impl FnMut(&SeedRun) -> Result<SimClr, E>,
    ) -> Result<()> {
        for freeze in self.protocol.fine_tune_freeze.clone() {
            let name = match freeze {
                Freeze::None => format!("{name}, fine-tuned"),
                frozen => format!("{name}, fine-tuned, {}", frozen.description()),
            };
            let start = |run: &SeedRun| network(run).map(Some);
            self.train_from(name, runs, FINE_TUNING, start, |job| {
                let config = job.fine_tuning.clone().with_view_size(image_size);
                config.with_freeze(freeze)
            })?;
        }
        Ok(())
    }

    /// Evaluates a network that is trained anew with each cell's labels, from the one that
    /// `start` gives for a seed, or from random parameters where it gives none. `config` gives
    /// the settings of each job; its encoder and the layers of its projection head are those
    /// of the network to start from. Cells on record are not trained again; they know the
    /// settings and the parameters that they started from.
    ///
    /// # Errors
    /// A name that is taken; those of `start` and of [`FineTune::run`]; a cell on record with
    /// other settings or other parameters to start from.
    pub fn fine_tune_with<E: Into<Error>>(
        &mut self,
        name: impl Into<String>,
        start: impl FnMut(&SeedRun) -> Result<Option<SimClr>, E>,
        config: impl Fn(&TrainingJob) -> FineTuneConfig,
    ) -> Result<()> {
        let runs = self.next_runs();
        self.train_from(name, &runs, &[], start, config)
    }

    fn train_from<E: Into<Error>>(
        &mut self,
        name: impl Into<String>,
        runs: &[SeedRun],
        settings: &'static [&'static str],
        mut start: impl FnMut(&SeedRun) -> Result<Option<SimClr>, E>,
        config: impl Fn(&TrainingJob) -> FineTuneConfig,
    ) -> Result<()> {
        let mut results = self.new_method(name)?;
        for run in runs {
            let start = start(run).map_err(Into::into)?;
            let parameters = start.as_ref().map(SimClr::store).transpose()?;
            let digest = parameters.as_ref().map(parameters_digest).transpose()?;
            let digest = digest.unwrap_or_else(|| "random".to_owned());
            let config = |job: &TrainingJob| {
                let config = config(job);
                match &start {
                    None => config,
                    Some(network) => with_layers_of(config, network),
                }
            };
            let fingerprint = |job: &TrainingJob| fingerprint(&config(job), &digest);
            self.train_cells(run, fingerprint, &mut results, |job| {
                let mut training = FineTune::new(config(job))
                    .device(self.device.clone())
                    .progress(self.progress)
                    .gradient_checkpointing(self.gradient_checkpointing)
                    .checkpoint_epochs(CHECKPOINT_EPOCHS)
                    .callback(self.pause.clone());
                if let Some(parameters) = &parameters {
                    training = training.start_from(parameters.clone());
                }
                let result = training.run(&job.split, &job.dir)?.result;
                let test = result.test;
                let test =
                    test.ok_or_else(|| Error::setting("test images", "at least one", "none"))?;
                Ok(NetworkEvaluation {
                    test,
                    test_scores: result.test_scores,
                })
            })?;
        }
        self.add_network_method(results, settings);
        Ok(())
    }

    /// Evaluates a network that the caller trains with each cell's labels in a way of their
    /// own. `fingerprint` identifies everything that decides what `train` does beside the
    /// job: settings, and parameters to start from. `train` is called for cells that are not
    /// on record.
    ///
    /// # Errors
    /// A name that is taken; those of `train`; a cell on record with another fingerprint.
    pub fn train<E: Into<Error>>(
        &mut self,
        name: impl Into<String>,
        fingerprint: &str,
        mut train: impl FnMut(&TrainingJob) -> Result<NetworkEvaluation, E>,
    ) -> Result<()> {
        let mut results = self.new_method(name)?;
        for run in &self.next_runs() {
            let fingerprint = |_: &TrainingJob| Ok(fingerprint.to_owned());
            self.train_cells(run, fingerprint, &mut results, |job| {
                train(job).map_err(Into::into)
            })?;
        }
        self.add_network_method(results, &[]);
        Ok(())
    }

    fn add_network_method(&mut self, results: MethodResults, settings: &'static [&'static str]) {
        self.methods.push(EvaluatedMethod {
            results,
            features: None,
            settings,
        });
    }

    fn train_cells(
        &self,
        run: &SeedRun,
        fingerprint: impl Fn(&TrainingJob) -> Result<String>,
        results: &mut MethodResults,
        mut train: impl FnMut(&TrainingJob) -> Result<NetworkEvaluation>,
    ) -> Result<()> {
        for cell in self.cells_of(&results.name, run) {
            self.check_pause()?;
            let budget = self.label_budget(&cell)?;
            let job = self.training_job(&cell, &budget)?;
            let compute = || -> Result<_> {
                Ok(CellResult {
                    train_images: budget.len(),
                    evaluation: Evaluation::Network(Box::new(train(&job)?)),
                })
            };
            let result = self
                .cells
                .get_or_compute(&cell, &fingerprint(&job)?, compute)?;
            if job.dir.exists() {
                fs::remove_dir_all(&job.dir).map_err(Error::io(&job.dir))?;
            }
            results.cells.push((cell, result));
        }
        Ok(())
    }

    fn training_job(&self, cell: &Cell, budget: &[usize]) -> Result<TrainingJob> {
        let (_, fold) = self.resolve(cell)?;
        let split = Split {
            train: self.with_copies(budget),
            ..fold.clone()
        };
        let dir = self.dir().join(format!("seed-{}", cell.seed.0));
        let dir = dir.join(file_name(&cell.method)).join(format!(
            "fold-{}_labels-{}",
            cell.fold + 1,
            cell.label_fraction
        ));
        let split = split.of(self.images())?;
        let (seed, fraction) = (cell.seed, cell.label_fraction);
        Ok(TrainingJob::new(&self.protocol, seed, fraction, dir, split))
    }
}

/// The settings with the encoder and the layers of the projection head of the network to start
/// from.
fn with_layers_of(config: FineTuneConfig, network: &SimClr) -> FineTuneConfig {
    let mut projection_head = network.config().projection_head.clone();
    projection_head.fine_tune_from = config.projection_head.fine_tune_from;
    config
        .with_encoder(network.config().encoder.clone())
        .with_projection_head(projection_head)
}

/// Says what a network was trained with, and from what.
fn fingerprint(config: &FineTuneConfig, start: &str) -> Result<String> {
    let settings =
        serde_json::to_vec(config).map_err(simclr_files::Error::json("settings".as_ref()))?;
    let settings = short(&hex::encode(Sha256::digest(settings)));
    Ok(format!("trained with settings {settings} from {start}"))
}
