//! Products over the pixels of a strided grid, block by block.

use std::cell::RefCell;
use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::bfloat16::pair_pixels;
use super::epilogue::{Epilogue, PanelEpilogue};
use super::input::Input;
use super::strided_grid::{StridedGrid, within};
use super::weights::{Packed, Weights, column_groups};
use crate::fused::affine::scale_shift_relu_row;
use crate::fused::chunks::ranges;
use crate::fused::map_buffer::MapBuffer;
use crate::fused::stats::PartialStats;
use crate::simd::{BlockMut, Format, Numbers, Operands, RowTable, Scratch, SimdLevel, multiply};

/// Pixels of a block: enough that a panel of weights is used often, once it is there.
const BLOCK_PIXELS: usize = 512;

/// Numbers of a block's pixels, read or written: what the second-level cache holds.
const BLOCK_NUMBERS: usize = 1 << 17;

/// Weights that all pixels of a block meet before the next ones: what the second-level cache
/// holds beside the pixels.
const GROUP_WEIGHTS: usize = 1 << 17;

/// Blocks that a product is cut into at least, if it can be: a constant, so that the
/// number of threads changes nothing.
const LEAST_TASKS: usize = 24;

/// `target[pixel, n] = Σ over taps and k of source[pixel's input at tap, k] weights[tap, k, n]`.
pub(super) struct Product<'a> {
    pub(super) level: SimdLevel,
    pub(super) operands: Operands,
    pub(super) batch: usize,
    pub(super) source: Input<'a>,
    pub(super) source_size: (usize, usize),
    pub(super) source_channels: usize,
    /// Numbers per tap.
    pub(super) run: usize,
    pub(super) target_size: (usize, usize),
    pub(super) target_format: Format,
    pub(super) weights: Weights<'a>,
    pub(super) grids: Vec<StridedGrid>,
}

thread_local! {
    static PREPARED: RefCell<Scratch> = const { RefCell::new(Scratch::new()) };
}

impl Product<'_> {
    pub(super) fn run(&self, epilogue: Epilogue<'_>) -> (MapBuffer, Vec<PartialStats>) {
        let blocks = self.blocks();
        let columns = self.weights.columns();
        let width = self.operands.tile(self.level).columns;
        let groups = column_groups(width, columns, blocks.len(), LEAST_TASKS);
        let zeros = vec![0.0; self.run];
        let taps: Vec<Vec<usize>> = self.grids.iter().map(StridedGrid::kernel_taps).collect();
        let packed = self
            .weights
            .packed(self.level, self.operands, &taps, self.run);
        // Where each output pixel sees one input pixel alone, blocks prepare their own.
        let prepared = (!self.is_pointwise()).then(|| {
            let channels = self.source_channels;
            self.source.prepared(self.level, self.operands, channels)
        });
        let work = |row: usize, column: usize, block: BlockMut<'_>| {
            self.level.run(Task {
                product: self,
                prepared: prepared.as_deref(),
                zeros: &zeros,
                packed: &packed,
                first_pixel: blocks[row].start,
                first_column: groups[column].start,
                block,
                epilogue,
            })
        };
        MapBuffer::fill(self.target_format, columns, &blocks, &groups, work)
    }

    /// Whether rows of the left operand lie one after the other.
    fn is_pointwise(&self) -> bool {
        self.source_size == self.target_size
            && matches!(&self.grids[..], [grid] if grid.is_identity())
    }

    /// Whether rows of the left operand are read from the map itself, one after the other.
    fn reads_in_order(&self) -> bool {
        let is_paired = matches!(self.source.values, Numbers::Pairs(_));
        let as_it_is = is_paired == (self.operands != Operands::Single);
        as_it_is && self.source.affine.is_none() && self.is_pointwise()
    }

    /// Ranges of output pixels; whole images where several grids share the pixels.
    fn blocks(&self) -> Vec<Range<usize>> {
        let image = self.target_size.0 * self.target_size.1;
        let unit = if self.grids.len() == 1 { 1 } else { image };
        let of_grid = |grid: &StridedGrid| grid.pixels();
        let largest = self.grids.iter().map(of_grid).max().unwrap_or(image);
        let rows = self.operands.tile(self.level).rows;
        let numbers = self.source_channels.max(self.weights.columns());
        let pixels = (BLOCK_NUMBERS / numbers).clamp(4 * rows, BLOCK_PIXELS);
        let least = (pixels * image).div_ceil(largest.max(1));
        let size = match unit {
            1 => least.next_multiple_of(rows),
            unit => least.div_ceil(unit) * unit,
        };
        let total = self.batch * image;
        // Evenly sized, so that the last one keeps no thread waiting.
        let count = total.div_ceil(size).max(1);
        let even = match unit {
            1 => total.div_ceil(count).next_multiple_of(rows),
            unit => (total / unit).div_ceil(count) * unit,
        };
        ranges(total, even.max(1))
    }
}

/// One block of a product.
struct Task<'t, 'a> {
    product: &'t Product<'a>,
    /// The source as the product takes it, unless each block prepares its own pixels.
    prepared: Option<&'t [f32]>,
    zeros: &'t [f32],
    packed: &'t Packed,
    first_pixel: usize,
    first_column: usize,
    block: BlockMut<'t>,
    epilogue: Epilogue<'t>,
}

impl WithSimd for Task<'_, '_> {
    type Output = PartialStats;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) -> PartialStats {
        let width = self.product.operands.tile(self.product.level).columns;
        let columns = self.block.columns();
        let mut own = PREPARED.take();
        let source = self.source(&mut own);
        let grids = &self.product.grids;
        let mut tables: Vec<RowTable<'_>> =
            grids.iter().map(|grid| self.table(grid, source)).collect();
        let mut partial = PartialStats::new(
            self.first_column..self.first_column + columns,
            self.block.rows(),
        );
        let depth = self.packed.depth().max(1);
        let group = (GROUP_WEIGHTS / depth / width).max(1) * width;
        for start in (0..columns).step_by(group) {
            let end = columns.min(start + group);
            let channels = |start: usize| {
                let end = end.min(start + width);
                self.first_column + start..self.first_column + end
            };
            let panels = (start..end).step_by(width);
            let mut epilogue: Vec<PanelEpilogue<'_>> = panels
                .clone()
                .map(|start| self.epilogue.panel(self.first_pixel, channels(start)))
                .collect();
            let mut block = self.block.narrow(start..end);
            let first = (self.first_column + start) / width;
            for (grid, table) in tables.iter_mut().enumerate() {
                // Later groups find the pixels in the second-level cache.
                table.prefetch_next(start == 0 && self.product.reads_in_order());
                let panels = self.packed.panels(grid, first..first + epilogue.len());
                multiply(simd, table, panels, &mut block, &mut epilogue);
            }
            for (epilogue, start) in epilogue.into_iter().zip(panels) {
                epilogue.end(channels(start).len(), &mut partial);
            }
        }
        drop(tables);
        PREPARED.set(own);
        partial
    }
}

impl<'t> Task<'t, '_> {
    /// The numbers that runs are taken from, and how many pixels they begin before the map:
    /// where they have to be prepared, a copy of the block's own pixels.
    #[inline(always)]
    fn source<'s>(&self, own: &'s mut Scratch) -> (&'s [f32], usize)
    where
        't: 's,
    {
        if let Some(prepared) = self.prepared {
            return (prepared, 0);
        }
        let product = self.product;
        let Input { values, affine } = product.source;
        let channels = product.source_channels;
        let pixels = self.first_pixel..self.first_pixel + self.block.rows();
        let pixels = values.slice(pixels.start * channels..pixels.end * channels);
        let own = own.room(product.operands.places(channels) * self.block.rows());
        match (product.operands, values, affine) {
            (Operands::Single, Numbers::Single(values), None) => return (values, 0),
            (Operands::Pairs | Operands::Tiles(_), Numbers::Pairs(pairs), None) => {
                return (pairs, 0);
            }
            (Operands::Single, _, None) => pixels.copy_to(own),
            (Operands::Single, _, Some((scale, shift))) => {
                let mut stage = Vec::new();
                for (index, target) in own.chunks_exact_mut(channels).enumerate() {
                    let pixel = index * channels..(index + 1) * channels;
                    let pixel = pixels.slice(pixel).read(&mut stage);
                    scale_shift_relu_row(pixel, scale, shift, target);
                }
            }
            (operands, _, factors) => pair_pixels(operands, pixels, factors, channels, own),
        }
        (own, self.first_pixel)
    }

    /// Where the runs of all pixels of the block lie.
    #[inline(always)]
    fn table<'s>(&self, grid: &StridedGrid, (source, skipped): (&'s [f32], usize)) -> RowTable<'s>
    where
        't: 's,
    {
        let product = self.product;
        let operands = product.operands;
        // From here on, places of numbers or of pairs.
        let channels = operands.places(product.source_channels);
        let run = operands.part_places(product.run);
        let shifts = grid.shifts();
        let parts = 0..operands.parts().len();
        let runs: Vec<_> = parts
            .flat_map(|part| shifts.iter().map(move |&shift| (part * run, shift)))
            .collect();
        let mut table = RowTable::new(product.level, operands, runs.len(), run);
        if product.is_pointwise() {
            let first = (self.first_pixel - skipped) * channels;
            table.extend_adjacent(&source[first..][..self.block.rows() * channels]);
            return table;
        }
        let (height, width) = product.source_size;
        let positions = grid.positions(self.pixels_of(grid));
        let origins: Vec<_> = positions
            .iter()
            .map(|&(image, row, column)| {
                let (row, column) = (grid.rows.origin(row), grid.columns.origin(column));
                (image * height, row, column)
            })
            .collect();
        let targets = positions
            .iter()
            .map(|&position| self.target(grid, position));
        table.extend(targets, self.zeros, |pixel, index| {
            let (image, row, column) = origins[pixel];
            let (offset, (row_shift, column_shift)) = runs[index];
            let row = within(row + row_shift, height)?;
            let column = within(column + column_shift, width)?;
            let pixel = (image + row) * width + column - skipped;
            let start = pixel * channels + offset;
            Some(&source[start..start + run])
        });
        table
    }

    /// The block's pixels of a grid.
    #[inline(always)]
    fn pixels_of(&self, grid: &StridedGrid) -> Range<usize> {
        let block = self.first_pixel..self.first_pixel + self.block.rows();
        if self.product.grids.len() == 1 {
            return block;
        }
        // Whole images.
        let image = self.product.target_size.0 * self.product.target_size.1;
        block.start / image * grid.pixels()..block.end / image * grid.pixels()
    }

    /// The row of the block that a position of a grid is about.
    #[inline(always)]
    fn target(&self, grid: &StridedGrid, (image, row, column): (usize, usize, usize)) -> usize {
        let (height, width) = self.product.target_size;
        let (row, column) = (grid.rows.output(row), grid.columns.output(column));
        (image * height + row) * width + column - self.first_pixel
    }
}
