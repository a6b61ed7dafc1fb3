//! Sections of a network that are computed again in the backward pass.

use candle_core::{DType, Device, Error as CandleError, Result as CandleResult, Tensor, Var};

use crate::fused::map::{Gradient, Inputs, Map, MapOp, SavedForBackward, Values};
use crate::gradients::{backward, hand_over, is_last_pass};
use crate::memory::Buffer;
use crate::simd::SimdLevel;
use crate::{Error, Result};

/// A section's inside, from its input.
type Inside = dyn Fn(Map) -> Result<Map> + Send + Sync;

/// Of a section, only its input is kept.
struct Checkpoint {
    level: SimdLevel,
    dims: [usize; 4],
    x: SavedForBackward,
    dx: Gradient,
    variables: Vec<Var>,
    inside: Box<Inside>,
}

impl MapOp for Checkpoint {
    const NAME: &'static str = "checkpoint";

    fn backward(
        &self,
        dy: Buffer,
        requires_grad: [bool; 3],
    ) -> CandleResult<[Option<Vec<f32>>; 3]> {
        if !is_last_pass() {
            return Err(CandleError::msg(
                "sections that are computed again need simclr_kernels::backward",
            ));
        }
        let x = Map::leaf(self.level, self.dims, self.x.get()?, requires_grad[0])?;
        let y = (self.inside)(x.clone()).map_err(CandleError::wrap)?;
        y.gradient().add(self.level, dy);
        let mut found = backward(y.graph_node()).map_err(CandleError::wrap)?;
        for variable in &self.variables {
            // They go to the pass that is under way, beside the graph.
            if let Some(gradient) = found.remove(variable) {
                hand_over(variable, gradient);
            }
        }
        if requires_grad[0] {
            self.dx.add(self.level, x.gradient().take()?);
        }
        Ok([const { None }; 3])
    }
}

/// `output`, which was computed from `x` without a graph, as if it had one: `inside` computes
/// it again in the backward pass. `variables` are those that it depends on.
pub(crate) fn checkpoint(
    output: Map,
    x: &Map,
    variables: &[Var],
    inside: Box<Inside>,
) -> Result<Map> {
    let op = Checkpoint {
        level: x.level,
        dims: x.dims,
        x: x.values.clone().into(),
        dx: x.gradient(),
        variables: variables.to_vec(),
        inside,
    };
    // What ties the op to the graph, even if no gradient flows to its input.
    let anchor = match variables
        .iter()
        .min_by_key(|variable| variable.elem_count())
    {
        Some(variable) => variable.flatten_all()?.narrow(0, 0, 1)?,
        None => Tensor::zeros(1, DType::F32, &Device::Cpu)?,
    };
    let (level, dims) = (output.level, output.dims);
    let values: Values = output.values;
    Map::result_of(
        op,
        Inputs::Two(x.graph_node(), &anchor),
        level,
        (dims, values),
    )
}

/// An error of a section's inside.
pub(crate) fn inside_error(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Candle(CandleError::wrap(error))
}
