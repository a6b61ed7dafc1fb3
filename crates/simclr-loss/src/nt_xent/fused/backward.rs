//! The backward pass: the upper triangle in square blocks.

use std::sync::{Mutex, PoisonError};

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::forward::Softmax;
use super::product::{ALIGNMENT, Left, Product};
use super::views::Views;
use crate::vector;

/// Rows per block, for many views and for few.
const BLOCK: usize = 6 * ALIGNMENT;
const SMALL_BLOCK: usize = 3 * ALIGNMENT;
const FEW_VIEWS: usize = 2048;
/// Rows a power of two apart would fall on the same places of the cache; also room
/// for the product that reads columns.
const PADDING: usize = 16;

/// `upstream * dloss/dembeddings`, `[view][width]`.
pub(super) fn backward(views: &Views, softmax: &Softmax, upstream: f64) -> Vec<f32> {
    let size = if views.count <= FEW_VIEWS {
        SMALL_BLOCK
    } else {
        BLOCK
    };
    let blocks: Vec<Block> = (0..views.count)
        .step_by(size)
        .map(|start| Block::new(views, start, views.count.min(start + size)))
        .collect();
    let inverse_sums: Vec<f32> = softmax.sum.iter().map(|sum| 1.0 / sum).collect();
    let context = Context {
        views,
        shift: &softmax.shift,
        positive: positive_weights(views, softmax, &inverse_sums),
        inverse_sums,
        stride: size + PADDING,
    };
    for round in rounds(blocks.len()) {
        round.par_iter().for_each_init(Vec::new, |tile, &(i, j)| {
            tile.resize(size * context.stride, 0.0);
            context.add_tile(&blocks[i], &blocks[j], tile);
        });
    }
    let scale = upstream * f64::from(views.inverse_temperature) / views.images() as f64;
    assemble(views, blocks, scale as f32)
}

/// All pairs of blocks, each with itself first, in rounds in which no block occurs
/// twice: a tournament by the circle method. Every block so receives its parts in a
/// fixed order, whatever runs at the same time.
fn rounds(blocks: usize) -> Vec<Vec<(usize, usize)>> {
    let mut rounds = vec![(0..blocks).map(|block| (block, block)).collect()];
    // An odd one out pauses: it is paired with a block that does not exist.
    let seats = blocks.next_multiple_of(2);
    for turn in 0..seats.saturating_sub(1) {
        let seated = |seat: usize| match seat {
            0 => 0,
            _ => 1 + (seat - 1 + turn) % (seats - 1),
        };
        let pairs = (0..seats / 2).map(|seat| (seated(seat), seated(seats - 1 - seat)));
        rounds.push(
            pairs
                .map(|(a, b)| (a.min(b), a.max(b)))
                .filter(|&(_, b)| b < blocks)
                .collect(),
        );
    }
    rounds
}

/// Per image `p_ij + p_ji - 2` for its two views `i`, `j`: each `p - 1` taken first,
/// because it may be tiny.
fn positive_weights(views: &Views, softmax: &Softmax, inverse_sums: &[f32]) -> Vec<f32> {
    let excess = |view: usize, positive: f32| {
        (positive - softmax.shift[view]).exp() * inverse_sums[view] - 1.0
    };
    let images = softmax.positive.iter().enumerate();
    images
        .map(|(i, &positive)| excess(i, positive) + excess(views.partner(i), positive))
        .collect()
}

/// Some of the views and their gradient.
struct Block {
    start: usize,
    end: usize,
    /// The views in panels of numbers.
    panels: Vec<f32>,
    /// `[view][width, rounded up to panels]`.
    gradient: Mutex<Vec<f32>>,
}

impl Block {
    fn new(views: &Views, start: usize, end: usize) -> Self {
        Self {
            start,
            end,
            panels: views.by_number(start, end),
            gradient: Mutex::new(vec![0.0; (end - start) * padded_width(views)]),
        }
    }

    fn rows(&self) -> usize {
        self.end - self.start
    }
}

fn padded_width(views: &Views) -> usize {
    views.width.next_multiple_of(views.panel_width)
}

struct Context<'a> {
    views: &'a Views,
    shift: &'a [f32],
    inverse_sums: Vec<f32>,
    positive: Vec<f32>,
    stride: usize,
}

impl Context<'_> {
    /// Adds what the similarities between two blocks, or within one, give to their gradients.
    fn add_tile(&self, rows: &Block, columns: &Block, tile: &mut [f32]) {
        let views = self.views;
        views.arch.dispatch(Product {
            rows: rows.rows(),
            depth: views.width,
            left: Left::Rows {
                values: &views.values[rows.start * views.width..],
                stride: views.width,
            },
            panels: views.panels(columns.start, columns.end),
            out: tile,
            out_stride: self.stride,
            accumulate: false,
        });
        views.arch.dispatch(Weigh {
            context: self,
            rows,
            columns,
            tile,
        });
        let left = Left::Rows {
            values: tile,
            stride: self.stride,
        };
        self.accumulate(rows, columns, left);
        if rows.start != columns.start {
            let left = Left::Columns {
                values: tile,
                stride: self.stride,
            };
            self.accumulate(columns, rows, left);
        }
    }

    /// Adds `left * others` to the gradient of `block`.
    fn accumulate(&self, block: &Block, others: &Block, left: Left<'_>) {
        // No code that holds the lock can panic half-way through a sum.
        let mut gradient = block
            .gradient
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.views.arch.dispatch(Product {
            rows: block.rows(),
            depth: others.rows(),
            left,
            panels: &others.panels,
            out: &mut gradient,
            out_stride: padded_width(self.views),
            accumulate: true,
        });
    }

    /// The entries of a row that are not like the others.
    #[inline(always)]
    fn correct(&self, i: usize, columns: &Block, row: &mut [f32]) {
        let covered = columns.start..columns.end;
        if covered.contains(&i) {
            row[i - columns.start] = 0.0;
        }
        for masked in self.views.masked(i, &covered) {
            row[masked - columns.start] = 0.0;
        }
        let partner = self.views.partner(i);
        if covered.contains(&partner) {
            row[partner - columns.start] = self.positive[i % self.views.images()];
        }
    }
}

/// Turns products into `p_ij + p_ji`.
struct Weigh<'a> {
    context: &'a Context<'a>,
    rows: &'a Block,
    columns: &'a Block,
    tile: &'a mut [f32],
}

impl WithSimd for Weigh<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self {
            context,
            rows,
            columns,
            tile,
        } = self;
        let scale = context.views.inverse_temperature;
        let column_sums = &context.inverse_sums[columns.start..columns.end];
        let column_shifts = &context.shift[columns.start..columns.end];
        for (i, row) in (rows.start..rows.end).zip(tile.chunks_exact_mut(context.stride)) {
            let (shift, row_sum) = (context.shift[i], context.inverse_sums[i]);
            let weights = row.iter_mut().zip(column_sums);
            if context.views.bound.is_some() {
                // All shifts are the same.
                for (value, &column_sum) in weights {
                    *value = vector::exp(*value * scale - shift) * (row_sum + column_sum);
                }
            } else {
                for ((value, &column_sum), &column_shift) in weights.zip(column_shifts) {
                    let similarity = *value * scale;
                    *value = vector::exp(similarity - shift) * row_sum
                        + vector::exp(similarity - column_shift) * column_sum;
                }
            }
            context.correct(i, columns, row);
        }
    }
}

/// The gradient of the embeddings from that of the views.
fn assemble(views: &Views, blocks: Vec<Block>, scale: f32) -> Vec<f32> {
    let padded = padded_width(views);
    let mut gradient = vec![0.0; views.count * views.width];
    let size = blocks.first().map_or(1, Block::rows) * views.width;
    let targets = gradient.par_chunks_mut(size.max(1));
    targets.zip(blocks).for_each(|(targets, block)| {
        let start = block.start;
        let values = block.gradient.into_inner();
        let values = values.unwrap_or_else(PoisonError::into_inner);
        let rows = targets
            .chunks_exact_mut(views.width)
            .zip(values.chunks_exact(padded));
        for (i, (target, row)) in (start..).zip(rows) {
            let row = &row[..views.width];
            let Some(&(inverse, free)) = views.inverse_lengths.get(i) else {
                for (target, value) in target.iter_mut().zip(row) {
                    *target = value * scale;
                }
                continue;
            };
            let view = &views.values[i * views.width..(i + 1) * views.width];
            // Above the floor a change of length changes nothing.
            let along = if free { dot(row, view) } else { 0.0 };
            let factor = scale * inverse;
            for ((target, g), v) in target.iter_mut().zip(row).zip(view) {
                *target = factor * (g - along * v);
            }
        }
    });
    gradient
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 8;
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut lanes = [0.0f64; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            lanes[lane] += f64::from(a[lane] * b[lane]);
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| f64::from(a * b));
    (lanes.iter().sum::<f64>() + rest.sum::<f64>()) as f32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::rounds;

    #[test]
    fn every_pair_meets_once_and_nobody_twice_in_a_round() {
        for blocks in 1..12 {
            let mut met = BTreeSet::new();
            for round in rounds(blocks) {
                let mut busy = BTreeSet::new();
                for (a, b) in round {
                    assert!(a <= b && met.insert((a, b)));
                    assert!(busy.insert(a) && (a == b || busy.insert(b)));
                }
            }
            assert_eq!(met.len(), blocks * (blocks + 1) / 2);
        }
    }
}
