//! Convolution as a matrix product that never builds its column matrix (implicit GEMM), or
//! by Winograd's minimal filtering.
//!
//! The rows of the column matrix are runs of numbers that already lie in the feature map:
//! one run of `inputs` numbers per tap of the window. The inner loops take them from there
//! ([`RowTable`](crate::simd::RowTable)), so that nothing is gathered or copied. Only the
//! weights are rearranged, once for all pixels.

mod bfloat16;
mod epilogue;
mod implicit_gemm;
mod input;
mod kernel_gradient;
mod sizes;
mod small_input;
mod strided_grid;
mod tile_kernel_gradient;
mod weights;
mod winograd;

use super::affine::Affine;
use super::stats::PartialStats;
use crate::fused::map_buffer::MapBuffer;
use crate::geometry::Windows;
use crate::operations::count_operations;
use crate::simd::{Format, Numbers, Operands};
use epilogue::Epilogue;
use implicit_gemm::Product;
use small_input::Padded;
use strided_grid::StridedGrid;
use weights::Weights;

pub(super) use input::Input;
pub(super) use sizes::Convolution;

impl Convolution {
    /// `y[p, o] = Σ over k of columns[p, k] kernel[k, o]`.
    pub(super) fn forward(&self, x: Input<'_>, kernel: &[f32]) -> MapBuffer {
        self.forward_with(x, kernel, Epilogue::Nothing).0
    }

    /// As `forward`, with the partial statistics of each channel, taken while the output is
    /// in cache.
    pub(super) fn forward_with_stats(
        &self,
        x: Input<'_>,
        kernel: &[f32],
    ) -> (MapBuffer, Vec<PartialStats>) {
        self.forward_with(x, kernel, Epilogue::Stats)
    }

    /// As `forward`, followed by an affine map while the output is in cache.
    pub(super) fn forward_affine(
        &self,
        x: Input<'_>,
        kernel: &[f32],
        affine: &Affine<'_>,
    ) -> MapBuffer {
        self.forward_with(x, kernel, Epilogue::Affine(affine)).0
    }

    fn forward_with(
        &self,
        x: Input<'_>,
        kernel: &[f32],
        epilogue: Epilogue<'_>,
    ) -> (MapBuffer, Vec<PartialStats>) {
        count_operations(self.operations());
        if let Some(convolution) = self.by_winograd() {
            return winograd::Product::forward(&convolution, x, kernel).run(epilogue);
        }
        if small_input::is_small(self) {
            let x = x.computed(self.options.level);
            let padded = Padded::new(self, &x);
            let kernel = padded.kernel(self, kernel);
            let grid = StridedGrid::merged(&padded.convolution.windows);
            let x = Input::plain(padded.numbers());
            let product = padded
                .convolution
                .product(x, &kernel, grid, self.operands());
            return product.run(epilogue);
        }
        let grid = StridedGrid::forward(&self.windows);
        self.product(x, kernel, grid, self.operands()).run(epilogue)
    }

    fn product<'a>(
        &self,
        x: Input<'a>,
        kernel: &'a [f32],
        grid: StridedGrid,
        operands: Operands,
    ) -> Product<'a> {
        let Windows { rows, columns } = &self.windows;
        Product {
            level: self.options.level,
            operands,
            batch: self.batch,
            source: x,
            source_size: (rows.input, columns.input),
            source_channels: self.inputs,
            run: grid.merged_columns * self.inputs,
            target_size: (rows.output, columns.output),
            target_format: self.output_format(),
            weights: Weights::forward(kernel, self.inputs, self.outputs),
            grids: vec![grid],
        }
    }

    /// `dx = Σ over windows of dy kernelᵀ`.
    ///
    /// Each residue of a position modulo the stride sees taps of its own; for one residue
    /// the gradient is a convolution of `dy` with stride 1, so nothing is scattered.
    /// With `sum`, what is there of the gradient already, the result is the new sum.
    pub(super) fn backward_input(
        &self,
        kernel: &[f32],
        dy: Numbers<'_>,
        sum: Option<Numbers<'_>>,
        format: Format,
    ) -> MapBuffer {
        count_operations(self.operations());
        let epilogue = match sum {
            Some(sum) => Epilogue::Add(sum, self.inputs),
            None => Epilogue::Nothing,
        };
        if let Some(convolution) = self.by_winograd() {
            let product = winograd::Product::backward(&convolution, kernel, dy, format);
            return product.run(epilogue).0;
        }
        let Windows { rows, columns } = &self.windows;
        Product {
            level: self.options.level,
            // Few channels are no whole pairs.
            operands: if small_input::is_small(self) {
                Operands::Single
            } else {
                self.operands()
            },
            batch: self.batch,
            source: Input::plain(dy),
            source_size: (rows.output, columns.output),
            source_channels: self.outputs,
            run: self.outputs,
            target_size: (rows.input, columns.input),
            target_format: format,
            weights: Weights::backward(kernel, self.inputs, self.outputs),
            grids: StridedGrid::backward(&self.windows),
        }
        .run(epilogue)
        .0
    }

    /// `dkernel[k, o] = Σ over p of columns[p, k] dy[p, o]`.
    pub(super) fn backward_kernel(&self, x: Input<'_>, dy: Numbers<'_>) -> Vec<f32> {
        count_operations(self.operations());
        if small_input::is_small(self) {
            let x = x.computed(self.options.level);
            let padded = Padded::new(self, &x);
            let grid = StridedGrid::merged(&padded.convolution.windows);
            let (operands, x) = (padded.gradient_operands(), Input::plain(padded.numbers()));
            let gradient = kernel_gradient::gradient(&padded.convolution, operands, &grid, x, dy);
            return padded.kernel_gradient(self, gradient);
        }
        if let Some(convolution) = self.by_winograd() {
            return winograd::kernel_gradient(&convolution, x, dy);
        }
        let grid = StridedGrid::forward(&self.windows);
        match self.operands() {
            operands @ (Operands::Tiles(unit) | Operands::SplitTiles(unit, _)) => {
                tile_kernel_gradient::gradient(self, operands, unit, &grid, x, dy)
            }
            operands => kernel_gradient::gradient(self, operands, &grid, x, dy),
        }
    }

    /// The convolution that Winograd's form computes, if that is the way: in registers, since it
    /// saves more multiplications than tiles are faster with numbers in parts.
    fn by_winograd(&self) -> Option<Self> {
        let mut convolution = *self;
        match self.operands() {
            Operands::Tiles(_) => return None,
            Operands::SplitTiles(..) => convolution.options.operands = Operands::Single,
            Operands::Single | Operands::Pairs => {}
        }
        let suits = self.may_be_transformed() && winograd::suits(&convolution);
        suits.then_some(convolution)
    }
}
