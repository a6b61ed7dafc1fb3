//! The threads behind a loader, and the iterator in front of them.

use std::any::Any;
use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
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
    threads: Vec<JoinHandle<()>>,
    started: Instant,
    waited: Duration,
    images: usize,
}

/// What the threads and the caller share.
struct Shared {
    job: Arc<Job>,
    state: Mutex<State>,
    /// A batch was taken or the row was stopped: there may be work.
    room: Condvar,
    /// A batch was finished.
    ready: Condvar,
}

struct State {
    /// Steps whose batches nobody has begun.
    steps: Range<usize>,
    /// Batches begun and not yet taken, in order.
    queue: VecDeque<Arc<Unfinished>>,
    /// Images of the last batch in the queue that a thread has taken on.
    claimed: usize,
    epochs: RecentEpochs,
    stopped: bool,
}

/// A batch that threads are filling.
struct Unfinished {
    step: usize,
    samples: Vec<Sample>,
    content: Mutex<Content>,
}

struct Content {
    values: Vec<f32>,
    remaining: usize,
    /// The error of the first image of the batch that failed, so that the same one
    /// is reported whichever thread was faster.
    error: Option<(usize, Error)>,
}

impl Batches {
    pub(super) fn start(job: Arc<Job>, steps: Range<usize>) -> Result<Self> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = job.config.threads.unwrap_or_else(cores);
        let mut batches = Self {
            shared: Arc::new(Shared::new(job, steps)),
            threads: Vec::with_capacity(threads),
            started: Instant::now(),
            waited: Duration::ZERO,
            images: 0,
        };
        for number in 0..threads {
            let shared = batches.shared.clone();
            let thread = std::thread::Builder::new()
                .name(format!("view-loader-{number}"))
                .spawn(move || shared.work())
                .map_err(|source| Error::io("the loader's threads".as_ref(), source))?;
            batches.threads.push(thread);
        }
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

    fn finish(&mut self, batch: &Unfinished) -> Result<Batch> {
        let mut content = lock(&batch.content);
        if let Some((_, error)) = content.error.take() {
            return Err(error);
        }
        let job = &self.shared.job;
        let (height, width) = job.policy.size;
        let rows = batch.samples.len() * job.config.views;
        let values = std::mem::take(&mut content.values);
        let views = Tensor::from_vec(values, (rows, height, width, CHANNELS), &Device::Cpu)?;
        let indices: Vec<usize> = batch.samples.iter().map(|sample| sample.index).collect();
        let labels: Option<Vec<u32>> = indices.iter().map(|&i| job.dataset.label(i)).collect();
        let labels = labels.map(|labels| Tensor::new(labels, &Device::Cpu));
        self.images += indices.len();
        Ok(Batch {
            views,
            labels: labels.transpose()?,
            indices,
            step: batch.step,
            epoch: batch.samples.first().map_or(0, |sample| sample.epoch),
        })
    }
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let begun = Instant::now();
        let batch = self.shared.take();
        self.waited += begun.elapsed();
        let batch = batch?;
        let batch = self.finish(&batch);
        if batch.is_err() {
            self.shared.stop();
        }
        Some(batch)
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.shared.stop();
        for thread in self.threads.drain(..) {
            // A panic of a thread was caught and reported by the thread itself.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn new(job: Arc<Job>, steps: Range<usize>) -> Self {
        let state = State {
            steps,
            queue: VecDeque::new(),
            claimed: 0,
            epochs: RecentEpochs::default(),
            stopped: false,
        };
        Self {
            job,
            state: Mutex::new(state),
            room: Condvar::new(),
            ready: Condvar::new(),
        }
    }

    /// A thread's life: images one after another until there are no more.
    fn work(&self) {
        let (height, width) = self.job.policy.size;
        let view_len = height * width * CHANNELS;
        let mut views = vec![0.0; self.job.config.views * view_len];
        while let Some((batch, place)) = self.claim() {
            let sample = batch.samples.get(place);
            let made = sample.map_or(Ok(()), |sample| self.make(sample, view_len, &mut views));
            if batch.put(place, made, &views, view_len) {
                // Under the lock, or the caller could miss it between looking and
                // going to sleep.
                let _state = lock(&self.state);
                self.ready.notify_all();
            }
        }
    }

    /// The next image to work on, beginning a batch if the queue has room; waits
    /// for room. `None` when there is nothing more to do.
    fn claim(&self) -> Option<(Arc<Unfinished>, usize)> {
        let mut state = lock(&self.state);
        loop {
            if state.stopped {
                return None;
            }
            let claimed = state.claimed;
            if let Some(batch) = state.queue.back().filter(|b| claimed < b.samples.len()) {
                let batch = batch.clone();
                state.claimed += 1;
                return Some((batch, claimed));
            }
            if state.queue.len() < self.job.config.queue {
                let step = state.steps.next()?;
                let samples = self.job.sampler.batch(step, &mut state.epochs);
                state
                    .queue
                    .push_back(Arc::new(self.unfinished(step, samples)));
                state.claimed = 0;
            } else {
                state = wait(&self.room, state);
            }
        }
    }

    fn unfinished(&self, step: usize, samples: Vec<Sample>) -> Unfinished {
        let (height, width) = self.job.policy.size;
        let rows = samples.len() * self.job.config.views;
        let content = Content {
            values: vec![0.0; rows * height * width * CHANNELS],
            remaining: samples.len(),
            error: None,
        };
        Unfinished {
            step,
            samples,
            content: Mutex::new(content),
        }
    }

    /// Decodes an image and makes its views, one after another in `views`.
    fn make(&self, sample: &Sample, view_len: usize, views: &mut [f32]) -> Result<()> {
        let Job {
            dataset,
            policy,
            config,
            cache,
            ..
        } = &*self.job;
        let make = || {
            let source = cache.get(dataset, sample.index, policy)?;
            let mut outputs: Vec<&mut [f32]> = views.chunks_exact_mut(view_len).collect();
            let stream = Stream::new(config.seed.0)
                .epoch(sample.epoch as u64)
                .sample(sample.index as u64);
            let made = source.views(policy, &stream, &mut outputs);
            made.map_err(|source| Error::Augment {
                name: dataset.name(sample.index),
                source,
            })
        };
        // A decoder that panics on a damaged file must not leave the caller waiting
        // for ever. `views` is overwritten by the next image.
        catch_unwind(AssertUnwindSafe(make)).unwrap_or_else(|panic| {
            Err(Error::Worker {
                name: dataset.name(sample.index),
                message: panic_message(&*panic),
            })
        })
    }

    /// The next batch once it is finished; `None` at the end of the row.
    fn take(&self) -> Option<Arc<Unfinished>> {
        let mut state = lock(&self.state);
        loop {
            if state.stopped || (state.queue.is_empty() && state.steps.is_empty()) {
                return None;
            }
            let finished = |batch: &Arc<Unfinished>| lock(&batch.content).remaining == 0;
            if state.queue.front().is_some_and(finished) {
                let batch = state.queue.pop_front();
                self.room.notify_all();
                return batch;
            }
            state = wait(&self.ready, state);
        }
    }

    fn stop(&self) {
        lock(&self.state).stopped = true;
        self.room.notify_all();
    }
}

impl Unfinished {
    /// Puts an image's views in their place; true if the batch is finished.
    fn put(&self, place: usize, made: Result<()>, views: &[f32], view_len: usize) -> bool {
        let mut content = lock(&self.content);
        match made {
            Ok(()) => {
                let block = self.samples.len() * view_len;
                let blocks = content.values.chunks_exact_mut(block);
                for (block, view) in blocks.zip(views.chunks_exact(view_len)) {
                    let rows = block.chunks_exact_mut(view_len);
                    for row in rows.skip(place).take(1) {
                        row.copy_from_slice(view);
                    }
                }
            }
            Err(error) => {
                if content
                    .error
                    .as_ref()
                    .is_none_or(|(first, _)| place < *first)
                {
                    content.error = Some((place, error));
                }
            }
        }
        content.remaining -= 1;
        content.remaining == 0
    }
}

/// Locks, also after a panic elsewhere: every change under these locks is complete
/// or absent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait<'a, T>(condition: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condition
        .wait(guard)
        .unwrap_or_else(PoisonError::into_inner)
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".into())
}
