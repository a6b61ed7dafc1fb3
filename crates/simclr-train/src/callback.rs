//! Watching a run, and stopping it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::Result;
use crate::objective::TrainingBatch;
use crate::trainer::StepMetrics;

/// What a run does after a [`Callback`] has seen a step or an epoch. Of several callbacks the
/// strongest answer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Control {
    /// It goes on.
    #[default]
    Continue,
    /// It saves a checkpoint and ends with [`Error::Paused`](crate::Error::Paused); running it
    /// again goes on from there.
    Pause,
    /// Training is complete (early stopping): the network is saved as it is and the result
    /// recorded.
    Stop,
}

/// Sees the metrics of a run while it is going on.
///
/// ```
/// use simclr_train::{Callback, Control, EpochMetrics};
///
/// struct Log;
/// impl Callback for Log {
///     fn on_epoch(&mut self, metrics: &EpochMetrics) -> Control {
///         println!("epoch {}: {:?}", metrics.epoch, metrics.get("contrast_loss"));
///         Control::Continue
///     }
/// }
/// ```
pub trait Callback: Send {
    /// The run folder is open, and a first step is to be taken in this session.
    ///
    /// # Errors
    /// What keeps the callback from its work: no step is taken then.
    fn on_start(&mut self, _start: &SessionStart<'_>) -> Result<()> {
        Ok(())
    }

    /// A step is about to be taken on a batch.
    fn on_batch(&mut self, _batch: &TrainingBatch<'_>) {}

    /// A step is done.
    fn on_step(&mut self, _metrics: &StepMetrics) -> Control {
        Control::Continue
    }

    /// An epoch is done, its validation included.
    fn on_epoch(&mut self, _metrics: &EpochMetrics) -> Control {
        Control::Continue
    }
}

impl<C: Callback + ?Sized> Callback for Box<C> {
    fn on_start(&mut self, start: &SessionStart<'_>) -> Result<()> {
        (**self).on_start(start)
    }

    fn on_batch(&mut self, batch: &TrainingBatch<'_>) {
        (**self).on_batch(batch);
    }

    fn on_step(&mut self, metrics: &StepMetrics) -> Control {
        (**self).on_step(metrics)
    }

    fn on_epoch(&mut self, metrics: &EpochMetrics) -> Control {
        (**self).on_epoch(metrics)
    }
}

/// Where a session of a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionStart<'a> {
    /// The run folder.
    pub dir: &'a Path,
    /// Steps taken so far: none in a run that begins.
    pub steps: u64,
}

/// The metrics of an epoch.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EpochMetrics {
    /// The number of the epoch, from 1.
    pub epoch: usize,
    /// Steps taken so far.
    pub steps: u64,
    /// The columns of `metrics.csv`: means over the epoch's steps, or the value after the epoch
    /// for what is measured once an epoch.
    pub values: Vec<(String, f64)>,
}

impl EpochMetrics {
    /// A metric by the name of its column in `metrics.csv`; `None` if the epoch has none.
    pub fn get(&self, name: &str) -> Option<f64> {
        let mut values = self.values.iter();
        Some(values.find(|(column, _)| column == name)?.1)
    }
}

/// Ends training after the first epoch that meets a condition.
///
/// ```
/// use simclr_train::{Pretrain, StopWhen};
///
/// let pretrain = Pretrain::resnet(18)
///     .callback(StopWhen(|metrics| metrics.get("contrast_accuracy") > Some(0.9)));
/// ```
pub struct StopWhen<F: FnMut(&EpochMetrics) -> bool + Send>(pub F);

impl<F: FnMut(&EpochMetrics) -> bool + Send> Callback for StopWhen<F> {
    fn on_epoch(&mut self, metrics: &EpochMetrics) -> Control {
        if (self.0)(metrics) {
            Control::Stop
        } else {
            Control::Continue
        }
    }
}

impl<F: FnMut(&EpochMetrics) -> bool + Send> fmt::Debug for StopWhen<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StopWhen(..)")
    }
}

/// Pauses a run from another thread, or when a signal sets its flag.
///
/// ```
/// use simclr_train::{PauseHandle, Pretrain};
///
/// let handle = PauseHandle::default();
/// let pretrain = Pretrain::resnet(18).callback(handle.clone());
/// std::thread::spawn(move || handle.pause());
/// ```
#[derive(Debug, Clone, Default)]
pub struct PauseHandle(Arc<AtomicBool>);

impl PauseHandle {
    /// The run saves a checkpoint after the step under way and returns.
    pub fn pause(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Takes [`pause`](Self::pause) back: before a run is gone on with by the same handle, which
    /// would pause it again after one step.
    pub fn resume(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether it has been asked to, and that was not taken back.
    pub fn is_paused(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// What [`pause`](Self::pause) sets, for handlers of signals.
    pub fn flag(&self) -> Arc<AtomicBool> {
        self.0.clone()
    }
}

impl Callback for PauseHandle {
    fn on_step(&mut self, _metrics: &StepMetrics) -> Control {
        if self.is_paused() {
            Control::Pause
        } else {
            Control::Continue
        }
    }
}
