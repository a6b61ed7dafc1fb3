//! The part of all ranks but the first: they take the same steps, and write nothing.

use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use simclr_collective::Collective;
use simclr_data::{Batch, ViewLoader};

use super::leader::share_control;
use super::state::{share, share_state};
use crate::callback::Control;
use crate::error::{Error, Result};
use crate::health::OnNan;
use crate::objective::{TrainingBatch, negative_mask};
use crate::trainer::Trainer;

/// A rank that follows rank 0.
pub(crate) struct Follower<'a> {
    pub(crate) ranks: Arc<dyn Collective>,
    pub(crate) loader: ViewLoader,
    pub(crate) trainer: Trainer,
    pub(crate) device: &'a Device,
    pub(crate) on_nan: OnNan,
}

impl Follower<'_> {
    /// Takes the steps of rank 0, whose run folder is `dir`.
    pub(crate) fn follow(mut self, dir: &Path) -> Result<Trainer> {
        let ranks = Arc::clone(&self.ranks);
        share_state(ranks.as_ref(), &mut self.trainer)?;
        let (first, last) = share::<(usize, usize)>(ranks.as_ref(), None)?;
        for batch in self.loader.batches(first..last)? {
            self.step(batch?.to_device(self.device)?)?;
            match share_control(ranks.as_ref(), Control::Continue)? {
                Control::Continue => {}
                Control::Pause => {
                    return Err(Error::Paused {
                        dir: dir.to_owned(),
                        step: self.trainer.steps_taken(),
                    });
                }
                Control::Stop => break,
            }
        }
        Ok(self.trainer)
    }

    fn step(&mut self, batch: Batch) -> Result<()> {
        let dataset = self.loader.dataset();
        let labels: Vec<_> = batch.indices.iter().map(|&i| dataset.label(i)).collect();
        let mask = negative_mask(&batch, self.loader.config().batch_size)?;
        let batch = TrainingBatch {
            negative_mask: mask.as_ref(),
            ..TrainingBatch::new(&batch.views, &labels)
        };
        let metrics = match self.on_nan {
            OnNan::Stop => self.trainer.step_batch(&batch),
            OnNan::Skip => self.trainer.step_or_skip(&batch),
        };
        if let Err(Error::NotFinite { .. }) = metrics {
            // The mean over ranks, so rank 0 has found it too. It ends all, and says more.
            self.ranks.barrier()?;
        }
        metrics.map(drop)
    }
}
