//! The rectified linear unit.

use candle_core::Result as CandleResult;

use crate::Result;
use crate::fused::elementwise;
use crate::fused::map::{Gradient, Map, MapOp, TensorGradients};
use crate::fused::map_buffer::MapBuffer;
use crate::fused::saved::SavedForBackward;

/// `max(x, 0)` with gradient 0 at 0.
struct Relu {
    x: SavedForBackward,
    dx: Gradient,
}

impl MapOp for Relu {
    const NAME: &'static str = "relu";

    fn backward(&self, dy: MapBuffer, _: [bool; 3]) -> CandleResult<TensorGradients> {
        let x = self.x.get()?;
        self.dx
            .add(x.lend(|x| elementwise::relu_backward(self.dx.level, x, &dy))?);
        Ok(TensorGradients::default())
    }
}

pub(crate) fn relu(x: &Map) -> Result<Map> {
    let y = x
        .values
        .lend(|values| elementwise::relu(x.options.level, values, x.format()))?;
    let op = Relu {
        x: x.saved().into(),
        dx: x.gradient(),
    };
    x.result_of(op, &[], x.dims, y)
}
