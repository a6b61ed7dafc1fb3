//! Memory for feature maps, used again instead of being given back to the system.
//!
//! A training step needs the same few hundred large buffers as the step before. Fresh
//! ones cost a page fault per 4 KiB, which adds up to a third of a step.

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Below this many numbers the system's allocator does well.
const SMALLEST: usize = 1 << 14;

/// Numbers that return to the pool when they are dropped. They begin at the start of a
/// cache line, so that no load of a register's width touches two lines.
#[derive(Debug)]
pub(crate) struct Buffer {
    values: Vec<f32>,
    /// Numbers before the first one that counts.
    skipped: usize,
}

/// Bytes and numbers of a cache line.
const LINE: usize = 64;
const LINE_NUMBERS: usize = LINE / size_of::<f32>();

#[derive(Debug, Default)]
struct Pool {
    /// By capacity.
    idle: BTreeMap<usize, Vec<Vec<f32>>>,
    idle_size: usize,
    used_size: usize,
    /// The largest amount that was in use at once.
    peak_size: usize,
    /// What may be held beyond it at least.
    least_slack: usize,
}

/// The part of the peak that may be held beyond it, or so many numbers (96 MiB): sizes do not
/// always fit, and inference goes through few, very different ones.
const SLACK: usize = 8;
const LEAST_SLACK: usize = 3 << 23;

static POOL: Mutex<Pool> = Mutex::new(Pool {
    idle: BTreeMap::new(),
    idle_size: 0,
    used_size: 0,
    peak_size: 0,
    least_slack: LEAST_SLACK,
});

fn pool() -> MutexGuard<'static, Pool> {
    // Nothing in here panics half-way.
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An empty vector with room for `len` numbers.
fn room_for(len: usize) -> Vec<f32> {
    let recycled = if len < SMALLEST {
        None
    } else {
        pool().take(len)
    };
    recycled.unwrap_or_else(|| Vec::with_capacity(len))
}

/// The memory of gradients that were given back, by length.
static GRADIENTS: Mutex<BTreeMap<usize, Vec<Vec<f32>>>> = Mutex::new(BTreeMap::new());

/// As many numbers, of any value, for a gradient, which will leave the pool.
pub(crate) fn room_for_gradient(len: usize) -> Vec<f32> {
    let mut gradients = GRADIENTS.lock().unwrap_or_else(PoisonError::into_inner);
    let given_back = gradients.get_mut(&len).and_then(Vec::pop);
    drop(gradients);
    let mut numbers = given_back.unwrap_or_else(|| vec![0.0; len]);
    if cfg!(debug_assertions) {
        numbers.fill(f32::NAN);
    }
    numbers
}

/// Takes memory for the next gradients, in the place of what was left of the last ones.
pub(crate) fn keep_for_gradients(vectors: impl Iterator<Item = Vec<f32>>) {
    let mut gradients = GRADIENTS.lock().unwrap_or_else(PoisonError::into_inner);
    gradients.clear();
    for vector in vectors.filter(|vector| vector.len() >= SMALLEST) {
        gradients.entry(vector.len()).or_default().push(vector);
    }
}

/// An empty buffer with room for `len` numbers, which counts as used from now on.
pub(crate) fn buffer_for(len: usize) -> Buffer {
    let mut values = room_for(len + LINE_NUMBERS);
    let skipped = values.as_ptr().align_offset(LINE).min(LINE_NUMBERS);
    values.resize(skipped, 0.0);
    let mut pool = pool();
    pool.used_size += values.capacity();
    pool.peak_size = pool.peak_size.max(pool.used_size);
    pool.trim();
    Buffer { values, skipped }
}

/// As many zeros.
pub(crate) fn zeros(len: usize) -> Buffer {
    let mut buffer = buffer_for(len);
    buffer.values.resize(buffer.skipped + len, 0.0);
    buffer
}

/// A copy.
pub(crate) fn copy(values: &[f32]) -> Buffer {
    let mut buffer = buffer_for(values.len());
    buffer.values.extend_from_slice(values);
    buffer
}

impl Pool {
    /// The smallest idle vector that is large enough and not much too large.
    fn take(&mut self, len: usize) -> Option<Vec<f32>> {
        let capacity = *self.idle.range(len..=2 * len).next()?.0;
        self.remove(capacity)
    }

    fn remove(&mut self, capacity: usize) -> Option<Vec<f32>> {
        let vectors = self.idle.get_mut(&capacity)?;
        let vector = vectors.pop();
        if vectors.is_empty() {
            self.idle.remove(&capacity);
        }
        if vector.is_some() {
            self.idle_size -= capacity;
        }
        vector
    }

    fn give(&mut self, mut vector: Vec<f32>) {
        vector.clear();
        self.idle_size += vector.capacity();
        self.idle.entry(vector.capacity()).or_default().push(vector);
        self.trim();
    }

    /// Lets the smallest go first: the large ones are dear.
    fn trim(&mut self) {
        while self.idle_size + self.used_size
            > self.peak_size + (self.peak_size / SLACK).max(self.least_slack)
        {
            let Some(&capacity) = self.idle.keys().next() else {
                break;
            };
            drop(self.remove(capacity));
        }
    }
}

impl Buffer {
    /// The empty buffer's room.
    pub(crate) fn room(&mut self) -> &mut [MaybeUninit<f32>] {
        self.values.spare_capacity_mut()
    }

    /// The vector itself, once its room has been filled, and how many of its numbers do not
    /// count.
    pub(crate) fn vec_mut(&mut self) -> (&mut Vec<f32>, usize) {
        (&mut self.values, self.skipped)
    }

    /// The numbers, never to return.
    pub(crate) fn into_vec(mut self) -> Vec<f32> {
        let mut values = std::mem::take(&mut self.values);
        pool().used_size -= values.capacity();
        values.drain(..self.skipped);
        values
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        let mut pool = pool();
        pool.used_size -= values.capacity();
        if values.capacity() >= SMALLEST {
            pool.give(values);
        }
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[self.skipped..]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[self.skipped..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool_in_use(used_size: usize) -> Pool {
        Pool {
            used_size,
            peak_size: used_size,
            ..Pool::default()
        }
    }

    #[test]
    fn what_fits_is_used_again() {
        let mut pool = pool_in_use(1000);
        pool.used_size -= 100;
        pool.give(Vec::with_capacity(100));
        assert!(pool.take(101).is_none(), "too small");
        assert!(pool.take(49).is_none(), "much too large");
        assert_eq!(pool.take(90).map(|vector| vector.capacity()), Some(100));
        assert!(pool.take(90).is_none(), "taken already");
        assert_eq!(pool.idle_size, 0);
    }

    #[test]
    fn little_more_is_held_than_was_in_use_at_once() {
        let mut pool = pool_in_use(300);
        for _ in 0..3 {
            pool.used_size -= 100;
            pool.give(Vec::with_capacity(100));
        }
        assert_eq!(pool.idle_size, 300);
        // Other sizes are wanted now.
        pool.used_size += 280;
        pool.trim();
        assert_eq!(pool.idle_size, 0, "more than 300 and an eighth");
    }
}
