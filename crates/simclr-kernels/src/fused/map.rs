//! Feature maps outside of candle's graph, each tied to a node of it.
//!
//! candle allocates zeros for every gradient, adds the gradient to them into a third buffer,
//! and frees all of it again. For maps of tens of megabytes that takes as long as the
//! convolutions. So the graph that candle sees consists of one-element tensors, the graph
//! nodes, whose ops hold the maps that they stand for. In the backward pass candle decides the
//! order and passes the nodes' gradients along, whose values are ignored; the maps' gradients
//! travel beside them, from op to op, in buffers that are used again.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, DType, Device, Error as CandleError, Layout,
    Result as CandleResult, Shape, Tensor, Var,
};

use super::elementwise::accumulate;
use super::map_buffer::{MapBuffer, unpacked};
use super::saved::{BatchNormResult, Saved};
use super::stats::ChannelStats;
use super::values::{Values, lend};
use crate::Result;
use crate::gradients::hand_over;
use crate::options::ResolvedOptions;
use crate::simd::{Format, SimdLevel};

/// A feature map `[n, h, w, c]` and its place in the graph.
#[derive(Debug, Clone)]
pub(crate) struct Map {
    pub(crate) dims: [usize; 4],
    /// Those of the tensor that the graph began with.
    pub(crate) options: ResolvedOptions,
    pub(crate) values: Values,
    /// Those of the map's channels, if they are known.
    pub(crate) stats: Option<Arc<ChannelStats>>,
    /// How its numbers are computed again, if no op needs to keep them.
    batch_norm: Option<Arc<BatchNormResult>>,
    node: Tensor,
    gradient: Gradient,
}

/// What has been added up of a map's gradient, in the map's format.
#[derive(Debug, Clone)]
pub(crate) struct Gradient {
    pub(super) level: SimdLevel,
    pub(super) format: Format,
    sum: Arc<Mutex<Option<MapBuffer>>>,
}

impl Gradient {
    fn new(options: ResolvedOptions, format: Format) -> Self {
        Self {
            level: options.level,
            format,
            sum: Arc::default(),
        }
    }

    /// Adds a part.
    pub(super) fn add(&self, part: MapBuffer) {
        let mut sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        match sum.as_mut() {
            Some(sum) => accumulate(self.level, sum, part.numbers()),
            None => *sum = Some(part.into_format(self.level, self.format)),
        }
    }

    /// What has been added up so far, for an op that adds its part to it by itself.
    pub(super) fn take_sum(&self) -> Option<MapBuffer> {
        let mut sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        sum.take()
    }

    /// The sum, once all parts are there.
    pub(super) fn take(&self) -> CandleResult<MapBuffer> {
        self.take_sum()
            .ok_or_else(|| CandleError::msg("a feature map without a gradient"))
    }
}

/// The gradients of an op's inputs that are tensors, in the inputs' order.
pub(super) type TensorGradients = [Option<Vec<f32>>; 3];

/// A backward pass of an op on maps: given the gradient of its result, it adds to those of
/// its maps and returns those of its tensors.
pub(super) trait MapOp: Send + Sync + 'static {
    const NAME: &'static str;

    /// `requires_grad` tells which of the op's inputs (node or tensor, in order) need a gradient;
    /// the result has the gradients of the op's tensors in the places of its inputs.
    fn backward(&self, dy: MapBuffer, requires_grad: [bool; 3]) -> CandleResult<TensorGradients>;
}

/// An op in the graph of nodes.
struct Node<Op> {
    op: Op,
    gradient: Gradient,
}

impl<Op: MapOp> Node<Op> {
    /// Gradients for candle: those of tensors as they are, those of nodes as nodes.
    fn backward<const COUNT: usize>(
        &self,
        inputs: [&Tensor; COUNT],
    ) -> CandleResult<[Option<Tensor>; COUNT]> {
        let mut requires_grad = [false; 3];
        for (requires_grad, input) in requires_grad.iter_mut().zip(inputs) {
            *requires_grad = input.track_op();
        }
        let mut found = self.op.backward(self.gradient.take()?, requires_grad)?;
        let mut gradients = [const { None }; COUNT];
        for (index, (input, gradient)) in inputs.iter().zip(&mut gradients).enumerate() {
            if requires_grad[index] {
                *gradient = match found[index].take() {
                    Some(values) => {
                        let values = Tensor::from_vec(values, input.shape(), &Device::Cpu)?;
                        hand_over(input, values)
                    }
                    None => Some(new_node()?),
                };
            }
        }
        Ok(gradients)
    }
}

fn new_node() -> CandleResult<Tensor> {
    Tensor::zeros(1, DType::F32, &Device::Cpu)
}

fn node_storage() -> CandleResult<(CpuStorage, Shape)> {
    Ok((CpuStorage::F32(vec![0.0]), 1.into()))
}

/// Implements one of candle's three op traits, which differ in the number of inputs alone.
macro_rules! impl_custom_op {
    ($trait:ident, $gradients:ty, $($input:ident),+) => {
        impl<Op: MapOp> $trait for Node<Op> {
            fn name(&self) -> &'static str {
                Op::NAME
            }

            fn cpu_fwd(
                &self,
                $($input: &CpuStorage, _: &Layout),+
            ) -> CandleResult<(CpuStorage, Shape)> {
                let _ = ($($input),+);
                node_storage()
            }

            fn bwd(
                &self,
                $($input: &Tensor),+,
                _: &Tensor,
                _: &Tensor,
            ) -> CandleResult<$gradients> {
                let [$($input),+] = self.backward([$($input),+])?;
                Ok(($($input),+))
            }
        }
    };
}

type Optional = Option<Tensor>;
impl_custom_op!(CustomOp1, Optional, first);
impl_custom_op!(CustomOp2, (Optional, Optional), first, second);
impl_custom_op!(
    CustomOp3,
    (Optional, Optional, Optional),
    first,
    second,
    third
);

impl Map {
    fn new(
        options: ResolvedOptions,
        dims: [usize; 4],
        values: Values,
        node: Tensor,
        gradient: Gradient,
    ) -> Self {
        Self {
            dims,
            options,
            values,
            stats: None,
            batch_norm: None,
            node,
            gradient,
        }
    }

    /// The map that a tensor of this shape is; its gradient becomes the tensor's.
    pub(crate) fn of_tensor(x: &Tensor, dims: [usize; 4]) -> Result<Self> {
        let options = ResolvedOptions::current()?;
        let gradient = Gradient::new(options, Format::Single);
        let values = x.contiguous()?;
        let entrance = Entrance {
            gradient: gradient.clone(),
        };
        let node = if values.track_op() {
            values.apply_op1(entrance)?
        } else {
            new_node()?
        };
        let values = Values::Tensor(values.detach());
        Ok(Self::new(options, dims, values, node, gradient))
    }

    /// The result of an op on this map and at most two other graph nodes or tensors.
    pub(super) fn result_of<Op: MapOp>(
        &self,
        op: Op,
        others: &[&Tensor],
        dims: [usize; 4],
        values: impl Into<Values>,
    ) -> Result<Self> {
        let values = values.into();
        let gradient = Gradient::new(self.options, values.format());
        let op = Node {
            op,
            gradient: gradient.clone(),
        };
        let node = match others {
            [] => self.node.apply_op1(op)?,
            [second] => self.node.apply_op2(second, op)?,
            [second, third, ..] => self.node.apply_op3(second, third, op)?,
        };
        Ok(Self::new(self.options, dims, values, node, gradient))
    }

    /// A leaf of a graph; its gradient is added up if `requires_grad`, else nothing flows to it.
    pub(super) fn leaf(
        options: ResolvedOptions,
        dims: [usize; 4],
        values: impl Into<Values>,
        requires_grad: bool,
    ) -> CandleResult<Self> {
        let values = values.into();
        let gradient = Gradient::new(options, values.format());
        let node = if requires_grad {
            Var::from_tensor(&new_node()?)?.into_inner()
        } else {
            new_node()?
        };
        Ok(Self::new(options, dims, values, node, gradient))
    }

    pub(super) fn with_stats(self, stats: Option<Arc<ChannelStats>>) -> Self {
        Self { stats, ..self }
    }

    /// The map, of which ops keep how it is computed again, if there is a backward pass.
    pub(super) fn with_batch_norm(self, result: Arc<BatchNormResult>) -> Self {
        let batch_norm = self.node.track_op().then_some(result);
        Self { batch_norm, ..self }
    }

    pub(crate) fn graph_node(&self) -> &Tensor {
        &self.node
    }

    /// What an op keeps of the map for its backward pass.
    pub(super) fn saved(&self) -> Saved {
        match &self.batch_norm {
            Some(result) => Saved::BatchNorm(Arc::clone(result)),
            None => Saved::Values(self.values.clone()),
        }
    }

    pub(super) fn gradient(&self) -> Gradient {
        self.gradient.clone()
    }

    /// That of maps that are computed from this one, channel by channel.
    pub(super) fn format(&self) -> Format {
        self.values.format()
    }

    /// The same numbers without a past.
    pub(crate) fn detach(&self) -> Self {
        Self {
            node: self.node.detach(),
            gradient: Gradient::new(self.options, self.format()),
            batch_norm: None,
            ..self.clone()
        }
    }

    /// The map as a tensor of this shape in candle's graph; without a copy if nobody else
    /// needs the numbers.
    pub(crate) fn into_tensor(self, shape: impl Into<Shape>) -> Result<Tensor> {
        let level = self.options.level;
        let values = match self.values {
            Values::Buffer(buffer) => match Arc::try_unwrap(buffer) {
                Ok(buffer) => buffer.into_single(level),
                Err(shared) => unpacked(level, shared.numbers()),
            },
            values @ Values::Tensor(_) => values.lend(|values| unpacked(level, values))?,
        };
        let exit = Exit {
            shape: shape.into(),
            values: Mutex::new(Some(values.into_vec())),
            gradient: self.gradient,
        };
        Ok(self.node.apply_op1(exit)?)
    }
}

/// From a tensor to the node of its map.
struct Entrance {
    gradient: Gradient,
}

impl CustomOp1 for Entrance {
    fn name(&self) -> &'static str {
        "feature-map"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> CandleResult<(CpuStorage, Shape)> {
        node_storage()
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, _: &Tensor) -> CandleResult<Option<Tensor>> {
        let gradient = self.gradient.take()?.into_single(self.gradient.level);
        let gradient = gradient.into_vec();
        Ok(Some(Tensor::from_vec(gradient, x.shape(), &Device::Cpu)?))
    }
}

/// From the node of a map to a tensor.
struct Exit {
    shape: Shape,
    /// Handed over once.
    values: Mutex<Option<Vec<f32>>>,
    gradient: Gradient,
}

impl CustomOp1 for Exit {
    fn name(&self) -> &'static str {
        "feature-map-tensor"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> CandleResult<(CpuStorage, Shape)> {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        let values = values
            .take()
            .ok_or_else(|| CandleError::msg("a map handed over twice"))?;
        Ok((CpuStorage::F32(values), self.shape.clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, dy: &Tensor) -> CandleResult<Option<Tensor>> {
        let Gradient { level, format, .. } = self.gradient;
        let part = lend(dy, |dy| MapBuffer::of(level, format, dy))?;
        self.gradient.add(part);
        Ok(Some(new_node()?))
    }
}
