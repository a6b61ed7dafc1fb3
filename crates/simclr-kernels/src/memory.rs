//! Buffers for feature maps, whose memory a training step takes over from the step before.
//!
//! A step needs the same few hundred large buffers as the step before. Allocating them anew
//! costs a page fault per 4 KiB, which adds up to a third of a step. Keeping each for its own
//! size costs memory, since the backward pass of the first layers needs other sizes than the
//! forward pass of the last ones. So buffers are parts of slabs, in which any size finds place.

mod slabs;

use std::collections::BTreeMap;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;

use self::slabs::{Freed, Part, Place, Slabs, zeroed};

/// Buffers of fewer elements are left to the system's allocator.
const SMALLEST: usize = 1 << 14;

/// The peak that bounds idle memory is that of the current and the previous period.
const PERIOD: Duration = Duration::from_secs(120);

/// Elements whose memory returns to the pool when they are dropped. They start at a cache line,
/// so that no vector load crosses two.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: BytesMut,
    /// In the pool, if they are from there.
    place: Option<Place>,
    len: usize,
}

/// Gradients by their number of elements.
type BySize = BTreeMap<usize, Vec<Vec<f32>>>;

#[derive(Debug)]
struct Pool {
    slabs: Slabs,
    /// The most bytes of slabs that were in use at once, in this period and in the one before.
    peaks: [usize; 2],
    period_start: Option<Instant>,
    /// Memory of recycled gradients.
    gradients: BySize,
    /// Whether gradients were taken or recycled in this period.
    gradients_in_use: bool,
}

static POOL: Mutex<Pool> = Mutex::new(Pool::new());

fn pool() -> MutexGuard<'static, Pool> {
    // No code that holds the lock panics half-way.
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives all idle memory of the kernels back to the system's allocator: slabs of feature maps
/// none of which is in use, and gradients that were [recycled](crate::recycle). Returns the
/// number of bytes.
///
/// Call it when a phase with large batches is over, such as training in a process that only
/// embeds from then on. Without it, idle slabs are freed once they were not needed for two to
/// four minutes, whenever an op of this crate runs.
pub fn release_memory() -> usize {
    let (slabs, gradients) = pool().release();
    let gradients = gradients.values().flatten();
    slabs.size + gradients.map(Vec::len).sum::<usize>() * size_of::<f32>()
}

/// A buffer with elements of any value.
pub(crate) fn buffer(len: usize) -> Buffer {
    let size = len * size_of::<f32>();
    if len < SMALLEST {
        return Buffer {
            bytes: zeroed(size),
            place: None,
            len,
        };
    }
    let (Part { place, bytes }, _freed) = pool().take(size, Instant::now());
    Buffer {
        bytes,
        place: Some(place),
        len,
    }
}

/// A buffer of zeros.
pub(crate) fn zeros(len: usize) -> Buffer {
    let mut buffer = buffer(len);
    buffer.fill(0.0);
    buffer
}

/// A buffer with a copy of the elements.
pub(crate) fn copy(values: &[f32]) -> Buffer {
    let mut buffer = buffer(values.len());
    buffer.copy_from_slice(values);
    buffer
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
    const fn new() -> Self {
        Self {
            slabs: Slabs::new(),
            peaks: [0; 2],
            period_start: None,
            gradients: BTreeMap::new(),
            gradients_in_use: false,
        }
    }

    /// So many bytes, and what became superfluous.
    fn take(&mut self, size: usize, now: Instant) -> (Part, Freed) {
        let part = self.slabs.take(size);
        self.advance(now);
        self.peaks[0] = self.peaks[0].max(self.slabs.size_in_use());
        (part, self.trim())
    }

    fn give(&mut self, part: Part) -> Freed {
        self.slabs.give(part);
        self.trim()
    }

    fn take_gradient(&mut self, len: usize) -> Option<Vec<f32>> {
        self.gradients_in_use = true;
        take_from(&mut self.gradients, len)
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
        self.peaks = [0, last];
        self.period_start = Some(now);
        if !mem::take(&mut self.gradients_in_use) {
            self.gradients.clear();
        }
    }

    /// Frees slabs beyond those that were in use at once.
    fn trim(&mut self) -> Freed {
        self.slabs.shrink_to(self.peaks[0].max(self.peaks[1]))
    }

    /// Takes all idle memory and recycled gradients out.
    fn release(&mut self) -> (Freed, BySize) {
        self.peaks = [self.slabs.size_in_use(); 2];
        (self.slabs.shrink_to(0), mem::take(&mut self.gradients))
    }
}

impl Buffer {
    /// The elements, outside of the pool.
    pub(crate) fn into_vec(self) -> Vec<f32> {
        self.to_vec()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let bytes = mem::take(&mut self.bytes);
            let _freed = pool().give(Part { place, bytes });
        }
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.bytes)[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.bytes)[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn take(pool: &mut Pool, size: usize) -> Part {
        let (part, freed) = pool.take(size, Instant::now());
        assert_eq!(freed.size, 0);
        part
    }

    #[test]
    fn what_was_in_use_at_once_is_kept() {
        let mut pool = Pool::new();
        for _step in 0..3 {
            let parts = [20, 40, 70].map(|size| take(&mut pool, size * MIB));
            for part in parts {
                assert_eq!(pool.give(part).size, 0);
            }
        }
        assert_eq!(pool.peaks[0], (40 + 80 + 140) * MIB);
    }

    #[test]
    fn idle_memory_decays() {
        let mut pool = Pool::new();
        let start = Instant::now();
        let [small, large] = [30, 50].map(|size| pool.take(size * MIB, start).0);
        assert_eq!(pool.give(small).size + pool.give(large).size, 0);
        pool.gradients.insert(7, vec![vec![0.0; 7]]);
        pool.gradients_in_use = true;
        for (periods, freed) in [(0, 0), (1, 0), (2, 50 * MIB)] {
            // A small buffer per period, as an embedding service uses them.
            let now = start + periods * PERIOD + Duration::from_secs(1);
            let (part, superfluous) = pool.take(MIB, now);
            assert_eq!(superfluous.size, freed, "after {periods} periods");
            assert_eq!(pool.gradients.is_empty(), freed > 0);
            assert_eq!(pool.give(part).size, 0);
        }
    }

    #[test]
    fn all_idle_memory_can_be_released() {
        let mut pool = Pool::new();
        let [used, idle] = [40, 80].map(|size| take(&mut pool, size * MIB));
        assert_eq!(pool.give(idle).size, 0);
        pool.gradients.insert(7, vec![vec![0.0; 7]]);
        let (slabs, gradients) = pool.release();
        assert_eq!((slabs.size, gradients.len()), (80 * MIB, 1));
        assert!(pool.take_gradient(7).is_none());
        assert_eq!(pool.peaks, [80 * MIB; 2]);
        assert_eq!(pool.give(used).size, 0, "the peak until now");
    }

    #[test]
    fn elements_start_at_a_cache_line() {
        for len in [1, 100, SMALLEST, SMALLEST + 1] {
            let buffer = zeros(len);
            assert_eq!((buffer.len(), buffer.as_ptr().align_offset(64)), (len, 0));
            assert_eq!(buffer.into_vec(), vec![0.0; len]);
        }
    }
}
