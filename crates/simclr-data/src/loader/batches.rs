use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use rayon::{ThreadPool, ThreadPoolBuilder};
use simclr_augment::CHANNELS;

use super::batch::Batch;
use super::job::Job;
use super::sampler::{RecentEpochs, Sample};
use crate::error::{Error, Result};

/// How much of its time the caller has spent waiting for batches.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LoaderTimes {
    /// Time spent inside `next`, waiting for a batch to be finished.
    pub waited: Duration,
    /// Time since the loader was started.
    pub elapsed: Duration,
    /// Images handed out.
    pub images: usize,
}

impl LoaderTimes {
    /// The part of the time that was spent waiting, from 0 to 1. Much more than 0
    /// means that decoding and augmenting are slower than training.
    pub fn waiting_fraction(&self) -> f64 {
        if self.elapsed.is_zero() {
            return 0.0;
        }
        self.waited.as_secs_f64() / self.elapsed.as_secs_f64()
    }
}

/// The batches of some steps in order; made by
/// [`ViewLoader::batches`](super::ViewLoader::batches).
///
/// An error, which names its image, ends the iteration. Dropping the iterator stops the
/// threads; it waits for the images that they are working on.
pub struct Batches {
    job: Arc<Job>,
    /// Set when the iterator ends, so that threads skip images still to come.
    stopped: Arc<AtomicBool>,
    pool: ThreadPool,
    /// Steps whose batches are not begun.
    steps: Range<usize>,
    epochs: RecentEpochs,
    /// Batches begun and not yet taken, in order.
    queue: VecDeque<PendingBatch>,
    started: Instant,
    waited: Duration,
    images: usize,
}

/// A batch that threads are working on.
struct PendingBatch {
    step: usize,
    samples: Arc<[Sample]>,
    near_views: Option<Vec<(usize, usize)>>,
    values: Receiver<Result<Vec<f32>>>,
}

impl fmt::Debug for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches")
            .field("steps_to_begin", &self.steps)
            .field("times", &self.times())
            .finish_non_exhaustive()
    }
}

impl Batches {
    pub(super) fn start(job: Arc<Job>, steps: Range<usize>) -> Result<Self> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let pool = ThreadPoolBuilder::new()
            .num_threads(job.config().threads.unwrap_or_else(cores))
            .thread_name(|number| format!("view-loader-{number}"))
            .build()
            .map_err(|error| Error::Threads(Box::new(error)))?;
        let mut batches = Self {
            job,
            stopped: Arc::default(),
            pool,
            steps,
            epochs: RecentEpochs::default(),
            queue: VecDeque::new(),
            started: Instant::now(),
            waited: Duration::ZERO,
            images: 0,
        };
        batches.fill_queue();
        Ok(batches)
    }

    /// How long the caller has waited so far.
    pub fn times(&self) -> LoaderTimes {
        LoaderTimes {
            waited: self.waited,
            elapsed: self.started.elapsed(),
            images: self.images,
        }
    }

    /// Begins batches until the queue is full. Threads that find nothing more to do in
    /// one batch go on with the next.
    fn fill_queue(&mut self) {
        while self.queue.len() < self.job.config().queue {
            let Some(step) = self.steps.next() else {
                return;
            };
            let samples: Arc<[Sample]> = self.job.sampler.batch(step, &mut self.epochs).into();
            let whole = self.job.sampler.whole_batch(step, &mut self.epochs);
            let near_views = self.job.near_views(&whole);
            let (sender, values) = channel();
            let (job, stopped) = (self.job.clone(), self.stopped.clone());
            let of_batch = samples.clone();
            self.pool.spawn(move || {
                let values = job.make_batch(&of_batch, &stopped);
                // Whoever receives the values may rely on the data set being released.
                drop(job);
                // Nobody receives if the iterator was dropped.
                let _ = sender.send(values);
            });
            self.queue.push_back(PendingBatch {
                step,
                samples,
                near_views,
                values,
            });
        }
    }

    fn finish(&mut self, pending: PendingBatch, values: Vec<f32>) -> Result<Batch> {
        let PendingBatch {
            step,
            samples,
            near_views,
            ..
        } = pending;
        let job = &self.job;
        let (height, width) = job.size();
        let rows = samples.len() * job.config().views;
        let views = Tensor::from_vec(values, (rows, height, width, CHANNELS), &Device::Cpu)?;
        let indices: Vec<usize> = samples.iter().map(|sample| sample.index).collect();
        let labels: Option<Vec<u32>> = indices.iter().map(|&i| job.dataset.label(i)).collect();
        let labels = labels.map(|labels| Tensor::new(labels, &Device::Cpu));
        self.images += indices.len();
        Ok(Batch {
            views,
            labels: labels.transpose()?,
            indices,
            near_views,
            step,
            epoch: samples.first().map_or(0, |sample| sample.epoch),
        })
    }

    /// Ends the iteration: waits for the images that threads are working on.
    fn stop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.steps = 0..0;
        for pending in self.queue.drain(..) {
            // Its content does not matter any more.
            let _ = pending.values.recv();
        }
    }
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let pending = self.queue.pop_front()?;
        let asked = Instant::now();
        let values = pending.values.recv();
        self.waited += asked.elapsed();
        self.fill_queue();
        let batch = values
            .unwrap_or_else(|_| {
                Err(Error::Worker {
                    name: format!("the batch of step {}", pending.step),
                    message: "its thread ended early".into(),
                })
            })
            .and_then(|values| self.finish(pending, values));
        if batch.is_err() {
            self.stop();
        }
        Some(batch)
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.stop();
    }
}
