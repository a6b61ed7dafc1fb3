//! Gradient checkpointing: a part of a network is computed again in the backward pass.

use std::sync::Arc;

use candle_core::{DType, Device, Error as CandleError, Result as CandleResult, Tensor, Var};
use simclr_collective::Collective;

use crate::Result;
use crate::fused::map::{Gradient, Map, MapOp, TensorGradients};
use crate::fused::map_buffer::MapBuffer;
use crate::fused::saved::SavedForBackward;
use crate::global_batch_norm::{as_in_force, ranks_in_force};
use crate::gradients::{backward, hand_over, is_last_pass};
use crate::options::ResolvedOptions;

/// The forward pass of the part, from its input.
type Forward = dyn Fn(Map) -> Result<Map> + Send + Sync;

/// A part of a network of which only the input is kept.
struct Checkpoint {
    options: ResolvedOptions,
    dims: [usize; 4],
    x: SavedForBackward,
    dx: Gradient,
    variables: Vec<Var>,
    /// Those whose batches count for batch norms.
    ranks: Option<Arc<dyn Collective>>,
    forward: Box<Forward>,
}

impl MapOp for Checkpoint {
    const NAME: &'static str = "checkpoint";

    fn backward(&self, dy: MapBuffer, requires_grad: [bool; 3]) -> CandleResult<TensorGradients> {
        if !is_last_pass() {
            return Err(CandleError::msg(
                "gradient checkpointing needs simclr_kernels::backward",
            ));
        }
        let x = Map::leaf(self.options, self.dims, self.x.get()?, requires_grad[0])?;
        let forward = || self.options.scope(|| (self.forward)(x.clone()));
        let y = as_in_force(self.ranks.clone(), forward).map_err(CandleError::wrap)?;
        y.gradient().add(dy);
        let mut gradients = backward(y.graph_node()).map_err(CandleError::wrap)?;
        for variable in &self.variables {
            // They go to the pass that is under way, beside the graph.
            if let Some(gradient) = gradients.remove(variable) {
                hand_over(variable, gradient);
            }
        }
        if requires_grad[0] {
            self.dx.add(x.gradient().take()?);
        }
        Ok(TensorGradients::default())
    }
}

/// `output`, which was computed from `x` without a graph, as if it had one: `forward` computes
/// it again in the backward pass. `variables` are those that it depends on.
pub(crate) fn checkpoint(
    output: Map,
    x: &Map,
    variables: &[Var],
    forward: Box<Forward>,
) -> Result<Map> {
    let op = Checkpoint {
        options: x.options,
        dims: x.dims,
        x: x.saved().into(),
        dx: x.gradient(),
        variables: variables.to_vec(),
        ranks: ranks_in_force(),
        forward,
    };
    // What ties the op to the graph, even if no gradient flows to its input.
    let anchor = match variables
        .iter()
        .min_by_key(|variable| variable.elem_count())
    {
        Some(variable) => variable.flatten_all()?.narrow(0, 0, 1)?,
        None => Tensor::zeros(1, DType::F32, &Device::Cpu)?,
    };
    x.result_of(op, &[&anchor], output.dims, output.values)
}
