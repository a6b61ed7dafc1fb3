//! The crop-and-resize behind [`crop_and_resize`](crate::ops::crop_and_resize) and policies.

use crate::crop_box::CropBox;
use crate::error::Result;
use crate::image::{CHANNELS, value_count};
use crate::ops::color::planes::{BLOCK, LANES, Planes};
use crate::ops::crop::check_inside;
use crate::ops::taps::{Resampling, Taps};
use crate::sample::{Samples, Source};
use crate::simd::{AlignedBuffer, CACHE_LINE, ColumnGroup, GROUP, Level, MARGIN};

/// A crop-and-resize that produces one output row at a time, so that whatever
/// follows finds the row in the cache.
///
/// Each source row that is needed is taken apart into planes and resized along itself
/// once; the last few of the results are kept. An output row is then the weighted sum
/// of up to four of them, over contiguous memory.
pub(crate) struct Resizer<'a> {
    samples: Samples<'a>,
    /// Values per source row.
    stride: usize,
    crop_box: CropBox,
    rows: Vec<Taps>,
    columns: Vec<Taps>,
}

/// Resized source rows that are kept: those of one output row. Row y has its place at
/// y modulo their number, so four neighbouring rows have four places.
const CACHED_ROWS: usize = Taps::COUNT;

/// What is kept between rows.
pub(crate) struct Scratch {
    groups: Vec<ColumnGroup>,
    /// Whether no column needs more than two pixels.
    narrow: bool,
    /// A source row in planes of `source_stride`.
    source: AlignedBuffer,
    source_stride: usize,
    /// Resized source rows, each in planes of `stride`.
    resized: AlignedBuffer,
    stride: usize,
    /// Which row is where.
    held: [Option<usize>; CACHED_ROWS],
}

impl<'a> Resizer<'a> {
    pub(crate) fn new(
        source: Source<'a>,
        crop_box: CropBox,
        (height, width): (usize, usize),
        resampling: Resampling,
    ) -> Result<Self> {
        check_inside(crop_box, source.height, source.width)?;
        value_count("the output size", height, width, CHANNELS)?;
        let mut rows = Taps::along(resampling, crop_box.height, height);
        for taps in &mut rows {
            // Scaling here costs nothing per pixel.
            taps.weights = taps.weights.map(|weight| weight * source.samples.step());
        }
        Ok(Self {
            samples: source.samples,
            stride: source.width * CHANNELS,
            crop_box,
            rows,
            columns: Taps::along(resampling, crop_box.width, width),
        })
    }

    /// Columns of the output.
    pub(crate) fn width(&self) -> usize {
        self.columns.len()
    }

    /// Mirrors the output left-right at no cost.
    pub(crate) fn flip_left_right(&mut self) {
        self.columns.reverse();
    }

    /// Mirrors the output up-down at no cost.
    pub(crate) fn flip_up_down(&mut self) {
        self.rows.reverse();
    }

    pub(crate) fn scratch(&self) -> Scratch {
        let source_stride = (self.crop_box.width + MARGIN).next_multiple_of(CACHE_LINE);
        let stride = self.columns.len().next_multiple_of(LANES);
        Scratch {
            groups: self.columns.chunks(GROUP).map(group).collect(),
            narrow: self.columns.iter().all(Taps::is_narrow),
            source: AlignedBuffer::zeros(CHANNELS * source_stride),
            source_stride,
            resized: AlignedBuffer::zeros(CACHED_ROWS * CHANNELS * stride),
            stride,
            held: [None; CACHED_ROWS],
        }
    }

    /// Makes the source rows of output row `y` available in `scratch`, as far as they
    /// are not yet.
    #[inline(always)]
    pub(crate) fn prepare<L: Level>(&self, level: L, y: usize, scratch: &mut Scratch) {
        let taps = &self.rows[y];
        let count = if taps.is_narrow() { 2 } else { Taps::COUNT };
        for k in 0..count {
            let row = self.source_row(taps, k);
            if scratch.held[row % CACHED_ROWS] != Some(row) {
                self.resize_row(level, row, scratch);
                scratch.held[row % CACHED_ROWS] = Some(row);
            }
        }
    }

    /// The row of the crop_box that a tap stands for. Taps that do not exist weigh
    /// nothing; any row does for them.
    #[inline(always)]
    fn source_row(&self, taps: &Taps, k: usize) -> usize {
        (taps.start + k).min(self.crop_box.height - 1)
    }

    #[inline(always)]
    fn resize_row<L: Level>(&self, level: L, row: usize, scratch: &mut Scratch) {
        let width = self.crop_box.width;
        let start = (self.crop_box.y + row) * self.stride + self.crop_box.x * CHANNELS;
        let planes = thirds(scratch.source.get_mut(), scratch.source_stride);
        let planes = planes.map(|plane| &mut plane[..width]);
        self.samples.split(level, start, width * CHANNELS, planes);

        let planes = scratch.source.get().chunks_exact(scratch.source_stride);
        let place = row % CACHED_ROWS * CHANNELS * scratch.stride;
        let resized = &mut scratch.resized.get_mut()[place..];
        for (source, target) in planes
            .zip(resized.chunks_exact_mut(scratch.stride))
            .take(CHANNELS)
        {
            let (targets, _) = target.as_chunks_mut::<GROUP>();
            if scratch.narrow {
                for (group, target) in scratch.groups.iter().zip(targets) {
                    level.resample::<2>(source, group, target);
                }
            } else {
                for (group, target) in scratch.groups.iter().zip(targets) {
                    level.resample::<4>(source, group, target);
                }
            }
        }
    }

    /// The output row `y`, prepared before, from `column` on: as many pixels as
    /// `planes` hold.
    #[inline(always)]
    pub(crate) fn blend(&self, y: usize, column: usize, scratch: &Scratch, planes: &mut Planes) {
        let taps = &self.rows[y];
        let resized = scratch.resized.get();
        let [wa, wb, wc, wd] = taps.weights;
        let count = (self.columns.len() - column).min(BLOCK);
        for (channel, plane) in planes.begin(count).into_iter().enumerate() {
            let row = |k: usize| {
                let place = self.source_row(taps, k) % CACHED_ROWS * CHANNELS + channel;
                &resized[place * scratch.stride + column..][..plane.len()]
            };
            if taps.is_narrow() {
                let (a, b) = (row(0), row(1));
                for i in 0..plane.len() {
                    plane[i] = a[i] * wa + b[i] * wb;
                }
            } else {
                let (a, b, c, d) = (row(0), row(1), row(2), row(3));
                for i in 0..plane.len() {
                    plane[i] = (a[i] * wa + b[i] * wb) + (c[i] * wc + d[i] * wd);
                }
            }
        }
    }
}

/// Three rows of `stride` values.
#[inline(always)]
fn thirds(values: &mut [f32], stride: usize) -> [&mut [f32]; CHANNELS] {
    let (first, rest) = values.split_at_mut(stride);
    let (second, third) = rest.split_at_mut(stride);
    [first, second, third]
}

/// Up to [`GROUP`] columns; those that are missing weigh nothing.
fn group(columns: &[Taps]) -> ColumnGroup {
    let first = columns.iter().map(|taps| taps.start).min().unwrap_or(0);
    let last = columns.iter().map(|taps| taps.start).max().unwrap_or(0);
    let mut group = ColumnGroup {
        first,
        reach: last - first + Taps::COUNT,
        offsets: [[0; GROUP]; Taps::COUNT],
        weights: [[0.0; GROUP]; Taps::COUNT],
    };
    for (lane, taps) in columns.iter().enumerate() {
        for (k, &weight) in taps.weights.iter().enumerate() {
            group.offsets[k][lane] = (taps.start - first + k) as i32;
            group.weights[k][lane] = weight;
        }
    }
    group
}
