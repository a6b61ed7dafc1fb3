//! The rectified linear unit.

use candle_core::Result as CandleResult;

use crate::Result;
use crate::fused::channels;
use crate::fused::map::{Gradient, Inputs, Map, MapOp, SavedForBackward};
use crate::memory::Buffer;
use crate::simd::SimdLevel;

/// `max(x, 0)` with gradient 0 at 0.
struct Relu {
    level: SimdLevel,
    x: SavedForBackward,
    dx: Gradient,
}

impl MapOp for Relu {
    const NAME: &'static str = "relu";

    fn backward(&self, dy: Buffer, _: [bool; 3]) -> CandleResult<[Option<Vec<f32>>; 3]> {
        let x = self.x.get()?;
        let dx = x.lend(|x| channels::relu_backward(self.level, x, &dy))?;
        self.dx.add(self.level, dx);
        Ok([const { None }; 3])
    }
}

pub(crate) fn relu(x: &Map) -> Result<Map> {
    let level = x.level;
    let y = x.values.lend(|x| channels::relu(level, x))?;
    let op = Relu {
        level,
        x: x.values.clone().into(),
        dx: x.gradient(),
    };
    Map::result_of(op, Inputs::One(x.graph_node()), level, (x.dims, y))
}
