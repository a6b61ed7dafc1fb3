//! Pooling over windows and over whole maps.

use candle_core::{CpuStorage, CustomOp1, Layout, Result as CandleResult, Shape, Tensor};

use super::{Gradient, lend, output, slice, tensor};
use crate::fused::pooling::{self, Pooling};
use crate::geometry::Windows;
use crate::simd::SimdLevel;
use crate::{DivisorRule, Result};

/// The maximum of each window.
struct MaxPool2d(Pooling);

impl CustomOp1 for MaxPool2d {
    fn name(&self) -> &'static str {
        "max-pool2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> CandleResult<(CpuStorage, Shape)> {
        let y = self.0.max_forward(slice(x, layout)?);
        output(y, pooled_shape(&self.0, layout.dims()[0]))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, dy: &Tensor) -> Gradient {
        let dx = lend([x, y, dy], |[x, y, dy]| self.0.max_backward(x, y, dy))?;
        Ok(Some(tensor(dx, x.shape())?))
    }
}

fn pooled_shape(pooling: &Pooling, batch: usize) -> Shape {
    let Windows { rows, columns } = &pooling.windows;
    (batch, rows.output, columns.output, pooling.channels).into()
}

fn pooling(x: &Tensor, windows: &Windows) -> Result<Pooling> {
    Ok(Pooling {
        level: SimdLevel::current()?,
        windows: *windows,
        channels: x.dim(3)?,
    })
}

pub(crate) fn max_pool2d(x: &Tensor, windows: &Windows) -> Result<Tensor> {
    Ok(x.contiguous()?.apply_op1(MaxPool2d(pooling(x, windows)?))?)
}

/// The mean of each window.
struct AveragePool2d {
    pooling: Pooling,
    weights: Vec<f32>,
}

impl CustomOp1 for AveragePool2d {
    fn name(&self) -> &'static str {
        "average-pool2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> CandleResult<(CpuStorage, Shape)> {
        let y = self
            .pooling
            .average_forward(slice(x, layout)?, &self.weights);
        output(y, pooled_shape(&self.pooling, layout.dims()[0]))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Gradient {
        let dx = lend([dy], |[dy]| {
            self.pooling.average_backward(&self.weights, dy)
        })?;
        Ok(Some(tensor(dx, x.shape())?))
    }
}

pub(crate) fn average_pool2d(
    x: &Tensor,
    windows: &Windows,
    divisor: DivisorRule,
) -> Result<Tensor> {
    let pooling = pooling(x, windows)?;
    let weights = pooling.average_weights(divisor == DivisorRule::CountPadding);
    Ok(x.contiguous()?
        .apply_op1(AveragePool2d { pooling, weights })?)
}

/// The mean over each map.
struct GlobalAveragePool(SimdLevel);

impl CustomOp1 for GlobalAveragePool {
    fn name(&self) -> &'static str {
        "global-average-pool"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> CandleResult<(CpuStorage, Shape)> {
        let (batch, height, width, channels) = layout.shape().dims4()?;
        let y = pooling::global_average(self.0, slice(x, layout)?, height * width, channels);
        output(y, (batch, channels))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Gradient {
        let (_, height, width, channels) = x.dims4()?;
        let dx = lend([dy], |[dy]| {
            pooling::global_average_backward(dy, height * width, channels)
        })?;
        Ok(Some(tensor(dx, x.shape())?))
    }
}

pub(crate) fn global_average_pool(x: &Tensor) -> Result<Tensor> {
    let op = GlobalAveragePool(SimdLevel::current()?);
    Ok(x.contiguous()?.apply_op1(op)?)
}
