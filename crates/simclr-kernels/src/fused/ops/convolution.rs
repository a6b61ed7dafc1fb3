//! Convolution, alone and with the batch norm before or the affine map after it.

use std::sync::Arc;

use candle_core::{Result as CandleResult, Tensor};

use super::batch_norm::{Factors, Required, lend_both, stats_of};
use crate::fused::channels::{Affine, ChannelStats, Gate};
use crate::fused::convolution::{Convolution, Input};
use crate::fused::map::{Gradient, Inputs, Map, MapOp, SavedForBackward, lend};
use crate::geometry::Windows;
use crate::memory::Buffer;
use crate::simd::SimdLevel;
use crate::{Activation, Error, Precision, Result};

/// Convolution of a map.
struct Conv2d {
    level: SimdLevel,
    sizes: Convolution,
    x: SavedForBackward,
    dx: Gradient,
    /// Contiguous and detached.
    kernel: Tensor,
}

impl MapOp for Conv2d {
    const NAME: &'static str = "conv2d";

    fn backward(
        &self,
        dy: Buffer,
        requires_grad: [bool; 3],
    ) -> CandleResult<[Option<Vec<f32>>; 3]> {
        let Self { level, sizes, .. } = self;
        // First, because afterwards the input's memory may serve its gradient.
        let dkernel = match requires_grad[1] {
            true => Some(
                self.x
                    .get()?
                    .lend(|x| sizes.backward_kernel(*level, Input::plain(x), &dy))?,
            ),
            false => None,
        };
        if requires_grad[0] {
            let sum = self.dx.take_sum();
            let dx = lend(&self.kernel, |kernel| {
                sizes.backward_input(*level, kernel, &dy, sum.as_deref())
            })?;
            self.dx.add(*level, dx);
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

    fn backward(
        &self,
        dy: Buffer,
        requires_grad: [bool; 3],
    ) -> CandleResult<[Option<Vec<f32>>; 3]> {
        let Conv2d {
            level,
            sizes,
            x,
            dx,
            kernel,
        } = &self.convolution;
        let factors = &self.factors;
        let x = x.get()?;
        let dkernel = match requires_grad[2] {
            true => Some(x.lend(|x| {
                let input = Input::scale_shift_relu(x, &factors.scale, &factors.shift);
                sizes.backward_kernel(*level, input, &dy)
            })?),
            false => None,
        };
        if !requires_grad[0] && !requires_grad[1] {
            return Ok([None, None, dkernel]);
        }
        let which = if requires_grad[0] {
            Required::Input
        } else {
            Required::Parameters
        };
        let dnormalized = lend(kernel, |kernel| {
            sizes.backward_input(*level, kernel, &dy, None)
        })?;
        drop(dy);
        let found = x.lend(|x| factors.backward(*level, x, dnormalized, Gate::Input, which))?;
        if let Some(found) = found.dx {
            dx.add(*level, found);
        }
        Ok([None, requires_grad[1].then_some(found.packed), dkernel])
    }
}

/// A kernel of one tap may also be a matrix.
fn prepare(x: &Map, kernel: &Tensor, windows: &Windows) -> Result<Conv2d> {
    let &[.., inputs, outputs] = kernel.dims() else {
        return Err(Error::shape(
            "conv2d",
            "a kernel [.., in, out]",
            kernel.dims(),
        ));
    };
    // A dense layer.
    let is_matrix = kernel.rank() == 2;
    Ok(Conv2d {
        level: x.level,
        sizes: Convolution {
            precision: match is_matrix {
                true => Precision::Single,
                false => Precision::at(x.level)?,
            },
            batch: x.dims[0],
            windows: *windows,
            inputs,
            outputs,
        },
        x: x.values.clone().into(),
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

    /// The output, and its channels' statistics if a batch norm will want them.
    fn forward(
        &self,
        x: Input<'_>,
        with_stats: bool,
    ) -> CandleResult<(Buffer, Option<Arc<ChannelStats>>)> {
        lend(&self.kernel, |kernel| {
            if !with_stats {
                return (self.sizes.forward(self.level, x, kernel), None);
            }
            let (y, partials) = self.sizes.forward_with_stats(self.level, x, kernel);
            let stats = ChannelStats::combine(&partials, self.sizes.outputs);
            (y, Some(Arc::new(stats)))
        })
    }
}

/// The convolution, with the statistics of its channels if `with_stats`.
pub(crate) fn conv2d(x: &Map, kernel: &Tensor, windows: &Windows, with_stats: bool) -> Result<Map> {
    let op = prepare(x, kernel, windows)?;
    let (y, stats) = x
        .values
        .lend(|x| op.forward(Input::plain(x), with_stats))??;
    let (level, result) = (x.level, (op.output_dims(), y));
    let map = Map::result_of(op, Inputs::Two(x.graph_node(), kernel), level, result)?;
    Ok(map.with_stats(stats))
}

/// The convolution of `relu(bn(x))`, with the statistics of its channels; also those of `x`.
pub(crate) fn batch_norm_relu_conv2d(
    x: &Map,
    (gamma, beta): (&Tensor, &Tensor),
    epsilon: f64,
    kernel: &Tensor,
    windows: &Windows,
) -> Result<(Map, Arc<ChannelStats>)> {
    let stats = stats_of(x)?;
    let op = NormalizedConv2d {
        convolution: prepare(x, kernel, windows)?,
        factors: Factors::of_stats(gamma, beta, &stats, epsilon)?,
    };
    let Factors { scale, shift, .. } = &op.factors;
    let convolution = &op.convolution;
    let (y, output_stats) = x
        .values
        .lend(|x| convolution.forward(Input::scale_shift_relu(x, scale, shift), true))??;
    let packed = Tensor::stack(&[gamma, beta], 0)?;
    let (level, result) = (x.level, (convolution.output_dims(), y));
    let map = Map::result_of(
        op,
        Inputs::Three(x.graph_node(), &packed, kernel),
        level,
        result,
    )?;
    Ok((map.with_stats(output_stats), stats))
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
    let compute = |x: &[f32], residual: Option<&[f32]>| {
        lend(&op.kernel, |kernel| {
            lend_both(scale, shift, |scale, shift| {
                let affine = Affine {
                    scale,
                    shift,
                    residual,
                    activation,
                };
                op.sizes
                    .forward_affine(op.level, Input::plain(x), kernel, &affine)
            })
        })?
    };
    let y = match residual {
        None => x.values.lend(|x| compute(x, None))??,
        Some(residual) => {
            let residual = |x: &[f32]| residual.values.lend(|residual| compute(x, Some(residual)));
            x.values.lend(residual)???
        }
    };
    Map::constant(x.level, op.output_dims(), y)
}
