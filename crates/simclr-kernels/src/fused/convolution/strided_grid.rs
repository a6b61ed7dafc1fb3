//! Output pixels of a convolution that see the same taps, and the inputs that they see.

use std::ops::Range;

use crate::geometry::{Span, Windows};

/// Where output positions of one axis find their inputs.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    /// How many output positions there are: `offset + i * stride` for i below `count`.
    pub(super) count: usize,
    offset: usize,
    stride: usize,
    /// Output i sees the inputs `i * input_stride + shift` of all taps.
    input_stride: usize,
    /// The number of the tap within the window, and its shift.
    pub(super) taps: Vec<(usize, isize)>,
}

impl Axis {
    fn forward(span: &Span) -> Self {
        let shift = |tap: usize| tap as isize - span.before as isize;
        Self {
            count: span.output,
            offset: 0,
            stride: 1,
            input_stride: span.stride,
            taps: (0..span.window).map(|tap| (tap, shift(tap))).collect(),
        }
    }

    /// One axis per residue: the inputs i with `(i + before) % stride == residue` meet the
    /// taps of that residue, at the outputs `(i + before - tap) / stride`.
    fn backward(span: &Span) -> Vec<Self> {
        let axis = |residue: usize| {
            let offset = (residue + span.stride - span.before % span.stride) % span.stride;
            let reach = (offset + span.before) as isize;
            let taps = (residue..span.window).step_by(span.stride);
            Self {
                count: span.input.saturating_sub(offset).div_ceil(span.stride),
                offset,
                stride: span.stride,
                input_stride: 1,
                taps: taps
                    .map(|tap| (tap, (reach - tap as isize) / span.stride as isize))
                    .collect(),
            }
        };
        (0..span.stride)
            .map(axis)
            .filter(|axis| axis.count > 0)
            .collect()
    }

    /// The input of output `index` at tap `tap`, if it is within `0..size`.
    #[inline(always)]
    pub(super) fn input(&self, index: usize, tap: usize, size: usize) -> Option<usize> {
        within(self.origin(index) + self.shift(tap), size)
    }

    /// The input of output `index` at a tap without a shift.
    #[inline(always)]
    pub(super) fn origin(&self, index: usize) -> isize {
        (index * self.input_stride) as isize
    }

    /// How far the input of tap `tap` is from there.
    #[inline(always)]
    pub(super) fn shift(&self, tap: usize) -> isize {
        self.taps[tap].1
    }

    pub(super) fn output(&self, index: usize) -> usize {
        self.offset + index * self.stride
    }
}

/// A position within `0..size`.
#[inline(always)]
pub(super) fn within(position: isize, size: usize) -> Option<usize> {
    // What is negative is larger than any size.
    let position = position as usize;
    (position < size).then_some(position)
}

/// Output pixels that all see the same taps.
#[derive(Debug, Clone)]
pub(super) struct StridedGrid {
    pub(super) rows: Axis,
    pub(super) columns: Axis,
    /// Columns of the window within one run.
    pub(super) merged_columns: usize,
    /// Columns of the kernel.
    window_columns: usize,
}

impl StridedGrid {
    pub(super) fn forward(windows: &Windows) -> Self {
        Self {
            rows: Axis::forward(&windows.rows),
            columns: Axis::forward(&windows.columns),
            merged_columns: 1,
            window_columns: windows.columns.window,
        }
    }

    /// Whole rows of the window as taps; nothing may be padded.
    pub(super) fn merged(windows: &Windows) -> Self {
        let mut grid = Self::forward(windows);
        grid.columns.taps.truncate(1);
        grid.merged_columns = windows.columns.window;
        grid
    }

    pub(super) fn backward(windows: &Windows) -> Vec<Self> {
        let columns = Axis::backward(&windows.columns);
        let rows = Axis::backward(&windows.rows);
        let grids = rows.iter().flat_map(|rows| {
            columns.iter().map(|columns| Self {
                rows: rows.clone(),
                columns: columns.clone(),
                merged_columns: 1,
                window_columns: windows.columns.window,
            })
        });
        grids.collect()
    }

    pub(super) fn pixels(&self) -> usize {
        self.rows.count * self.columns.count
    }

    /// (row tap, column tap) of a tap of this grid.
    #[inline(always)]
    pub(super) fn tap(&self, tap: usize) -> (usize, usize) {
        let columns = self.columns.taps.len();
        (tap / columns, tap % columns)
    }

    /// How far the input of each tap is from the origin, in rows and columns.
    pub(super) fn shifts(&self) -> Vec<(isize, isize)> {
        let columns = &self.columns.taps;
        let of_row =
            |&(_, row): &(usize, isize)| columns.iter().map(move |&(_, column)| (row, column));
        self.rows.taps.iter().flat_map(of_row).collect()
    }

    /// The numbers of this grid's taps within the kernel.
    pub(super) fn kernel_taps(&self) -> Vec<usize> {
        let columns = &self.columns.taps;
        let of_row = |&(row, _): &(usize, isize)| {
            columns
                .iter()
                .map(move |&(column, _)| row * self.window_columns + column)
        };
        self.rows.taps.iter().flat_map(of_row).collect()
    }

    /// Image, row and column of consecutive pixels.
    pub(super) fn positions(&self, pixels: Range<usize>) -> Vec<(usize, usize, usize)> {
        let (mut image, mut row, mut column) = self.position(pixels.start);
        let step = |_| {
            let position = (image, row, column);
            column += 1;
            if column == self.columns.count {
                (row, column) = (row + 1, 0);
            }
            if row == self.rows.count {
                (image, row) = (image + 1, 0);
            }
            position
        };
        pixels.map(step).collect()
    }

    /// Whether each output pixel sees one input pixel, the one in its own place.
    pub(super) fn is_identity(&self) -> bool {
        let plain = |axis: &Axis| {
            axis.input_stride == 1 && axis.stride == 1 && axis.offset == 0 && axis.taps == [(0, 0)]
        };
        plain(&self.rows) && plain(&self.columns)
    }

    /// Image, row and column of the pixel with this number.
    #[inline(always)]
    pub(super) fn position(&self, pixel: usize) -> (usize, usize, usize) {
        let columns = self.columns.count;
        let (row, column) = (pixel / columns, pixel % columns);
        (row / self.rows.count, row % self.rows.count, column)
    }
}
