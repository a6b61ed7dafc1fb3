//! How work is cut into pieces: by its size, never by the number of threads, so that sums do
//! not depend on it.

use std::ops::Range;

/// Elements of a chunk of `[rows, channels]` data: it stays in the second-level cache while
/// it is worked on.
const CHUNK: usize = 1 << 15;

/// Numbers of rows that are brought to f32 at a time: they stay in the first-level cache.
const STAGED: usize = 1 << 12;

/// How many rows are brought to f32 at a time.
pub(super) fn staged_rows(channels: usize) -> usize {
    (STAGED / channels).max(1)
}

/// Rows that are added up in one go: a sum of short sums loses less to rounding, and near
/// zero that decides what a ReLU lets through.
pub(super) const SHORT_SUM: usize = 32;

/// `sums += few`, and `few` starts anew.
#[inline(always)]
pub(super) fn move_into(few: &mut [f32], sums: &mut [f32]) {
    for (sum, few) in sums.iter_mut().zip(few) {
        *sum += std::mem::take(few);
    }
}

/// Elements of a chunk of whole rows.
pub(super) fn chunk_len(channels: usize) -> usize {
    (CHUNK / channels).max(1) * channels
}

/// Ranges of rows, each about a chunk.
pub(super) fn chunks(rows: usize, channels: usize) -> Vec<Range<usize>> {
    ranges(rows, (CHUNK / channels).max(1))
}

/// Ranges of `step` that cover `0..size`; the last one may be shorter.
pub(super) fn ranges(size: usize, step: usize) -> Vec<Range<usize>> {
    (0..size)
        .step_by(step)
        .map(|start| start..size.min(start + step))
        .collect()
}
