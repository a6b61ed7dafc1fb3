//! The product whose result is a map: the forward pass, and the input's gradient.

use std::cell::RefCell;

use pulp::{Simd, WithSimd};

use super::tiles::{Tiles, Window, stride};
use super::transform::{self, Minimal, Partner, Places, Transforms};
use crate::fused::chunks::ranges;
use crate::fused::convolution::epilogue::{Epilogue, PanelEpilogue};
use crate::fused::convolution::input::Input;
use crate::fused::convolution::sizes::Convolution;
use crate::fused::convolution::weights::{Weights, column_groups};
use crate::fused::map_buffer::MapBuffer;
use crate::fused::stats::PartialStats;
use crate::memory::Buffer;
use crate::simd::{
    BlockMut, Format, Numbers, Operands, RowTable, Scratch, SimdLevel, TileEpilogue, fill_blocks,
    fn_per_level, load, load_strided, multiply, store_strided, whole,
};

/// Transformed inputs of a block: what the second-level cache holds beside a panel.
const BLOCK_NUMBERS: usize = 1 << 17;

/// Blocks and groups of columns that a product is cut into at least.
const LEAST_TASKS: usize = 12;

/// A convolution with a 3x3 kernel and stride 1.
pub(in crate::fused::convolution) struct Product<'a> {
    level: SimdLevel,
    operands: Operands,
    tiles: Tiles,
    inputs: usize,
    outputs: usize,
    source: Input<'a>,
    /// Of the result.
    format: Format,
    weights: Weights<'a>,
    /// In which order the kernel's taps are met.
    taps: [usize; 9],
}

thread_local! {
    static SCRATCH: RefCell<[Scratch; 2]> = const { RefCell::new([Scratch::new(), Scratch::new()]) };
    static TAPS: RefCell<Scratch> = const { RefCell::new(Scratch::new()) };
}

impl<'a> Product<'a> {
    pub(in crate::fused::convolution) fn forward(
        convolution: &Convolution,
        x: Input<'a>,
        kernel: &'a [f32],
    ) -> Self {
        let (inputs, outputs) = (convolution.inputs, convolution.outputs);
        Self {
            level: convolution.options.level,
            operands: convolution.operands(),
            tiles: Tiles::of(convolution, super::side(convolution)),
            inputs,
            outputs,
            source: x,
            format: convolution.output_format(),
            weights: Weights::forward(kernel, inputs, outputs),
            taps: std::array::from_fn(|tap| tap),
        }
    }

    /// The input's gradient: the convolution of `dy` with the kernel turned by half a turn.
    pub(in crate::fused::convolution) fn backward(
        convolution: &Convolution,
        kernel: &'a [f32],
        dy: Numbers<'a>,
        format: Format,
    ) -> Self {
        let (inputs, outputs) = (convolution.inputs, convolution.outputs);
        Self {
            inputs: outputs,
            outputs: inputs,
            format,
            weights: Weights::backward(kernel, inputs, outputs),
            taps: std::array::from_fn(|tap| 8 - tap),
            ..Self::forward(convolution, Input::plain(dy), kernel)
        }
    }

    pub(in crate::fused::convolution) fn run(
        &self,
        epilogue: Epilogue<'_>,
    ) -> (MapBuffer, Vec<PartialStats>) {
        match self.tiles.side() {
            2 => self.run_tiles::<4, 2>(epilogue),
            _ => self.run_tiles::<6, 4>(epilogue),
        }
    }

    fn run_tiles<const M: usize, const T: usize>(
        &self,
        epilogue: Epilogue<'_>,
    ) -> (MapBuffer, Vec<PartialStats>)
    where
        Minimal: Transforms<M, T>,
    {
        let weights = self.transformed_weights();
        let blocks = self.tiles.blocks(self.tiles_of_block());
        let pixels: Vec<_> = blocks
            .iter()
            .map(|rows| self.tiles.first_pixel(rows.start)..self.tiles.first_pixel(rows.end))
            .collect();
        let columns = column_groups(
            self.level.tile().columns,
            self.outputs,
            blocks.len(),
            LEAST_TASKS,
        );
        let work = |row: usize, column: usize, block: BlockMut<'_>| {
            let first_row = blocks[row].start;
            self.level.run(Task::<M, T> {
                product: self,
                weights: &weights,
                first_tile: first_row * self.tiles.columns(),
                tiles: blocks[row].len() * self.tiles.columns(),
                first_pixel: pixels[row].start,
                first_column: columns[column].start,
                block,
                epilogue,
            })
        };
        MapBuffer::fill(self.format, self.outputs, &pixels, &columns, work)
    }

    fn tiles_of_block(&self) -> usize {
        (BLOCK_NUMBERS / (self.tiles.positions() * self.inputs)).clamp(24, 192)
    }

    /// The places that the inputs of a pixel take.
    fn places(&self) -> usize {
        self.operands.places(self.inputs)
    }

    /// `[panel, position, place of an input, column of the panel]`.
    fn transformed_weights(&self) -> Buffer {
        let width = self.level.tile().columns;
        let panels = self.outputs.div_ceil(width);
        let size = self.tiles.positions() * self.places() * width;
        let rows = ranges(panels, 1);
        let work = |panel: usize, _: usize, mut block: BlockMut<'_>| {
            transform_weights(self.level, self, panel * width, width, block.all_mut());
        };
        fill_blocks(size, &rows, &whole(size), work).0
    }
}

fn_per_level! {
    fn transform_weights<'t, 'a; S>(
        simd,
        product: &'t Product<'a>,
        first_column: usize,
        width: usize,
        target: &'t mut [f32],
    ) -> () {
        let inputs = product.inputs;
        let mut scratch = TAPS.take();
        let taps = scratch.room(product.taps.len() * inputs * width);
        product
            .weights
            .pack_panel(&product.taps, inputs, first_column, width, taps);
        let weights = TransformedWeights {
            taps,
            inputs,
            width,
        };
        match product.tiles.side() {
            2 => weights.transform::<S, 4, 2>(simd, product, target),
            _ => weights.transform::<S, 6, 4>(simd, product, target),
        }
        TAPS.set(scratch);
    }
}

/// Weights `[tap, input, column of the panel]` that are transformed.
struct TransformedWeights<'a> {
    taps: &'a [f32],
    inputs: usize,
    width: usize,
}

impl TransformedWeights<'_> {
    /// `[position, place of an input, column of the panel]`.
    #[inline(always)]
    fn transform<S: Simd, const M: usize, const T: usize>(
        &self,
        simd: S,
        product: &Product<'_>,
        target: &mut [f32],
    ) where
        Minimal: Transforms<M, T>,
    {
        let places = product.places();
        for place in 0..places {
            let input = transform::first_channel::<S>(product.operands, place);
            for column in (0..self.width).step_by(S::F32_LANES) {
                let mut u = self.at(simd, input, column);
                if product.operands == Operands::Pairs {
                    u = transform::paired(simd, u, self.at(simd, input + S::F32_LANES, column));
                }
                let first = place * self.width + column;
                let stride = places * self.width;
                store_strided::<S>(target, first, stride, u.as_flattened());
            }
        }
    }

    /// Those of an input and some columns.
    #[inline(always)]
    fn at<S: Simd, const M: usize, const T: usize>(
        &self,
        simd: S,
        input: usize,
        column: usize,
    ) -> transform::Square<S, M>
    where
        Minimal: Transforms<M, T>,
    {
        let mut g = [[simd.splat_f32s(0.0); 3]; 3];
        for (row, line) in g.iter_mut().enumerate() {
            for (tap, value) in line.iter_mut().enumerate() {
                let row = (3 * row + tap) * self.inputs + input;
                *value = load::<S>(&self.taps[row * self.width + column..]);
            }
        }
        Minimal::kernel(simd, g)
    }
}

/// Some rows of tiles and some columns.
struct Task<'t, 'a, const M: usize, const T: usize> {
    product: &'t Product<'a>,
    weights: &'t [f32],
    first_tile: usize,
    tiles: usize,
    first_pixel: usize,
    first_column: usize,
    block: BlockMut<'t>,
    epilogue: Epilogue<'t>,
}

impl<const M: usize, const T: usize> WithSimd for Task<'_, '_, M, T>
where
    Minimal: Transforms<M, T>,
{
    type Output = PartialStats;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) -> PartialStats {
        let (tiles, places) = (self.tiles, self.product.places());
        let width = self.product.level.tile().columns;
        let columns = self.block.columns();
        // Taken out, because a closure would not be compiled for the level.
        let [mut transformed, mut products] = SCRATCH.take();
        let (input_stride, product_stride) = (stride(tiles * places), stride(tiles * width));
        let inputs_of_tiles = transformed.room(M * M * input_stride);
        self.transform_inputs(simd, inputs_of_tiles);
        let products_of_tiles = products.room(M * M * product_stride);
        let tables: Vec<RowTable<'_>> = inputs_of_tiles
            .chunks_exact(input_stride)
            .map(|rows| {
                let mut table = RowTable::new(self.product.level, self.product.operands, 1, places);
                table.extend_adjacent(&rows[..tiles * places]);
                table
            })
            .collect();
        let mut partial = PartialStats::new(
            self.first_column..self.first_column + columns,
            self.block.rows(),
        );
        for start in (0..columns).step_by(width) {
            let count = width.min(columns - start);
            let panel = (self.first_column + start) / width * M * M;
            for (position, table) in tables.iter().enumerate() {
                let weights =
                    &self.weights[(panel + position) * places * width..][..places * width];
                let target = &mut products_of_tiles[position * product_stride..][..tiles * width];
                multiply(
                    simd,
                    table,
                    weights,
                    &mut BlockMut::of(target, tiles, width),
                    &mut [()],
                );
            }
            let first_column = self.first_column + start;
            let channels = first_column..first_column + count;
            let mut epilogue = self.epilogue.panel(self.first_pixel, channels);
            self.transform_outputs(simd, products_of_tiles, width, start, &mut epilogue);
            epilogue.end(count, &mut partial);
        }
        drop(tables);
        SCRATCH.set([transformed, products]);
        partial
    }
}

impl<const M: usize, const T: usize> Task<'_, '_, M, T>
where
    Minimal: Transforms<M, T>,
{
    /// `[position, tile, place of an input]`.
    #[inline(always)]
    fn transform_inputs<S: Simd>(&self, simd: S, target: &mut [f32]) {
        let (tiles, inputs) = (self.tiles, self.product.inputs);
        let stride = stride(tiles * self.product.places());
        let partner = match self.product.operands {
            Operands::Single | Operands::SplitTiles(..) => Partner::Nobody,
            Operands::Pairs | Operands::Tiles(_) => Partner::Channels,
        };
        for tile in 0..tiles {
            let grid = &self.product.tiles;
            let pixels = grid.inputs(grid.place(self.first_tile + tile));
            let places = Places {
                first: tile * self.product.places(),
                stride,
            };
            let source = (self.product.source, inputs);
            transform::inputs_of_tile::<S, M, T>(
                simd,
                source,
                &pixels,
                partner,
                0..inputs,
                target,
                places,
            );
        }
    }

    #[inline(always)]
    fn transform_outputs<S: Simd>(
        &mut self,
        simd: S,
        products: &[f32],
        width: usize,
        start: usize,
        epilogue: &mut PanelEpilogue<'_>,
    ) {
        let count = width.min(self.block.columns() - start);
        let stride = stride(self.tiles * width);
        let grid = self.product.tiles;
        let mut next = grid.outputs(grid.place(self.first_tile));
        for tile in 0..self.tiles {
            let pixels = next;
            if tile + 1 < self.tiles {
                next = grid.outputs(grid.place(self.first_tile + tile + 1));
                self.prefetch(epilogue, &next);
            }
            for column in (0..count).step_by(S::F32_LANES) {
                let mut m = [[simd.splat_f32s(0.0); M]; M];
                for (row, line) in m.iter_mut().enumerate() {
                    let first = M * row * stride + tile * width + column;
                    *line = load_strided::<S, M>(products, first, stride);
                }
                let y = Minimal::output(simd, m);
                self.write_tile(simd, (start, column), epilogue, y, &pixels);
            }
        }
    }

    /// Prefetches what the epilogue will read for a tile that lies inside of the map.
    #[inline(always)]
    fn prefetch(&self, epilogue: &PanelEpilogue<'_>, pixels: &Window<T>) {
        for first in pixels.inside().into_iter().flatten() {
            let mut rows = [first - self.first_pixel; T];
            for (index, row) in rows.iter_mut().enumerate() {
                *row += index;
            }
            epilogue.prefetch(&rows);
        }
    }

    /// Writes vectors of those of a tile's pixels that lie inside of the map, in the panel that
    /// begins at `start` to the column `column`.
    #[inline(always)]
    fn write_tile<S: Simd>(
        &mut self,
        simd: S,
        (start, column): (usize, usize),
        epilogue: &mut PanelEpilogue<'_>,
        values: transform::Square<S, T>,
        pixels: &Window<T>,
    ) {
        let mut vectors = [[[simd.splat_f32s(0.0)]; T]; T];
        for (vectors, values) in vectors.iter_mut().zip(values) {
            for (vector, value) in vectors.iter_mut().zip(values) {
                *vector = [value];
            }
        }
        if let Some(first) = pixels.inside() {
            let mut rows = [[0; T]; T];
            for (rows, first) in rows.iter_mut().zip(first) {
                for (index, row) in rows.iter_mut().enumerate() {
                    *row = first - self.first_pixel + index;
                }
            }
            let all = vectors.as_flattened_mut();
            epilogue.tile(simd, column, all, rows.as_flattened());
            for (vectors, rows) in vectors.iter().zip(rows) {
                let vectors = vectors.as_flattened();
                self.block
                    .store_rows(simd, rows[0], start + column, vectors);
            }
            return;
        }
        for (row, vectors) in vectors.iter_mut().enumerate() {
            for (index, vector) in vectors.iter_mut().enumerate() {
                if let Some(pixel) = pixels.pixel(row, index) {
                    let row = pixel - self.first_pixel;
                    epilogue.tile(simd, column, std::slice::from_mut(vector), &[row]);
                    self.block.store_rows(simd, row, start + column, vector);
                }
            }
        }
    }
}
