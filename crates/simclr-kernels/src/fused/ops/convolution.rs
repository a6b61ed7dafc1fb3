//! Convolution, alone and with the batch norm before or the affine map after it.

use std::sync::Arc;

use candle_core::{Result as CandleResult, Tensor};

use super::batch_norm::{Factors, NormStats, Required};
use crate::activation::Activation;
use crate::batch_norm::BatchNormParameters;
use crate::fused::affine::Affine;
use crate::fused::affine_gradient::Gate;
use crate::fused::convolution::{Convolution, Input};
use crate::fused::map::{Gradient, Map, MapOp, TensorGradients};
use crate::fused::map_buffer::MapBuffer;
use crate::fused::saved::SavedForBackward;
use crate::fused::stats::ChannelStats;
use crate::fused::values::lend;
use crate::geometry::Windows;
use crate::precision::Precision;
use crate::simd::Numbers;
use crate::{Error, Result};

/// Convolution of a map.
struct Conv2d {
    sizes: Convolution,
    x: SavedForBackward,
    dx: Gradient,
    /// Contiguous and detached.
    kernel: Tensor,
}

impl MapOp for Conv2d {
    const NAME: &'static str = "conv2d";

    fn backward(&self, dy: MapBuffer, requires_grad: [bool; 3]) -> CandleResult<TensorGradients> {
        let sizes = &self.sizes;
        // First, because afterwards the input's memory may serve its gradient.
        let dkernel = if requires_grad[1] {
            let x = self.x.get()?;
            Some(x.lend(|x| sizes.backward_kernel(Input::plain(x), dy.numbers()))?)
        } else {
            None
        };
        if requires_grad[0] {
            let sum = self.dx.take_sum();
            let dx = lend(&self.kernel, |kernel| {
                let sum = sum.as_ref().map(MapBuffer::numbers);
                sizes.backward_input(kernel, dy.numbers(), sum, self.dx.format)
            })?;
            self.dx.add(dx);
        }
        Ok([None, dkernel, None])
    }
}

/// Convolution of `relu(bn(x))`, which is not kept: the backward pass computes it again,
/// a few numbers at a time.
struct NormalizedConv2d {
    convolution: Conv2d,
    factors: Factors,
}

impl MapOp for NormalizedConv2d {
    const NAME: &'static str = "batch-norm-relu-conv2d";

    fn backward(&self, dy: MapBuffer, requires_grad: [bool; 3]) -> CandleResult<TensorGradients> {
        let Conv2d {
            sizes,
            x,
            dx,
            kernel,
        } = &self.convolution;
        let factors = &self.factors;
        let x = x.get()?;
        let dkernel = if requires_grad[2] {
            Some(x.lend(|x| {
                let input = Input::scale_shift_relu(x, &factors.scale, &factors.shift);
                sizes.backward_kernel(input, dy.numbers())
            })?)
        } else {
            None
        };
        if !requires_grad[0] && !requires_grad[1] {
            return Ok([None, None, dkernel]);
        }
        let required = if requires_grad[0] {
            Required::Input
        } else {
            Required::Parameters
        };
        let dnormalized = lend(kernel, |kernel| {
            sizes.backward_input(kernel, dy.numbers(), None, dx.format)
        })?;
        drop(dy);
        let gradients =
            x.lend(|x| factors.backward(dx.level, x, dnormalized, Gate::Input, required))??;
        if let Some(gradient) = gradients.dx {
            dx.add(gradient);
        }
        Ok([None, requires_grad[1].then_some(gradients.packed), dkernel])
    }
}

/// A kernel of one tap may also be a matrix.
fn prepare(x: &Map, kernel: &Tensor, windows: &Windows) -> Result<Conv2d> {
    let &[.., inputs, outputs] = kernel.dims() else {
        let expected = "a kernel [.., in, out]";
        return Err(Error::shape("conv2d", expected, kernel.dims()));
    };
    let mut options = x.options;
    if kernel.rank() == 2 {
        // A dense layer.
        options.precision = Precision::Single;
    }
    Ok(Conv2d {
        sizes: Convolution {
            options,
            batch: x.dims[0],
            windows: *windows,
            inputs,
            outputs,
        },
        x: x.saved().into(),
        dx: x.gradient(),
        kernel: kernel.contiguous()?.detach(),
    })
}

impl Conv2d {
    fn output_dims(&self) -> [usize; 4] {
        let Convolution {
            batch,
            windows,
            outputs,
            ..
        } = self.sizes;
        [batch, windows.rows.output, windows.columns.output, outputs]
    }

    /// The output, and its channels' statistics if asked for.
    fn forward(
        &self,
        x: Input<'_>,
        with_stats: bool,
    ) -> CandleResult<(MapBuffer, Option<Arc<ChannelStats>>)> {
        lend(&self.kernel, |kernel| {
            if !with_stats {
                return (self.sizes.forward(x, kernel), None);
            }
            let (y, partials) = self.sizes.forward_with_stats(x, kernel);
            let stats = ChannelStats::combine(&partials, self.sizes.outputs);
            (y, Some(Arc::new(stats)))
        })
    }
}

/// The convolution, with the statistics of its channels if asked for.
pub(crate) fn conv2d(x: &Map, kernel: &Tensor, windows: &Windows, with_stats: bool) -> Result<Map> {
    let op = prepare(x, kernel, windows)?;
    let (y, stats) = x
        .values
        .lend(|x| op.forward(Input::plain(x), with_stats))??;
    let dims = op.output_dims();
    Ok(x.result_of(op, &[kernel], dims, y)?.with_stats(stats))
}

/// The convolution of `relu(bn(x))`, with the statistics of its channels; also those of `x`.
pub(crate) fn batch_norm_relu_conv2d(
    x: &Map,
    norm: BatchNormParameters<'_>,
    kernel: &Tensor,
    windows: &Windows,
) -> Result<(Map, Arc<ChannelStats>)> {
    let stats = NormStats::of(x)?;
    let op = NormalizedConv2d {
        convolution: prepare(x, kernel, windows)?,
        factors: Factors::of_stats(norm, &stats)?,
    };
    let Factors { scale, shift, .. } = &op.factors;
    let (y, output_stats) = x.values.lend(|x| {
        let input = Input::scale_shift_relu(x, scale, shift);
        op.convolution.forward(input, true)
    })??;
    let packed = Tensor::stack(&[norm.gamma, norm.beta], 0)?;
    let dims = op.convolution.output_dims();
    let map = x.result_of(op, &[&packed, kernel], dims, y)?;
    Ok((map.with_stats(output_stats), stats.channels))
}

/// `act(conv(x) scale + shift + residual)` in one pass, for maps and tensors that no
/// gradient flows through.
pub(crate) fn conv2d_affine(
    x: &Map,
    kernel: &Tensor,
    windows: &Windows,
    (scale, shift): (&Tensor, &Tensor),
    activation: Activation,
    residual: Option<&Map>,
) -> Result<Map> {
    let op = prepare(x, kernel, windows)?;
    let (scale, shift): (Vec<f32>, Vec<f32>) = (scale.to_vec1()?, shift.to_vec1()?);
    let compute = |residual: Option<Numbers<'_>>| {
        let affine = Affine {
            scale: &scale,
            shift: &shift,
            residual,
            activation,
        };
        x.values.lend(|x| {
            lend(&op.kernel, |kernel| {
                op.sizes.forward_affine(Input::plain(x), kernel, &affine)
            })
        })?
    };
    let y = match residual {
        None => compute(None)?,
        Some(residual) => residual.values.lend(|residual| compute(Some(residual)))??,
    };
    Ok(Map::leaf(x.options, op.output_dims(), y, false)?)
}
