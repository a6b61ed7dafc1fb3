//! What several ranks do together.

use std::fmt;
use std::ops::AddAssign;
use std::sync::Arc;

use bytemuck::{Pod, cast_slice, cast_slice_mut};

use crate::error::{Error, Result};

/// A rank among those that work on the same task.
///
/// All ranks call the same operations in the same order, with buffers of the same lengths; each
/// call returns once every rank has called it. An implementation moves bytes, and need not add
/// anything up.
///
/// Numbers go through the methods of `dyn Collective`:
///
/// ```
/// use simclr_collective::{Collective, SingleProcess};
///
/// let ranks: &dyn Collective = &SingleProcess;
/// let mut sum = [1.5f64, 2.0];
/// ranks.all_reduce(&mut sum)?;
/// assert_eq!(ranks.all_gather(&sum)?, [1.5, 2.0]);
/// # Ok::<(), simclr_collective::Error>(())
/// ```
pub trait Collective: fmt::Debug + Send + Sync {
    /// The number of this rank, from 0.
    fn rank(&self) -> usize;

    /// How many ranks there are.
    fn size(&self) -> usize;

    /// Writes the bytes of all ranks to `all`, those of rank 0 first.
    ///
    /// # Errors
    /// If `all` is not `size` times as long as `own`, or not every rank takes part.
    fn all_gather_bytes(&self, own: &[u8], all: &mut [u8]) -> Result<()>;

    /// Sends one of `size` equal parts of `send` to each rank, the first to rank 0, and writes what
    /// each rank sends here to `received`, the part of rank 0 first.
    ///
    /// # Errors
    /// If the lengths differ or are no multiple of `size`, or not every rank takes part.
    fn all_to_all_bytes(&self, send: &[u8], received: &mut [u8]) -> Result<()>;

    /// Makes `bytes` those of rank `root` on every rank.
    ///
    /// # Errors
    /// If there is no rank `root`, or not every rank takes part.
    fn broadcast_bytes(&self, root: usize, bytes: &mut [u8]) -> Result<()>;

    /// Waits until every rank is here.
    ///
    /// # Errors
    /// If not every rank takes part.
    fn barrier(&self) -> Result<()>;

    /// The same ranks for another thread: operations on what is returned go on beside those on
    /// `self`, and have an order of their own. `None` where this is not possible, the default.
    fn beside(&self) -> Option<Arc<dyn Collective>> {
        None
    }

    /// Ends the work of all ranks: operations under way and later ones fail with `message`.
    /// Where ranks are processes, it ends these with an exit status other than 0, prints `message`
    /// to the standard error stream, and does not return.
    fn abort(&self, message: &str);
}

impl dyn Collective + '_ {
    /// The numbers of all ranks, those of rank 0 first.
    ///
    /// # Errors
    /// If not every rank takes part.
    pub fn all_gather<T: Pod>(&self, own: &[T]) -> Result<Vec<T>> {
        let mut all = vec![T::zeroed(); self.size() * own.len()];
        self.all_gather_bytes(cast_slice(own), cast_slice_mut(&mut all))?;
        Ok(all)
    }

    /// The bytes of all ranks, which may differ in their number.
    ///
    /// # Errors
    /// If not every rank takes part.
    pub fn all_gather_varying(&self, own: &[u8]) -> Result<Vec<Vec<u8>>> {
        let lengths = self.all_gather(&[own.len() as u64])?;
        let longest = lengths.iter().max().map_or(0, |&length| length as usize);
        let mut padded = own.to_vec();
        padded.resize(longest, 0);
        let all = self.all_gather(&padded)?;
        let parts = all.chunks(longest.max(1)).map(<[u8]>::to_vec);
        let mut parts: Vec<_> = parts
            .chain(std::iter::repeat(Vec::new()))
            .take(self.size())
            .collect();
        for (part, &length) in parts.iter_mut().zip(&lengths) {
            part.truncate(length as usize);
        }
        Ok(parts)
    }

    /// Adds up the numbers of all ranks, each in rank order.
    ///
    /// Each rank adds up a part of the numbers and gives it to all, so that a rank sends and
    /// receives twice the length of `values`, whatever the number of ranks.
    ///
    /// Every rank gives as many numbers: other lengths are noticed only where the parts differ in
    /// theirs, since comparing them would cost one more exchange for each sum.
    ///
    /// # Errors
    /// If not every rank takes part.
    pub fn all_reduce<T: Pod + AddAssign>(&self, values: &mut [T]) -> Result<()> {
        let mut sums = values.to_vec();
        self.all_reduce_in(&mut sums, &mut Vec::new())?;
        values.copy_from_slice(&sums);
        Ok(())
    }

    /// `all_reduce` for those who call it again and again: `received` is
    /// working memory, which grows to the length of `values` and is overwritten. New memory for
    /// every sum costs more than adding up.
    ///
    /// # Errors
    /// If not every rank takes part.
    pub fn all_reduce_in<T: Pod + AddAssign>(
        &self,
        values: &mut Vec<T>,
        received: &mut Vec<T>,
    ) -> Result<()> {
        let (size, len) = (self.size(), values.len());
        if size == 1 || len == 0 {
            return Ok(());
        }
        let part = len.div_ceil(size);
        values.resize(part * size, T::zeroed());
        received.resize(part * size, T::zeroed());
        self.all_to_all_bytes(cast_slice(values), cast_slice_mut(received))?;
        let (sum, others) = received.split_at_mut(part);
        for other in others.chunks_exact(part) {
            for (sum, &term) in sum.iter_mut().zip(other) {
                *sum += term;
            }
        }
        self.all_gather_bytes(cast_slice(sum), cast_slice_mut(values))?;
        values.truncate(len);
        Ok(())
    }

    /// Makes `values` those of rank `root` on every rank.
    ///
    /// # Errors
    /// If there is no rank `root`, or not every rank takes part.
    pub fn broadcast<T: Pod>(&self, root: usize, values: &mut [T]) -> Result<()> {
        self.broadcast_bytes(root, cast_slice_mut(values))
    }
}

/// Checks the lengths of the buffers of an all-gather.
///
/// # Errors
/// If `all` is not `size` times as long as `own`.
pub fn check_all_gather(size: usize, own: &[u8], all: &[u8]) -> Result<()> {
    check(
        "all-gather",
        all.len() == size * own.len(),
        all.len(),
        || format!("a buffer of {size} x {} bytes", own.len()),
    )
}

/// Checks the lengths of the buffers of an all-to-all.
///
/// # Errors
/// If they differ or are no multiple of `size`.
pub fn check_all_to_all(size: usize, send: &[u8], received: &[u8]) -> Result<()> {
    let fits = send.len() == received.len() && send.len().is_multiple_of(size);
    check("all-to-all", fits, received.len(), || {
        format!("{} bytes, a multiple of {size}", send.len())
    })
}

/// Checks the root of a broadcast.
///
/// # Errors
/// If there is no such rank.
pub fn check_root(size: usize, root: usize) -> Result<()> {
    check("broadcast", root < size, root, || {
        format!("a root below {size}")
    })
}

fn check(
    operation: &'static str,
    fits: bool,
    found: usize,
    expected: impl FnOnce() -> String,
) -> Result<()> {
    if fits {
        return Ok(());
    }
    Err(Error::Argument {
        operation,
        expected: expected(),
        found,
    })
}
