//! Convolution, alone and with the batch norm before or the affine map after it.

use std::sync::{Arc, OnceLock};

use candle_core::{
    CpuStorage, CustomOp2, CustomOp3, Layout, Result as CandleResult, Shape, Tensor,
};

use super::batch_norm::{Factors, Wanted};
use super::{affine_channels, lend, output, slice, tensor, wanted};
use crate::fused::channels::{Affine, Gate, Moments};
use crate::fused::convolution::{Convolution, Input};
use crate::geometry::{Span, Windows};
use crate::simd::SimdLevel;
use crate::{Activation, Result};

/// Where an op leaves the moments of its output.
type MomentsCell = Arc<OnceLock<Arc<Moments>>>;

/// Convolution of a map.
struct Conv2d {
    sizes: Convolution,
    level: SimdLevel,
    moments: Option<MomentsCell>,
}

impl Conv2d {
    fn forward(&self, x: Input<'_>, kernel: &[f32]) -> CandleResult<(CpuStorage, Shape)> {
        let y = match &self.moments {
            None => self.sizes.forward(self.level, x, kernel),
            Some(cell) => {
                let (y, partials) = self.sizes.forward_with_moments(self.level, x, kernel);
                let moments = Moments::combine(&partials, self.sizes.outputs);
                cell.get_or_init(|| Arc::new(moments));
                y
            }
        };
        output(y, self.shape())
    }

    fn shape(&self) -> Shape {
        let Convolution {
            batch,
            windows,
            outputs,
            ..
        } = self.sizes;
        (batch, windows.rows.output, windows.columns.output, outputs).into()
    }
}

impl CustomOp2 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        kernel: &CpuStorage,
        kernel_layout: &Layout,
    ) -> CandleResult<(CpuStorage, Shape)> {
        let x = Input::plain(slice(x, x_layout)?);
        self.forward(x, slice(kernel, kernel_layout)?)
    }

    fn bwd(
        &self,
        x: &Tensor,
        kernel: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> CandleResult<(Option<Tensor>, Option<Tensor>)> {
        let (sizes, level) = (&self.sizes, self.level);
        let dx = wanted(x, || {
            lend([kernel, dy], |[kernel, dy]| {
                sizes.backward_input(level, kernel, dy)
            })
        })?;
        let dkernel = wanted(kernel, || {
            lend([x, dy], |[x, dy]| {
                sizes.backward_kernel(level, Input::plain(x), dy)
            })
        })?;
        Ok((dx, dkernel))
    }
}

/// Convolution of `relu(bn(x))`, which is not kept: the backward pass computes it again,
/// a few numbers at a time.
struct NormalizedConv2d {
    convolution: Conv2d,
    moments: Arc<Moments>,
    epsilon: f64,
}

impl NormalizedConv2d {
    fn factors(&self, packed: &[f32]) -> Factors {
        Factors::of_moments(packed, &self.moments, self.epsilon)
    }
}

impl CustomOp3 for NormalizedConv2d {
    fn name(&self) -> &'static str {
        "batch-norm-relu-conv2d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        packed: &CpuStorage,
        packed_layout: &Layout,
        kernel: &CpuStorage,
        kernel_layout: &Layout,
    ) -> CandleResult<(CpuStorage, Shape)> {
        let factors = self.factors(slice(packed, packed_layout)?);
        let x = Input::rectified(slice(x, x_layout)?, &factors.scale, &factors.shift);
        self.convolution.forward(x, slice(kernel, kernel_layout)?)
    }

    fn bwd(
        &self,
        x: &Tensor,
        packed: &Tensor,
        kernel: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> CandleResult<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Conv2d { sizes, level, .. } = &self.convolution;
        let dkernel = wanted(kernel, || {
            lend([x, packed, dy], |[x, packed, dy]| {
                let factors = self.factors(packed);
                let input = Input::rectified(x, &factors.scale, &factors.shift);
                sizes.backward_kernel(*level, input, dy)
            })
        })?;
        if !x.track_op() && !packed.track_op() {
            return Ok((None, None, dkernel));
        }
        let which = if x.track_op() {
            Wanted::Input
        } else {
            Wanted::Parameters
        };
        let found = lend([x, packed, kernel, dy], |[x, packed, kernel, dy]| {
            let dnormalized = sizes.backward_input(*level, kernel, dy);
            self.factors(packed)
                .backward(*level, [x, &dnormalized], Gate::Input, which)
        })?;
        let dpacked = wanted(packed, || Ok(found.packed))?;
        Ok((wanted(x, || Ok(found.dx))?, dpacked, dkernel))
    }
}

fn sizes(x: &Tensor, kernel: &Tensor, windows: &Windows) -> Result<Convolution> {
    let (_, _, inputs, outputs) = kernel.dims4()?;
    Ok(Convolution {
        batch: x.dim(0)?,
        windows: *windows,
        inputs,
        outputs,
    })
}

pub(crate) fn conv2d(x: &Tensor, kernel: &Tensor, windows: &Windows) -> Result<Tensor> {
    let op = Conv2d {
        sizes: sizes(x, kernel, windows)?,
        level: SimdLevel::current()?,
        moments: None,
    };
    Ok(x.contiguous()?.apply_op2(&kernel.contiguous()?, op)?)
}

/// The convolution, and the moments of its channels.
pub(crate) fn conv2d_with_moments(
    x: &Tensor,
    kernel: &Tensor,
    windows: &Windows,
) -> Result<(Tensor, Option<Arc<Moments>>)> {
    let cell = MomentsCell::default();
    let op = Conv2d {
        sizes: sizes(x, kernel, windows)?,
        level: SimdLevel::current()?,
        moments: Some(Arc::clone(&cell)),
    };
    let y = x.contiguous()?.apply_op2(&kernel.contiguous()?, op)?;
    Ok((y, cell.get().cloned()))
}

/// The convolution of `relu(bn(x))`, where `moments` are those of `x`; and the moments of
/// its channels.
pub(crate) fn batch_norm_relu_conv2d(
    (x, moments): (&Tensor, &Arc<Moments>),
    (gamma, beta): (&Tensor, &Tensor),
    epsilon: f64,
    kernel: &Tensor,
    windows: &Windows,
) -> Result<(Tensor, Option<Arc<Moments>>)> {
    let cell = MomentsCell::default();
    let op = NormalizedConv2d {
        convolution: Conv2d {
            sizes: sizes(x, kernel, windows)?,
            level: SimdLevel::current()?,
            moments: Some(Arc::clone(&cell)),
        },
        moments: Arc::clone(moments),
        epsilon,
    };
    let packed = Tensor::stack(&[gamma, beta], 0)?;
    let y = x
        .contiguous()?
        .apply_op3(&packed, &kernel.contiguous()?, op)?;
    Ok((y, cell.get().cloned()))
}

/// `act(conv(x) scale + shift + residual)` in one pass, for tensors that no gradient flows
/// through.
pub(crate) fn conv2d_affine(
    x: &Tensor,
    kernel: &Tensor,
    windows: &Windows,
    (scale, shift): (&Tensor, &Tensor),
    activation: Activation,
    residual: Option<&Tensor>,
) -> Result<Tensor> {
    let sizes = sizes(x, kernel, windows)?;
    let level = SimdLevel::current()?;
    let compute = |[x, kernel, scale, shift]: [&[f32]; 4], residual: Option<&[f32]>| {
        let affine = Affine {
            scale,
            shift,
            residual,
            activation,
        };
        sizes.forward_affine(level, Input::plain(x), kernel, &affine)
    };
    let operands = [x, kernel, scale, shift];
    let y = match residual {
        None => lend(operands, |operands| compute(operands, None))?,
        Some(residual) => lend(operands, |operands| {
            lend([residual], |[residual]| compute(operands, Some(residual)))
        })??,
    };
    let Windows { rows, columns } = windows;
    Ok(tensor(
        y,
        (sizes.batch, rows.output, columns.output, sizes.outputs),
    )?)
}

/// A dense layer is a 1x1 convolution of maps with one pixel.
pub(crate) fn dense(x: &Tensor, kernel: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (rows, inputs) = x.dims2()?;
    let outputs = kernel.dim(1)?;
    let one = Span {
        input: 1,
        window: 1,
        stride: 1,
        before: 0,
        after: 0,
        output: 1,
    };
    let op = Conv2d {
        sizes: Convolution {
            batch: rows,
            windows: Windows {
                rows: one,
                columns: one,
            },
            inputs,
            outputs,
        },
        level: SimdLevel::current()?,
        moments: None,
    };
    let y = x
        .contiguous()?
        .apply_op2(&kernel.contiguous()?, op)?
        .reshape((rows, outputs))?;
    match bias {
        None => Ok(y),
        Some(bias) => affine_channels(&y, &bias.ones_like()?, bias, Activation::Identity, None),
    }
}
