//! The sizes of a convolution.

use crate::convolution_method::ConvolutionMethod;
use crate::geometry::{Span, Windows};
use crate::options::ResolvedOptions;
use crate::simd::{Format, Operands};

/// The sizes of a convolution, and the options that it runs with.
#[derive(Debug, Clone, Copy)]
pub(in crate::fused) struct Convolution {
    pub(in crate::fused) options: ResolvedOptions,
    pub(in crate::fused) batch: usize,
    pub(in crate::fused) windows: Windows,
    pub(in crate::fused) inputs: usize,
    pub(in crate::fused) outputs: usize,
}

impl Convolution {
    /// The operands of products.
    pub(super) fn operands(&self) -> Operands {
        let (precision, stride) = (self.options.precision, self.windows.columns.stride);
        let (inputs, outputs) = (self.inputs, self.outputs);
        if precision.has_bfloat16_factors(inputs, outputs, stride)
            || precision.has_split_factors(inputs, outputs)
        {
            self.options.operands
        } else {
            Operands::Single
        }
    }

    /// The format of the result.
    pub(super) fn output_format(&self) -> Format {
        if self.options.precision.has_bfloat16_results(self.outputs) {
            Format::Pairs
        } else {
            Format::Single
        }
    }

    pub(super) fn depth(&self) -> usize {
        self.windows.rows.window * self.windows.columns.window * self.inputs
    }

    pub(super) fn output_pixels(&self) -> usize {
        self.batch * self.windows.rows.output * self.windows.columns.output
    }

    /// Floating-point operations of the direct sum, or of either gradient.
    pub(super) fn operations(&self) -> u64 {
        2 * (self.output_pixels() * self.depth() * self.outputs) as u64
    }

    /// Whether each output pixel sees one input pixel, the same.
    pub(super) fn is_pointwise(&self) -> bool {
        let is_identity = |span: &Span| {
            span.window == 1 && span.stride == 1 && span.before == 0 && span.after == 0
        };
        is_identity(&self.windows.rows) && is_identity(&self.windows.columns)
    }

    /// Whether the options allow other algorithms than the direct sum.
    pub(super) fn may_be_transformed(&self) -> bool {
        self.options.method == ConvolutionMethod::Fastest
    }
}
