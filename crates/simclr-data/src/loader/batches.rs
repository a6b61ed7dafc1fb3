//! The threads behind a loader, and the iterator in front of them.

use std::any::Any;
use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use simclr_augment::{CHANNELS, Stream};

use super::order::{RecentEpochs, Sample};
use super::{Batch, Job};
use crate::{Dataset, Error, Result};

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
/// An error, which names its image, ends the row. Dropping the iterator stops the
/// threads; it waits for the images that they have in hand.
pub struct Batches {
    shared: Arc<Shared>,
    pool: ThreadPool,
    /// Steps whose batches nobody has begun.
    steps: Range<usize>,
    epochs: RecentEpochs,
    /// Batches begun and not yet taken, in order.
    queue: VecDeque<Begun>,
    started: Instant,
    waited: Duration,
    images: usize,
}

/// What the threads know.
struct Shared {
    job: Arc<Job>,
    stopped: AtomicBool,
}

/// A batch in the making.
struct Begun {
    step: usize,
    samples: Arc<[Sample]>,
    values: Receiver<Result<Vec<f32>>>,
}

impl Batches {
    pub(super) fn start(job: Arc<Job>, steps: Range<usize>) -> Result<Self> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let pool = ThreadPoolBuilder::new()
            .num_threads(job.config.threads.unwrap_or_else(cores))
            .thread_name(|number| format!("view-loader-{number}"))
            .build()
            .map_err(|error| {
                Error::io(
                    "the loader's threads".as_ref(),
                    std::io::Error::other(error),
                )
            })?;
        let mut batches = Self {
            shared: Arc::new(Shared {
                job,
                stopped: AtomicBool::new(false),
            }),
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
        while self.queue.len() < self.shared.job.config.queue {
            let Some(step) = self.steps.next() else {
                return;
            };
            let samples = self.shared.job.sampler.batch(step, &mut self.epochs);
            let samples: Arc<[Sample]> = samples.into();
            let (sender, values) = channel();
            let (shared, of_batch) = (self.shared.clone(), samples.clone());
            self.pool.spawn(move || {
                let values = shared.make_batch(&of_batch);
                // Whoever receives the values may rely on the data set being let go.
                drop(shared);
                // Nobody receives when the row was dropped.
                let _ = sender.send(values);
            });
            self.queue.push_back(Begun {
                step,
                samples,
                values,
            });
        }
    }

    fn finish(&mut self, step: usize, samples: &[Sample], values: Vec<f32>) -> Result<Batch> {
        let job = &self.shared.job;
        let (height, width) = job.policy.size;
        let rows = samples.len() * job.config.views;
        let views = Tensor::from_vec(values, (rows, height, width, CHANNELS), &Device::Cpu)?;
        let indices: Vec<usize> = samples.iter().map(|sample| sample.index).collect();
        let labels: Option<Vec<u32>> = indices.iter().map(|&i| job.dataset.label(i)).collect();
        let labels = labels.map(|labels| Tensor::new(labels, &Device::Cpu));
        self.images += indices.len();
        Ok(Batch {
            views,
            labels: labels.transpose()?,
            indices,
            step,
            epoch: samples.first().map_or(0, |sample| sample.epoch),
        })
    }

    /// Ends the row: what is not begun is dropped, what is in hand is waited for.
    fn stop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        self.steps = 0..0;
        for begun in self.queue.drain(..) {
            // Its content does not matter any more.
            let _ = begun.values.recv();
        }
    }
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let begun = self.queue.pop_front()?;
        let asked = Instant::now();
        let values = begun.values.recv();
        self.waited += asked.elapsed();
        self.fill_queue();
        let batch = values
            .unwrap_or_else(|_| {
                Err(Error::Worker {
                    name: format!("the batch of step {}", begun.step),
                    message: "its thread ended early".into(),
                })
            })
            .and_then(|values| self.finish(begun.step, &begun.samples, values));
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

impl Shared {
    /// The views of a batch, made in their places.
    fn make_batch(&self, samples: &[Sample]) -> Result<Vec<f32>> {
        let (height, width) = self.job.policy.size;
        let view_len = height * width * CHANNELS;
        let mut values = vec![0.0; self.job.config.views * samples.len() * view_len];
        // The views of an image lie apart: the first ones of all images come first.
        let mut places: Vec<Vec<&mut [f32]>> = samples.iter().map(|_| Vec::new()).collect();
        for block in values.chunks_exact_mut((samples.len() * view_len).max(1)) {
            for (place, view) in places.iter_mut().zip(block.chunks_exact_mut(view_len)) {
                place.push(view);
            }
        }
        let made: Vec<Result<()>> = samples
            .par_iter()
            .zip(places)
            .with_max_len(1)
            .map(|(sample, mut outputs)| self.make(sample, &mut outputs))
            .collect();
        // The first error by place, whichever thread was faster.
        made.into_iter().collect::<Result<()>>()?;
        Ok(values)
    }

    /// Decodes an image and makes its views.
    fn make(&self, sample: &Sample, outputs: &mut [&mut [f32]]) -> Result<()> {
        let Job {
            dataset,
            policy,
            config,
            cache,
            ..
        } = &*self.job;
        if self.stopped.load(Ordering::Relaxed) {
            return Ok(());
        }
        let make = || {
            let source = cache.get(dataset, sample.index, policy)?;
            let stream = Stream::new(config.seed.0)
                .epoch(sample.epoch as u64)
                .sample(sample.index as u64);
            let made = source.views(policy, &stream, outputs);
            made.map_err(|source| Error::Augment {
                name: dataset.name(sample.index),
                source,
            })
        };
        // A decoder that panics on a damaged file must not end the process; the batch
        // is given up, so nobody sees half-written views.
        catch_unwind(AssertUnwindSafe(make)).unwrap_or_else(|panic| {
            Err(Error::Worker {
                name: dataset.name(sample.index),
                message: panic_message(&*panic),
            })
        })
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".into())
}
