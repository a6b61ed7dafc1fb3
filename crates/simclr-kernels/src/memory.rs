//! Buffers for feature maps, pooled so that a training step reuses those of the step before.
//!
//! A step needs the same few hundred large buffers as the step before. Allocating them anew
//! costs a page fault per 4 KiB, which adds up to a third of a step.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Buffers of fewer elements are left to the system's allocator.
const SMALLEST: usize = 1 << 14;

/// Elements of a cache line.
const LINE: usize = 64 / size_of::<f32>();

/// Idle memory may exceed the peak by this fraction of it, because sizes do not always fit.
const SLACK: usize = 8;

/// Idle memory that is always allowed (96 MiB): inference alternates between few, very
/// different sizes.
const LEAST_SLACK: usize = 3 << 23;

/// The peak that bounds idle memory is that of the current and the previous period.
const PERIOD: Duration = Duration::from_secs(120);

/// Elements that return to the pool when they are dropped. They start at a cache line, so
/// that no vector load crosses two lines.
#[derive(Debug)]
pub(crate) struct Buffer {
    /// Initialised throughout.
    memory: Vec<f32>,
    start: usize,
    len: usize,
}

type BySize = BTreeMap<usize, Vec<Vec<f32>>>;

/// Idle memory by size. All sizes count elements.
#[derive(Debug)]
struct Pool {
    idle: BySize,
    idle_size: usize,
    used_size: usize,
    /// The most that was in use at once, in this period and in the one before.
    peaks: [usize; 2],
    period_start: Option<Instant>,
    least_slack: usize,
    /// Memory of recycled gradients.
    gradients: BySize,
    /// Whether gradients were taken or recycled in this period.
    gradients_in_use: bool,
}

static POOL: Mutex<Pool> = Mutex::new(Pool::new(LEAST_SLACK));

fn pool() -> MutexGuard<'static, Pool> {
    // No code that holds the lock panics half-way.
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives all idle memory of the kernels back to the system's allocator: buffers of feature
/// maps that wait to be used again, and gradients that were [recycled](crate::recycle).
/// Returns the number of bytes.
///
/// Call it when a phase with large batches is over, such as training in a process that only
/// embeds from then on. Without it, idle memory shrinks to what was in use within the last
/// two to four minutes, plus an eighth or 96 MiB, whenever an op of this crate runs.
pub fn release_memory() -> usize {
    let (idle, gradients) = pool().release();
    let released = |memory: &BySize| memory.values().flatten().map(Vec::len).sum::<usize>();
    (released(&idle) + released(&gradients)) * size_of::<f32>()
}

/// A buffer with elements of any value.
pub(crate) fn buffer(len: usize) -> Buffer {
    allocate(len).0
}

/// A buffer of zeros.
pub(crate) fn zeros(len: usize) -> Buffer {
    let (mut buffer, is_recycled) = allocate(len);
    if is_recycled {
        buffer.fill(0.0);
    }
    buffer
}

/// A buffer with a copy of the elements.
pub(crate) fn copy(values: &[f32]) -> Buffer {
    let mut buffer = buffer(values.len());
    buffer.copy_from_slice(values);
    buffer
}

/// A buffer, and whether its memory was in use before; otherwise it is zero.
fn allocate(len: usize) -> (Buffer, bool) {
    let size = len + LINE;
    let recycled = if size < SMALLEST {
        None
    } else {
        pool().take(size)
    };
    let is_recycled = recycled.is_some();
    let memory = recycled.unwrap_or_else(|| vec![0.0; size]);
    let start = memory
        .as_ptr()
        .align_offset(size_of::<f32>() * LINE)
        .min(LINE);
    pool().use_more(memory.len(), Instant::now());
    (Buffer { memory, start, len }, is_recycled)
}

/// A vector with elements of any value, for a gradient that will leave the pool.
pub(crate) fn gradient_buffer(len: usize) -> Vec<f32> {
    let recycled = pool().take_gradient(len);
    let mut gradient = recycled.unwrap_or_else(|| vec![0.0; len]);
    if cfg!(debug_assertions) {
        gradient.fill(f32::NAN);
    }
    gradient
}

/// Keeps the memory of gradients for the next backward pass, in place of what is left of
/// the previous ones.
pub(crate) fn recycle_gradients(vectors: impl Iterator<Item = Vec<f32>>) {
    let mut gradients = BySize::new();
    for vector in vectors.filter(|vector| vector.len() >= SMALLEST) {
        gradients.entry(vector.len()).or_default().push(vector);
    }
    let mut pool = pool();
    pool.gradients_in_use = true;
    let previous = std::mem::replace(&mut pool.gradients, gradients);
    drop(pool);
    drop(previous);
}

fn take_from(memory: &mut BySize, size: usize) -> Option<Vec<f32>> {
    let vectors = memory.get_mut(&size)?;
    let vector = vectors.pop();
    if vectors.is_empty() {
        memory.remove(&size);
    }
    vector
}

impl Pool {
    const fn new(least_slack: usize) -> Self {
        Self {
            idle: BTreeMap::new(),
            idle_size: 0,
            used_size: 0,
            peaks: [0; 2],
            period_start: None,
            least_slack,
            gradients: BTreeMap::new(),
            gradients_in_use: false,
        }
    }

    /// The smallest idle vector that is large enough and not much too large.
    fn take(&mut self, size: usize) -> Option<Vec<f32>> {
        let size = *self.idle.range(size..=2 * size).next()?.0;
        self.idle_size -= size;
        take_from(&mut self.idle, size)
    }

    fn take_gradient(&mut self, len: usize) -> Option<Vec<f32>> {
        self.gradients_in_use = true;
        take_from(&mut self.gradients, len)
    }

    /// Counts memory as in use.
    fn use_more(&mut self, size: usize, now: Instant) {
        self.used_size += size;
        self.advance(now);
        self.peaks[0] = self.peaks[0].max(self.used_size);
        self.trim();
    }

    fn give(&mut self, vector: Vec<f32>) {
        self.idle_size += vector.len();
        self.idle.entry(vector.len()).or_default().push(vector);
        self.trim();
    }

    /// Starts a new period if the current one is over.
    fn advance(&mut self, now: Instant) {
        let elapsed = now.duration_since(*self.period_start.get_or_insert(now));
        if elapsed < PERIOD {
            return;
        }
        let last = if elapsed < 2 * PERIOD {
            self.peaks[0]
        } else {
            0
        };
        self.peaks = [self.used_size, last.max(self.used_size)];
        self.period_start = Some(now);
        if !std::mem::take(&mut self.gradients_in_use) {
            self.gradients.clear();
        }
    }

    /// Frees idle memory beyond the limit, the smallest vectors first: large ones are
    /// expensive to allocate.
    fn trim(&mut self) {
        let peak = self.peaks[0].max(self.peaks[1]);
        let limit = peak + (peak / SLACK).max(self.least_slack);
        while self.idle_size + self.used_size > limit {
            let Some(&size) = self.idle.keys().next() else {
                break;
            };
            self.idle_size -= size;
            drop(take_from(&mut self.idle, size));
        }
    }

    /// Takes all idle memory and recycled gradients out.
    fn release(&mut self) -> (BySize, BySize) {
        self.idle_size = 0;
        self.peaks = [self.used_size; 2];
        let gradients = std::mem::take(&mut self.gradients);
        (std::mem::take(&mut self.idle), gradients)
    }
}

impl Buffer {
    /// Takes the elements out of the pool for good.
    pub(crate) fn into_vec(mut self) -> Vec<f32> {
        let mut memory = std::mem::take(&mut self.memory);
        pool().used_size -= memory.len();
        memory.truncate(self.start + self.len);
        memory.drain(..self.start);
        memory
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        let mut pool = pool();
        pool.used_size -= memory.len();
        if memory.len() >= SMALLEST {
            pool.give(memory);
        }
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.memory[self.start..self.start + self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool_in_use(used_size: usize) -> Pool {
        let mut pool = Pool::new(0);
        pool.use_more(used_size, Instant::now());
        pool
    }

    fn give_back(pool: &mut Pool, size: usize) {
        pool.used_size -= size;
        pool.give(vec![0.0; size]);
    }

    #[test]
    fn what_fits_is_used_again() {
        let mut pool = pool_in_use(1000);
        give_back(&mut pool, 100);
        assert!(pool.take(101).is_none(), "too small");
        assert!(pool.take(49).is_none(), "much too large");
        assert_eq!(pool.take(90).map(|vector| vector.len()), Some(100));
        assert!(pool.take(90).is_none(), "taken already");
        assert_eq!(pool.idle_size, 0);
    }

    #[test]
    fn little_more_is_held_than_was_in_use_at_once() {
        let mut pool = pool_in_use(300);
        for _ in 0..3 {
            give_back(&mut pool, 100);
        }
        assert_eq!(pool.idle_size, 300);
        // Other sizes are needed now.
        pool.use_more(280, Instant::now());
        assert_eq!(pool.idle_size, 0, "more than 300 and an eighth");
    }

    #[test]
    fn idle_memory_decays() {
        let mut pool = pool_in_use(1000);
        let start = Instant::now();
        give_back(&mut pool, 1000);
        pool.gradients.insert(7, vec![vec![0.0; 7]]);
        pool.gradients_in_use = true;
        for (periods, idle) in [(0, 1000), (1, 1000), (2, 0)] {
            // A small buffer per period, as an embedding service uses them.
            pool.use_more(10, start + periods * PERIOD + Duration::from_secs(1));
            pool.used_size -= 10;
            assert_eq!(pool.idle_size, idle, "after {periods} periods");
            assert_eq!(pool.gradients.is_empty(), idle == 0);
        }
    }

    #[test]
    fn all_idle_memory_can_be_released() {
        let mut pool = pool_in_use(1000);
        give_back(&mut pool, 400);
        pool.gradients.insert(7, vec![vec![0.0; 7]]);
        let (idle, gradients) = pool.release();
        assert_eq!((idle.len(), gradients.len()), (1, 1));
        assert!(pool.take(400).is_none() && pool.take_gradient(7).is_none());
        assert_eq!(
            (pool.used_size, pool.idle_size, pool.peaks),
            (600, 0, [600; 2])
        );
    }
}
