//! The rectifier.

use candle_core::{CpuStorage, CustomOp1, Layout, Result as CandleResult, Shape, Tensor};

use super::{Gradient, lend, output, slice, tensor};
use crate::Result;
use crate::fused::channels;
use crate::simd::SimdLevel;

/// `max(x, 0)` with gradient 0 at 0.
struct Relu(SimdLevel);

impl CustomOp1 for Relu {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> CandleResult<(CpuStorage, Shape)> {
        output(channels::rectify(self.0, slice(x, layout)?), layout.shape())
    }

    fn bwd(&self, _x: &Tensor, y: &Tensor, dy: &Tensor) -> Gradient {
        let dx = lend([y, dy], |[y, dy]| channels::rectify_backward(self.0, y, dy))?;
        Ok(Some(tensor(dx, y.shape())?))
    }
}

pub(crate) fn relu(x: &Tensor) -> Result<Tensor> {
    Ok(x.contiguous()?.apply_op1(Relu(SimdLevel::current()?))?)
}
