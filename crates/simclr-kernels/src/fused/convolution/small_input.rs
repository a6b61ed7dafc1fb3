//! Maps with few channels, such as images: single taps would be runs of three numbers.

use std::borrow::Cow;

use rayon::prelude::*;

use super::sizes::Convolution;
use crate::geometry::{Span, Windows};
use crate::memory::{Buffer, zeros};
use crate::precision::FEWEST_CHANNELS;
use crate::simd::{Format, Numbers, Operands, fn_per_level, round_to_pairs};

pub(super) fn is_small(convolution: &Convolution) -> bool {
    convolution.inputs < FEWEST_CHANNELS && !convolution.is_pointwise()
}

/// A map with its padding written out, so that a row of a window is one run, and the same convolution
/// of it.
///
/// For operands in pairs its numbers are pairs, and two pixels are one of twice the channels: windows
/// are two pixels apart, so that runs begin at whole pairs. The kernel then has a column of zeros
/// more if the number of its columns is odd.
pub(super) struct Padded {
    numbers: Buffer,
    format: Format,
    pub(super) convolution: Convolution,
}

impl Padded {
    pub(super) fn new(convolution: &Convolution, x: &[f32]) -> Self {
        let Windows { rows, columns } = &convolution.windows;
        let channels = convolution.inputs;
        let (format, unit) = match convolution.operands() {
            Operands::Single | Operands::SplitTiles(..) => (Format::Single, 1),
            Operands::Pairs | Operands::Tiles(_) => (Format::Pairs, 2),
        };
        let whole = |span: &Span, unit: usize| Span {
            input: (span.before + span.input + span.after).div_ceil(unit),
            window: span.window.div_ceil(unit),
            stride: span.stride / unit,
            before: 0,
            after: 0,
            output: span.output,
        };
        let padded = Convolution {
            windows: Windows {
                rows: whole(rows, 1),
                columns: whole(columns, unit),
            },
            inputs: unit * channels,
            ..*convolution
        };
        let row = padded.windows.columns.input * padded.inputs;
        let image = padded.windows.rows.input * format.places(row);
        let source_row = columns.input * channels;
        let mut numbers = zeros(convolution.batch * image);
        let level = convolution.options.level;
        numbers
            .par_chunks_mut(image)
            .zip(x.par_chunks(rows.input * source_row))
            .for_each(|(target, source)| {
                let target = &mut target[rows.before * format.places(row)..];
                let first = columns.before * channels;
                write_rows(level, format, source, source_row, first, row, target);
            });
        Self {
            numbers,
            format,
            convolution: padded,
        }
    }

    pub(super) fn numbers(&self) -> Numbers<'_> {
        Numbers::new(self.format, &self.numbers)
    }

    /// What multiplies in the kernel's gradient, where pairs are of two pixels. Packing for tiles
    /// takes pairs of channels.
    pub(super) fn gradient_operands(&self) -> Operands {
        match self.convolution.options.operands {
            Operands::Pairs if self.format == Format::Pairs => Operands::Pairs,
            _ => Operands::Single,
        }
    }

    /// The kernel of `convolution` as that of this map.
    pub(super) fn kernel<'k>(
        &self,
        convolution: &Convolution,
        kernel: &'k [f32],
    ) -> Cow<'k, [f32]> {
        let (row, padded) = self.kernel_rows(convolution);
        if row == padded {
            return Cow::Borrowed(kernel);
        }
        let mut result = vec![0.0; kernel.len() / row * padded];
        for (target, row) in result
            .chunks_exact_mut(padded)
            .zip(kernel.chunks_exact(row))
        {
            target[..row.len()].copy_from_slice(row);
        }
        Cow::Owned(result)
    }

    /// The gradient of the kernel of `convolution` from that of this map's.
    pub(super) fn kernel_gradient(
        &self,
        convolution: &Convolution,
        gradient: Vec<f32>,
    ) -> Vec<f32> {
        let (row, padded) = self.kernel_rows(convolution);
        if row == padded {
            return gradient;
        }
        let rows = gradient.chunks_exact(padded);
        rows.flat_map(|padded| &padded[..row]).copied().collect()
    }

    /// The numbers of a row of the kernel of `convolution`, and of this map's.
    fn kernel_rows(&self, convolution: &Convolution) -> (usize, usize) {
        let numbers =
            |sizes: &Convolution| sizes.windows.columns.window * sizes.inputs * sizes.outputs;
        (numbers(convolution), numbers(&self.convolution))
    }
}

fn_per_level! {
    /// Rows of an image behind `first` numbers of padding each, in rows of `row` numbers.
    fn write_rows<'a>(
        format: Format,
        source: &'a [f32],
        source_row: usize,
        first: usize,
        row: usize,
        target: &'a mut [f32],
    ) -> () {
        let rows = target.chunks_exact_mut(format.places(row)).zip(source.chunks_exact(source_row));
        match format {
            Format::Single => {
                for (target, source) in rows {
                    target[first..first + source_row].copy_from_slice(source);
                }
            }
            Format::Pairs => {
                let mut stage = vec![0.0; row];
                for (target, source) in rows {
                    stage[first..first + source_row].copy_from_slice(source);
                    round_to_pairs(stage.iter().copied(), target);
                }
            }
        }
    }
}
