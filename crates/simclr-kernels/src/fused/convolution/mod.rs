//! Convolution as a matrix product that never builds its column matrix.
//!
//! The rows of the column matrix are runs of numbers that already lie in the feature
//! map: one run of `inputs` numbers per tap of the window. The inner loops take them from
//! there ([`RowTable`](crate::simd::RowTable)), so that nothing is gathered or copied.
//! Only the weights are rearranged, once for all pixels.

mod bfloat16;
mod epilogue;
mod implicit_gemm;
mod kernel_gradient;
mod small_input;
mod weights;
mod winograd;

use std::ops::Deref;

use super::channels::Affine;
use crate::geometry::{Span, Windows};
use crate::memory::Buffer;
use crate::simd::SimdLevel;
use crate::{Activation, ConvolutionMethod, Precision};
use epilogue::Epilogue;
use implicit_gemm::{Product, StridedGrid};
use weights::Weights;

pub(super) use epilogue::PartialStats;

/// What a convolution is applied to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a> {
    values: &'a [f32],
    /// Scale and shift per channel of what is `max(values scale + shift, 0)`.
    affine: Option<(&'a [f32], &'a [f32])>,
}

impl<'a> Input<'a> {
    pub(super) fn plain(values: &'a [f32]) -> Self {
        Self {
            values,
            affine: None,
        }
    }

    /// `max(values scale + shift, 0)`, computed where it is needed.
    pub(super) fn scale_shift_relu(values: &'a [f32], scale: &'a [f32], shift: &'a [f32]) -> Self {
        Self {
            values,
            affine: Some((scale, shift)),
        }
    }

    /// The numbers as a product takes them.
    fn prepared(&self, level: SimdLevel, precision: Precision, channels: usize) -> Computed<'a> {
        match precision {
            Precision::Single => self.computed(level),
            Precision::BFloat16 => Computed::Made(bfloat16::round_map(level, *self, channels)),
        }
    }

    fn computed(&self, level: SimdLevel) -> Computed<'a> {
        let Some((scale, shift)) = self.affine else {
            return Computed::Given(self.values);
        };
        let affine = Affine {
            scale,
            shift,
            residual: None,
            activation: Activation::Relu,
        };
        Computed::Made(affine.apply(level, self.values))
    }
}

/// Numbers that were there, or had to be computed. As pairs, two numbers take one place.
enum Computed<'a> {
    Given(&'a [f32]),
    Made(Buffer),
}

impl Deref for Computed<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match self {
            Self::Given(values) => values,
            Self::Made(values) => values,
        }
    }
}

/// `max(x scale + shift, 0)`; what is not a number stays so.
#[inline(always)]
fn scale_shift_relu(x: f32, scale: f32, shift: f32) -> f32 {
    let y = x * scale + shift;
    if y < 0.0 { 0.0 } else { y }
}

/// The sizes of a convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Convolution {
    /// That of its factors, if they come in pairs: see `Convolution::precision`.
    pub(super) precision: Precision,
    pub(super) batch: usize,
    pub(super) windows: Windows,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
}

impl Convolution {
    /// Images have too few channels to be multiplied in pairs, and no channel may be left
    /// alone in the forward pass or the backward one.
    fn product_precision(&self) -> Precision {
        const FEWEST: usize = 16;
        let paired = self.inputs.is_multiple_of(2) && self.outputs.is_multiple_of(2);
        match paired && self.inputs >= FEWEST {
            true => self.precision,
            false => Precision::Single,
        }
    }

    fn depth(&self) -> usize {
        self.windows.rows.window * self.windows.columns.window * self.inputs
    }

    pub(super) fn output_pixels(&self) -> usize {
        self.batch * self.windows.rows.output * self.windows.columns.output
    }

    /// `y[p, o] = sum over k of columns[p, k] kernel[k, o]`.
    pub(super) fn forward(&self, level: SimdLevel, x: Input<'_>, kernel: &[f32]) -> Buffer {
        self.forward_with(level, x, kernel, Epilogue::Nothing).0
    }

    /// As `forward`, with the partial statistics of each channel, taken while the output is
    /// in cache.
    pub(super) fn forward_with_stats(
        &self,
        level: SimdLevel,
        x: Input<'_>,
        kernel: &[f32],
    ) -> (Buffer, Vec<PartialStats>) {
        self.forward_with(level, x, kernel, Epilogue::Stats)
    }

    /// As `forward`, followed by an affine map while the output is in cache.
    pub(super) fn forward_affine(
        &self,
        level: SimdLevel,
        x: Input<'_>,
        kernel: &[f32],
        affine: &Affine<'_>,
    ) -> Buffer {
        self.forward_with(level, x, kernel, Epilogue::Affine(affine))
            .0
    }

    fn forward_with(
        &self,
        level: SimdLevel,
        x: Input<'_>,
        kernel: &[f32],
        epilogue: Epilogue<'_>,
    ) -> (Buffer, Vec<PartialStats>) {
        if self.is_winograd() {
            return winograd::Product::forward(level, self, x, kernel).run(epilogue);
        }
        if small_input::is_small(self) {
            let x = x.computed(level);
            let (padded, convolution) = small_input::padded(self, &x);
            let grid = convolution.merged_grid();
            return convolution
                .product(level, Input::plain(&padded), kernel, grid)
                .run(epilogue);
        }
        self.product(level, x, kernel, StridedGrid::forward(&self.windows))
            .run(epilogue)
    }

    /// Whether each output pixel sees one input pixel, the same.
    fn is_pointwise(&self) -> bool {
        is_identity(&self.windows.rows) && is_identity(&self.windows.columns)
    }

    fn product<'a>(
        &self,
        level: SimdLevel,
        x: Input<'a>,
        kernel: &'a [f32],
        grid: StridedGrid,
    ) -> Product<'a> {
        let Windows { rows, columns } = &self.windows;
        Product {
            level,
            precision: self.product_precision(),
            batch: self.batch,
            source: x,
            source_size: (rows.input, columns.input),
            source_channels: self.inputs,
            run: grid.merged_columns() * self.inputs,
            target_size: (rows.output, columns.output),
            weights: Weights::forward(kernel, self.inputs, self.outputs),
            grids: vec![grid],
        }
    }

    /// `dx = sum over windows of dy kernel^T`.
    ///
    /// Each residue of a position modulo the stride sees taps of its own; for one residue
    /// the gradient is a convolution of `dy` with stride 1, so nothing is scattered.
    /// With `sum`, what is there of the gradient already, the result is the new sum.
    pub(super) fn backward_input(
        &self,
        level: SimdLevel,
        kernel: &[f32],
        dy: &[f32],
        sum: Option<&[f32]>,
    ) -> Buffer {
        let epilogue = match sum {
            Some(sum) => Epilogue::Add(sum, self.inputs),
            None => Epilogue::Nothing,
        };
        if self.is_winograd() {
            let product = winograd::Product::backward(level, self, kernel, dy);
            return product.run(epilogue).0;
        }
        let Windows { rows, columns } = &self.windows;
        Product {
            level,
            precision: self.product_precision(),
            batch: self.batch,
            source: Input::plain(dy),
            source_size: (rows.output, columns.output),
            source_channels: self.outputs,
            run: self.outputs,
            target_size: (rows.input, columns.input),
            weights: Weights::backward(kernel, self.inputs, self.outputs),
            grids: StridedGrid::backward(&self.windows),
        }
        .run(epilogue)
        .0
    }

    /// `dkernel[k, o] = sum over p of columns[p, k] dy[p, o]`, in single precision.
    pub(super) fn backward_kernel(&self, level: SimdLevel, x: Input<'_>, dy: &[f32]) -> Vec<f32> {
        if small_input::is_small(self) {
            let x = x.computed(level);
            let (padded, convolution) = small_input::padded(self, &x);
            let grid = convolution.merged_grid();
            return kernel_gradient::gradient(
                level,
                &convolution,
                &grid,
                Input::plain(&padded),
                dy,
            );
        }
        if self.suits_winograd() {
            return winograd::gradient(level, self, x, dy);
        }
        kernel_gradient::gradient(level, self, &StridedGrid::forward(&self.windows), x, dy)
    }

    /// Whether Winograd's form computes maps.
    fn is_winograd(&self) -> bool {
        self.product_precision() == Precision::Single && self.suits_winograd()
    }

    fn suits_winograd(&self) -> bool {
        ConvolutionMethod::current() == ConvolutionMethod::Fastest && winograd::suits(self)
    }

    /// A grid whose taps are whole rows of a window; only for maps without padding.
    fn merged_grid(&self) -> StridedGrid {
        StridedGrid::merged(&self.windows)
    }
}

/// A window of one pixel that skips nothing.
fn is_identity(span: &Span) -> bool {
    span.window == 1 && span.stride == 1 && span.before == 0 && span.after == 0
}
