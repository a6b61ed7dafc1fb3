//! Maps with few channels, such as images: single taps would be runs of three numbers.

use rayon::prelude::*;

use super::sizes::Convolution;
use crate::geometry::{Span, Windows};
use crate::memory::{Buffer, zeros};

/// Runs from this length on are worth a pass of the inner loop of their own.
const LONG_RUN: usize = 16;

pub(super) fn is_small(convolution: &Convolution) -> bool {
    convolution.inputs < LONG_RUN && !convolution.is_pointwise()
}

/// A copy of `x` with its padding written out, so that a row of a window is one run.
pub(super) fn padded(convolution: &Convolution, x: &[f32]) -> (Buffer, Convolution) {
    let Windows { rows, columns } = &convolution.windows;
    let channels = convolution.inputs;
    let whole = |span: &Span| Span {
        input: span.before + span.input + span.after,
        before: 0,
        after: 0,
        ..*span
    };
    let windows = Windows {
        rows: whole(rows),
        columns: whole(columns),
    };
    let row = windows.columns.input * channels;
    let image = windows.rows.input * row;
    let source_row = columns.input * channels;
    let mut padded = zeros(convolution.batch * image);
    padded
        .par_chunks_mut(image)
        .zip(x.par_chunks(rows.input * source_row))
        .for_each(|(target, source)| {
            let targets = target.chunks_exact_mut(row).skip(rows.before);
            for (target, source) in targets.zip(source.chunks_exact(source_row)) {
                target[columns.before * channels..][..source_row].copy_from_slice(source);
            }
        });
    let convolution = Convolution {
        windows,
        ..*convolution
    };
    (padded, convolution)
}
