//! Methods that are networks trained with the labels of each cell.

use std::fs;
use std::num::NonZeroUsize;

use sha2::{Digest, Sha256};
use simclr_data::Split;
use simclr_eval::values_digest;
use simclr_model::Parameters;
use simclr_train::{FineTune, FineTuneConfig};

use crate::cell::Cell;
use crate::cell_result::{CellResult, Evaluation, NetworkEvaluation};
use crate::error::{Error, Result};
use crate::file_name::file_name;
use crate::study::{EvaluatedMethod, Study};
use crate::training_job::TrainingJob;

/// Epochs between the checkpoints of a job. The jobs are short, and writing a checkpoint each
/// epoch would take longer than the steps.
const CHECKPOINT_EPOCHS: NonZeroUsize = NonZeroUsize::new(10).unwrap();

impl Study {
    /// Evaluates a network that is trained anew with each cell's labels, from these
    /// parameters, or from random ones. `config` gives the settings of each job, in general
    /// [`TrainingJob::config`] or a variation of it. Cells on record are not trained again;
    /// they know the settings and the parameters that they started from.
    ///
    /// # Errors
    /// A name that is taken; those of [`FineTune::run`]; a cell on record with other settings
    /// or other parameters to start from.
    pub fn fine_tune(
        &mut self,
        name: impl Into<String>,
        start: Option<&Parameters>,
        config: impl Fn(&TrainingJob) -> FineTuneConfig,
    ) -> Result<()> {
        let start_digest = match start {
            None => "random".to_owned(),
            Some(parameters) => {
                let values = parameters.iter();
                let values = values.map(|(name, variable)| (name, variable.as_tensor()));
                short(&values_digest(values)?)
            }
        };
        let fingerprint = |job: &TrainingJob| -> Result<String> {
            let settings = serde_json::to_vec(&config(job))
                .map_err(simclr_files::Error::json("settings".as_ref()))?;
            let settings = short(&hex::encode(Sha256::digest(settings)));
            Ok(format!(
                "trained with settings {settings} from {start_digest}"
            ))
        };
        let (progress, checkpointing) = (self.progress, self.gradient_checkpointing);
        self.train_cells(name, fingerprint, |job| {
            let mut training = FineTune::new(config(job))
                .progress(progress)
                .gradient_checkpointing(checkpointing)
                .checkpoint_epochs(CHECKPOINT_EPOCHS);
            if let Some(parameters) = start {
                training = training.start_from(parameters.clone());
            }
            let result = training.run(&job.split, &job.dir)?.result;
            let test = result.test;
            let test = test.ok_or_else(|| Error::setting("test images", "at least one", "none"))?;
            Ok(NetworkEvaluation {
                test,
                test_scores: result.test_scores,
            })
        })
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
        let fingerprint = |_: &TrainingJob| Ok(fingerprint.to_owned());
        self.train_cells(name, fingerprint, |job| train(job).map_err(Into::into))
    }

    fn train_cells(
        &mut self,
        name: impl Into<String>,
        fingerprint: impl Fn(&TrainingJob) -> Result<String>,
        mut train: impl FnMut(&TrainingJob) -> Result<NetworkEvaluation>,
    ) -> Result<()> {
        let mut results = self.new_method(name)?;
        for cell in self.cells_of(&results.name, &self.protocol.seeds) {
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
        self.methods.push(EvaluatedMethod {
            results,
            features: None,
        });
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

/// Enough of a digest to tell it from others, and to show it in messages.
fn short(digest: &str) -> String {
    digest.chars().take(16).collect()
}
