//! A run whose steps are done.

use std::path::PathBuf;
use std::time::Duration;

use candle_core::Device;
use serde::Serialize;
use serde::de::DeserializeOwned;
use simclr_progress::Progress;

use crate::error::Result;
use crate::run::{MetricsTable, RunFolder};
use crate::trainer::{Trainer, load_network, steps_of};

/// How long the steps of a session took, and how much of it was waiting.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Throughput {
    pub(crate) images: usize,
    pub(crate) elapsed: Duration,
    pub(crate) waited: Duration,
}

impl Throughput {
    pub(crate) fn images_per_second(&self) -> f64 {
        self.images as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// What has come since an earlier moment.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            images: self.images - earlier.images,
            elapsed: self.elapsed.saturating_sub(earlier.elapsed),
            waited: self.waited.saturating_sub(earlier.waited),
        }
    }

    /// The share of the time in which the network waited for data.
    pub(crate) fn waiting_share(&self) -> f64 {
        self.waited.as_secs_f64() / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// A run whose steps are done.
pub(crate) struct CompletedRun {
    pub(crate) folder: RunFolder,
    pub(crate) trainer: Trainer,
    pub(crate) progress: Box<dyn Progress>,
    /// The number of steps after which each epoch is over, ascending.
    pub(crate) epoch_ends: Vec<usize>,
    /// All rows of `metrics.csv`, those of earlier sessions too.
    pub(crate) metrics: MetricsTable,
    pub(crate) throughput: Throughput,
    /// Whether a callback stopped it.
    pub(crate) stopped_early: bool,
    /// Whether its result was there before.
    pub(crate) is_finished: bool,
    pub(crate) device: Device,
}

/// A run whose result is in its folder.
pub(crate) struct RecordedRun<R> {
    pub(crate) result: R,
    pub(crate) trainer: Trainer,
    pub(crate) dir: PathBuf,
    pub(crate) model_file: PathBuf,
}

impl CompletedRun {
    pub(crate) fn model_file(&self) -> PathBuf {
        self.folder.model_file()
    }

    /// Sees to it that the network after the last step is in its file.
    pub(crate) fn save_network(&self) -> Result<()> {
        let path = self.model_file();
        if self.is_finished {
            let found = load_network(&path, &self.trainer, &self.device)
                .and_then(|saved| steps_of(&path, &saved.metadata));
            match found {
                Ok(step) if step == self.trainer.steps_taken() => return Ok(()),
                Ok(step) => tracing::warn!(
                    "{} is the network after step {step}; it is written again",
                    path.display()
                ),
                Err(error) => tracing::warn!("{error}; the network is written again"),
            }
        }
        self.trainer.save_model(&path)
    }

    /// Writes the result and says what it is. A finished run finds it recorded.
    pub(crate) fn record<R>(
        mut self,
        result: impl FnOnce(&Self) -> Result<R>,
        summary: impl FnOnce(&R) -> String,
    ) -> Result<RecordedRun<R>>
    where
        R: Serialize + DeserializeOwned,
    {
        let recorded = self.folder.result()?.filter(|_| self.is_finished);
        let result = match recorded {
            Some(recorded) => recorded,
            None => {
                let result = result(&self)?;
                self.folder.write_result(&result)?;
                result
            }
        };
        self.progress.finish(&summary(&result));
        Ok(RecordedRun {
            result,
            model_file: self.model_file(),
            dir: self.folder.dir().to_owned(),
            trainer: self.trainer,
        })
    }
}
