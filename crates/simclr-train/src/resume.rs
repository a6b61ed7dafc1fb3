//! Where a session begins: at the newest checkpoint that a run can go on from.

use std::io::ErrorKind;

use candle_core::Device;

use crate::error::{Error, Result};
use crate::run::{
    CheckpointFile, Checkpoints, MetricsLog, MetricsPosition, MetricsTable, RunFolder,
};
use crate::trainer::{Trainer, load_network, steps_of};
use crate::validation::best_step;

/// The entry of a checkpoint's metadata that says how far `metrics.csv` has been written.
pub(crate) const METRICS: &str = "metrics";

/// Which network a run keeps in `model.safetensors`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeptNetwork {
    /// That of the last step, which the last checkpoint holds too.
    Last,
    /// That of the best epoch, written when that is over.
    Best,
}

/// A run folder whose checkpoints are looked through.
pub(crate) struct Resumption<'a> {
    pub(crate) folder: &'a RunFolder,
    pub(crate) checkpoints: &'a Checkpoints,
    pub(crate) columns: &'a [&'static str],
    pub(crate) device: &'a Device,
    pub(crate) kept: KeptNetwork,
}

impl Resumption<'_> {
    /// Brings the trainer to the newest checkpoint that is whole and whose rows are in
    /// `metrics.csv`; newer ones are reported and set aside. Without any checkpoint the run
    /// begins.
    pub(crate) fn go_to_newest(&self, trainer: &mut Trainer) -> Result<MetricsLog> {
        let mut passed_over = Vec::new();
        let mut lost_network = None;
        for file in self.checkpoints.list()?.into_iter().rev() {
            match self.go_to(&file, trainer, &mut lost_network) {
                Ok(metrics) => {
                    let step = file.step;
                    self.set_aside(&passed_over, &format!("the run goes on after step {step}"))?;
                    return Ok(metrics);
                }
                Err(error) if is_no_damage(&error) => return Err(error),
                Err(error) => passed_over.push((file, error)),
            }
        }
        if !passed_over.is_empty() && lost_network.is_none() {
            let reasons = passed_over.iter().map(|(_, error)| error.to_string());
            return Err(Error::NoCheckpoint {
                dir: self.checkpoints.dir().to_owned(),
                reasons: reasons.collect(),
            });
        }
        self.set_aside(&passed_over, "the run starts anew")?;
        self.folder.metrics(self.columns, None)
    }

    /// Brings the trainer to a checkpoint; if that fails, it stays as it is. `lost_network` is
    /// the step of a network that has to be trained again.
    fn go_to(
        &self,
        file: &CheckpointFile,
        trainer: &mut Trainer,
        lost_network: &mut Option<u64>,
    ) -> Result<MetricsLog> {
        let wrong = |reason: String| Error::RunFile {
            path: file.path.clone(),
            reason,
        };
        let saved = load_network(&file.path, trainer, self.device)?;
        let steps = steps_of(&file.path, &saved.metadata)?;
        let position = saved.metadata.entry(&file.path, METRICS)?;
        let position = position.unwrap_or(MetricsPosition {
            step: steps,
            sha256: None,
        });
        if steps != file.step || position.step != steps {
            let reason =
                format!("holds the state after {steps} steps, which its name does not say");
            return Err(wrong(reason));
        }
        let metrics = self.folder.metrics(self.columns, Some(&position))?;
        let write_network = match self.kept {
            KeptNetwork::Last => false,
            KeptNetwork::Best => self.is_best_to_write(steps, trainer, lost_network)?,
        };
        trainer.adopt(&file.path, &saved)?;
        if write_network {
            let path = self.folder.model_file();
            tracing::warn!(
                "{} is written again from {}",
                path.display(),
                file.path.display()
            );
            trainer.save_model(&path)?;
        }
        Ok(metrics)
    }

    /// Whether the network of the best epoch up to this checkpoint has to be written from it.
    /// Fails if the network has to be trained again, from an earlier checkpoint.
    fn is_best_to_write(
        &self,
        steps: u64,
        trainer: &Trainer,
        lost_network: &mut Option<u64>,
    ) -> Result<bool> {
        let best = match *lost_network {
            Some(lost) if lost > steps => return Ok(false),
            Some(lost) => lost,
            // Without validation images each epoch is the best so far.
            None => best_step(&MetricsTable::read(self.folder.metrics_file())?)?
                .map_or(steps, |(step, _)| step),
        };
        let path = self.folder.model_file();
        let found = load_network(&path, trainer, self.device);
        match found.and_then(|saved| steps_of(&path, &saved.metadata)) {
            // The network of an epoch after the checkpoint will be written again.
            Ok(found) if found == best || found > steps => Ok(false),
            _ if best == steps => Ok(true),
            found => {
                *lost_network = Some(best);
                let reason = match found {
                    Ok(found) => format!("is the network after step {found}"),
                    Err(error) => error.to_string(),
                };
                Err(Error::RunFile {
                    path,
                    reason: format!("{reason}; the best one is that after step {best}"),
                })
            }
        }
    }

    fn set_aside(&self, files: &[(CheckpointFile, Error)], consequence: &str) -> Result<()> {
        for (file, error) in files {
            let aside = self.checkpoints.set_aside(file)?;
            tracing::warn!("{error}; set aside as {}, {consequence}", aside.display());
        }
        Ok(())
    }
}

/// A checkpoint of another network, or one that this user may not read, is not passed over.
fn is_no_damage(error: &Error) -> bool {
    let Error::Checkpoint(error) = error else {
        return false;
    };
    match error.as_ref() {
        simclr_checkpoint::Error::Architecture { .. } => true,
        simclr_checkpoint::Error::File(simclr_files::Error::Io { reason, .. }) => {
            reason.kind() == ErrorKind::PermissionDenied
        }
        _ => false,
    }
}
