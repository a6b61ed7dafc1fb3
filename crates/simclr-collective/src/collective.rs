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
    /// Every rank gives as many numbers.
    ///
    /// # Errors
    /// [`Error::Mismatch`] on every rank if one gives more or fewer numbers than rank 0; if not
    /// every rank takes part.
    pub fn all_reduce<T: Pod + AddAssign>(&self, values: &mut [T]) -> Result<()> {
        let mut sums = values.to_vec();
        self.all_reduce_in(&mut sums, &mut Vec::new())?;
        values.copy_from_slice(&sums);
        Ok(())
    }

    /// `all_reduce` for those who call it again and again: `received` is
    /// working memory, which grows to a little more than the length of `values` and is overwritten.
    /// New memory for every sum costs more than adding up. After an error, `values` are undefined.
    ///
    /// # Errors
    /// As `all_reduce`.
    pub fn all_reduce_in<T: Pod + AddAssign>(
        &self,
        values: &mut Vec<T>,
        received: &mut Vec<T>,
    ) -> Result<()> {
        let (size, len) = (self.size(), values.len());
        if size == 1 || size_of::<T>() == 0 {
            return Ok(());
        }
        let head = size_of::<Lengths>().div_ceil(size_of::<T>());
        let part = (len + head).div_ceil(size).max(head);
        values.resize(part * size, T::zeroed());
        received.resize(part * size, T::zeroed());
        // The numbers that the lengths take the place of go behind the others.
        (0..head).for_each(|at| values.swap(at, len + at));
        write_lengths(values, [0, len as u64, len as u64]);
        self.all_to_all_bytes(cast_slice(values), cast_slice_mut(received))?;
        let compared = (self.rank() == 0).then(|| compare_lengths(received, part));
        let (sum, others) = received.split_at_mut(part);
        let summands = if compared.is_some() { head } else { 0 }..part;
        for other in others.chunks_exact(part) {
            let terms = &other[summands.clone()];
            for (sum, &term) in sum[summands.clone()].iter_mut().zip(terms) {
                *sum += term;
            }
        }
        if let Some(lengths) = compared {
            write_lengths(sum, lengths);
        }
        self.all_gather_bytes(cast_slice(sum), cast_slice_mut(values))?;
        check_lengths(read_lengths(values))?;
        (0..head).rev().for_each(|at| values.swap(at, len + at));
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

/// What stands before the numbers of a sum, so that comparing their lengths takes no exchange of its
/// own: a rank, how many numbers it gives, and how many rank 0 gives. Rank 0, which adds up the first
/// part, writes the first rank that differs.
type Lengths = [u64; 3];

fn write_lengths<T: Pod>(values: &mut [T], lengths: Lengths) {
    cast_slice_mut(values)[..size_of::<Lengths>()].copy_from_slice(bytemuck::bytes_of(&lengths));
}

fn read_lengths<T: Pod>(values: &[T]) -> Lengths {
    let mut lengths = Lengths::default();
    let bytes = &cast_slice(values)[..size_of::<Lengths>()];
    bytemuck::bytes_of_mut(&mut lengths).copy_from_slice(bytes);
    lengths
}

/// Compares the lengths in the parts that rank 0 receives.
fn compare_lengths<T: Pod>(parts: &[T], part: usize) -> Lengths {
    let [_, expected, _] = read_lengths(parts);
    let found = parts.chunks_exact(part).map(|part| read_lengths(part)[1]);
    let differs = (0..).zip(found).find(|(_, found)| *found != expected);
    let (rank, found) = differs.unwrap_or((0, expected));
    [rank, found, expected]
}

fn check_lengths([rank, found, expected]: Lengths) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    let call = |numbers| format!("all-reduce of {numbers} numbers");
    Err(Error::Mismatch {
        rank: rank as usize,
        found: call(found),
        expected: call(expected),
    })
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
