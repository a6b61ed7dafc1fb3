//! Pooling over windows and over whole maps.

use candle_core::{Result as CandleResult, Tensor};

use crate::Result;
use crate::fused::map::{Gradient, Map, MapOp, TensorGradients};
use crate::fused::map_buffer::MapBuffer;
use crate::fused::pooling::{self, Pooling};
use crate::fused::saved::SavedForBackward;
use crate::geometry::{DivisorRule, Windows};
use crate::simd::Format;

/// The maximum of each window.
struct MaxPool2d {
    pooling: Pooling,
    x: SavedForBackward,
    dx: Gradient,
}

impl MapOp for MaxPool2d {
    const NAME: &'static str = "max-pool2d";

    fn backward(&self, dy: MapBuffer, _: [bool; 3]) -> CandleResult<TensorGradients> {
        let x = self.x.get()?;
        let dx = x.lend(|x| self.pooling.max_backward(x, &dy, self.dx.format))?;
        self.dx.add(dx);
        Ok(TensorGradients::default())
    }
}

fn pooling(x: &Map, windows: &Windows) -> Pooling {
    Pooling {
        level: x.options.level,
        windows: *windows,
        channels: x.dims[3],
    }
}

fn pooled(x: &Map, windows: &Windows) -> [usize; 4] {
    let [batch, _, _, channels] = x.dims;
    [batch, windows.rows.output, windows.columns.output, channels]
}

pub(crate) fn max_pool2d(x: &Map, windows: &Windows) -> Result<Map> {
    let pooling = pooling(x, windows);
    let y = x
        .values
        .lend(|values| pooling.max_forward(values, x.format()))?;
    let op = MaxPool2d {
        pooling,
        x: x.saved().into(),
        dx: x.gradient(),
    };
    x.result_of(op, &[], pooled(x, windows), y)
}

/// The mean of each window.
struct AveragePool2d {
    pooling: Pooling,
    weights: Vec<f32>,
    dx: Gradient,
}

impl MapOp for AveragePool2d {
    const NAME: &'static str = "average-pool2d";

    fn backward(&self, dy: MapBuffer, _: [bool; 3]) -> CandleResult<TensorGradients> {
        let dx = self
            .pooling
            .average_backward(&self.weights, &dy, self.dx.format);
        self.dx.add(dx);
        Ok(TensorGradients::default())
    }
}

pub(crate) fn average_pool2d(x: &Map, windows: &Windows, divisor: DivisorRule) -> Result<Map> {
    let pooling = pooling(x, windows);
    let weights = pooling.average_weights(divisor == DivisorRule::CountPadding);
    let y = x
        .values
        .lend(|values| pooling.average_forward(values, &weights, x.format()))?;
    let op = AveragePool2d {
        pooling,
        weights,
        dx: x.gradient(),
    };
    x.result_of(op, &[], pooled(x, windows), y)
}

/// The mean over each map.
struct GlobalAveragePool {
    pixels: usize,
    channels: usize,
    dx: Gradient,
}

impl MapOp for GlobalAveragePool {
    const NAME: &'static str = "global-average-pool";

    fn backward(&self, dy: MapBuffer, _: [bool; 3]) -> CandleResult<TensorGradients> {
        let dy = dy.into_single(self.dx.level);
        let format = self.dx.format;
        let dx = pooling::global_average_backward(&dy, self.pixels, self.channels, format);
        self.dx.add(dx);
        Ok(TensorGradients::default())
    }
}

pub(crate) fn global_average_pool(x: &Map) -> Result<Tensor> {
    let [batch, height, width, channels] = x.dims;
    let y = x.values.lend(|values| {
        pooling::global_average(x.options.level, values, height * width, channels)
    })?;
    let op = GlobalAveragePool {
        pixels: height * width,
        channels,
        dx: x.gradient(),
    };
    let dims = [batch, 1, 1, channels];
    x.result_of(op, &[], dims, MapBuffer::new(Format::Single, y))?
        .into_tensor((batch, channels))
}
