//! Feature maps outside of candle's graph, tied to it by nodes of it.
//!
//! candle allocates zeros for every gradient, adds the gradient to them into a third
//! buffer, and frees all of it again. For maps of tens of megabytes that takes as long as
//! the convolutions. So the graph that candle sees consists of **nodes**: tensors of one
//! number. A node's op holds the map that it stands for. On the way back candle decides
//! the order and passes nodes' gradients along, which nobody looks at; the maps' gradients
//! travel beside them, from op to op, in buffers that are used again.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, DType, Device, Error as CandleError, Layout,
    Result as CandleResult, Shape, Storage, Tensor, Var,
};

use super::channels::{ChannelStats, accumulate};
use crate::gradients::{hand_over, is_last_pass};
use crate::memory::{self, Buffer};
use crate::simd::SimdLevel;
use crate::{ConvolutionMethod, Precision, Result};

/// A feature map `[n, h, w, c]` and its place in the graph.
#[derive(Debug, Clone)]
pub(crate) struct Map {
    pub(crate) dims: [usize; 4],
    pub(crate) level: SimdLevel,
    pub(crate) values: Values,
    /// Those of the map's channels, if they are known.
    pub(crate) stats: Option<Arc<ChannelStats>>,
    node: Tensor,
    gradient: Gradient,
}

/// Where a map's numbers are.
#[derive(Debug, Clone)]
pub(crate) enum Values {
    Buffer(Arc<Buffer>),
    /// Contiguous.
    Tensor(Tensor),
}

/// What has been added up of a map's gradient.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gradient(Arc<Mutex<Option<Buffer>>>);

impl Gradient {
    /// Adds a part.
    pub(super) fn add(&self, level: SimdLevel, part: Buffer) {
        let mut gradient = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match gradient.as_mut() {
            Some(sum) => accumulate(level, sum, &part),
            None => *gradient = Some(part),
        }
    }

    /// What has been added up so far, for an op that adds its part to it by itself.
    pub(super) fn take_sum(&self) -> Option<Buffer> {
        let mut gradient = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gradient.take()
    }

    /// The sum, once all parts are there.
    pub(super) fn take(&self) -> CandleResult<Buffer> {
        self.take_sum()
            .ok_or_else(|| CandleError::msg("a feature map without a gradient"))
    }
}

/// Numbers that an op keeps for its backward pass.
pub(super) struct SavedForBackward(Mutex<Option<Values>>);

impl SavedForBackward {
    /// The numbers; in a last pass they go with what is returned.
    pub(super) fn get(&self) -> CandleResult<Values> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let values = match is_last_pass() {
            true => kept.take(),
            false => kept.clone(),
        };
        values.ok_or_else(|| {
            CandleError::msg(
                "a graph that simclr_kernels::backward walked before: its maps are gone",
            )
        })
    }
}

impl From<Values> for SavedForBackward {
    fn from(values: Values) -> Self {
        Self(Mutex::new(Some(values)))
    }
}

impl From<Buffer> for Values {
    fn from(values: Buffer) -> Self {
        Self::Buffer(Arc::new(values))
    }
}

impl From<Arc<Buffer>> for Values {
    fn from(buffer: Arc<Buffer>) -> Self {
        Self::Buffer(buffer)
    }
}

impl Values {
    /// Lends the numbers to `work`.
    pub(super) fn lend<R>(&self, work: impl FnOnce(&[f32]) -> R) -> CandleResult<R> {
        match self {
            Self::Buffer(buffer) => Ok(work(buffer)),
            Self::Tensor(tensor) => lend(tensor, work),
        }
    }
}

/// Lends the elements of a contiguous CPU tensor to `work`.
pub(super) fn lend<R>(tensor: &Tensor, work: impl FnOnce(&[f32]) -> R) -> CandleResult<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else {
        return Err(CandleError::msg("fused ops take CPU tensors"));
    };
    let (start, end) = layout
        .contiguous_offsets()
        .ok_or_else(|| CandleError::msg("fused ops take contiguous tensors"))?;
    Ok(work(&storage.as_slice::<f32>()?[start..end]))
}

/// A copy of a tensor's elements.
fn copy(tensor: &Tensor) -> CandleResult<Buffer> {
    lend(tensor, memory::copy)
}

/// A backward pass of an op on maps: given the gradient of its result, it adds to those of
/// its maps and returns those of its tensors.
pub(super) trait MapOp: Send + Sync + 'static {
    const NAME: &'static str;

    /// `requires_grad` tells which of the op's inputs (node or tensor, in order) need a gradient;
    /// the result has the gradients of the op's tensors in the places of its inputs.
    fn backward(&self, dy: Buffer, requires_grad: [bool; 3])
    -> CandleResult<[Option<Vec<f32>>; 3]>;
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

impl<Op: MapOp> CustomOp1 for Node<Op> {
    fn name(&self) -> &'static str {
        Op::NAME
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> CandleResult<(CpuStorage, Shape)> {
        node_storage()
    }

    fn bwd(&self, first: &Tensor, _: &Tensor, _: &Tensor) -> CandleResult<Option<Tensor>> {
        let [first] = self.backward([first])?;
        Ok(first)
    }
}

impl<Op: MapOp> CustomOp2 for Node<Op> {
    fn name(&self) -> &'static str {
        Op::NAME
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> CandleResult<(CpuStorage, Shape)> {
        node_storage()
    }

    fn bwd(
        &self,
        first: &Tensor,
        second: &Tensor,
        _: &Tensor,
        _: &Tensor,
    ) -> CandleResult<(Option<Tensor>, Option<Tensor>)> {
        let [first, second] = self.backward([first, second])?;
        Ok((first, second))
    }
}

impl<Op: MapOp> CustomOp3 for Node<Op> {
    fn name(&self) -> &'static str {
        Op::NAME
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> CandleResult<(CpuStorage, Shape)> {
        node_storage()
    }

    fn bwd(
        &self,
        first: &Tensor,
        second: &Tensor,
        third: &Tensor,
        _: &Tensor,
        _: &Tensor,
    ) -> CandleResult<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [first, second, third] = self.backward([first, second, third])?;
        Ok((first, second, third))
    }
}

/// What an op on maps depends on: nodes of maps, and tensors.
pub(super) enum Inputs<'a> {
    One(&'a Tensor),
    Two(&'a Tensor, &'a Tensor),
    Three(&'a Tensor, &'a Tensor, &'a Tensor),
}

impl Map {
    /// The map that a tensor of this shape is; its gradient becomes the tensor's.
    pub(crate) fn of_tensor(x: &Tensor, dims: [usize; 4]) -> Result<Self> {
        ConvolutionMethod::check_environment()?;
        let level = SimdLevel::current()?;
        Precision::at(level)?;
        let gradient = Gradient::default();
        let values = x.contiguous()?;
        let entrance = Entrance {
            gradient: gradient.clone(),
        };
        let node = match values.track_op() {
            true => values.apply_op1(entrance)?,
            false => new_node()?,
        };
        Ok(Self {
            dims,
            level,
            values: Values::Tensor(values.detach()),
            stats: None,
            node,
            gradient,
        })
    }

    /// The result of an op.
    pub(super) fn result_of<Op: MapOp>(
        op: Op,
        inputs: Inputs<'_>,
        level: SimdLevel,
        (dims, values): ([usize; 4], impl Into<Values>),
    ) -> Result<Self> {
        let gradient = Gradient::default();
        let node = Node {
            op,
            gradient: gradient.clone(),
        };
        let node = match inputs {
            Inputs::One(first) => first.apply_op1(node)?,
            Inputs::Two(first, second) => first.apply_op2(second, node)?,
            Inputs::Three(first, second, third) => first.apply_op3(second, third, node)?,
        };
        Ok(Self {
            dims,
            level,
            values: values.into(),
            stats: None,
            node,
            gradient,
        })
    }

    /// A map that a graph begins with; its gradient is added up if it is `requires_grad`.
    pub(super) fn leaf(
        level: SimdLevel,
        dims: [usize; 4],
        values: Values,
        requires_grad: bool,
    ) -> CandleResult<Self> {
        let node = match requires_grad {
            true => Var::from_tensor(&new_node()?)?.into_inner(),
            false => new_node()?,
        };
        Ok(Self {
            dims,
            level,
            values,
            stats: None,
            node,
            gradient: Gradient::default(),
        })
    }

    /// A map that no gradient flows to.
    pub(super) fn constant(level: SimdLevel, dims: [usize; 4], values: Buffer) -> Result<Self> {
        Ok(Self {
            dims,
            level,
            values: values.into(),
            stats: None,
            node: new_node()?,
            gradient: Gradient::default(),
        })
    }

    pub(super) fn with_stats(self, stats: Option<Arc<ChannelStats>>) -> Self {
        Self { stats, ..self }
    }

    pub(crate) fn graph_node(&self) -> &Tensor {
        &self.node
    }

    pub(super) fn gradient(&self) -> Gradient {
        self.gradient.clone()
    }

    /// The same numbers without a past.
    pub(crate) fn detach(&self) -> Self {
        Self {
            node: self.node.detach(),
            gradient: Gradient::default(),
            ..self.clone()
        }
    }

    /// The map as a tensor of this shape in candle's graph; without a copy if nobody else
    /// needs the numbers.
    pub(crate) fn into_tensor(self, shape: impl Into<Shape>) -> Result<Tensor> {
        let Self {
            level,
            values,
            node,
            gradient,
            ..
        } = self;
        let values = match values {
            Values::Tensor(tensor) => copy(&tensor)?.into_vec(),
            Values::Buffer(buffer) => match Arc::try_unwrap(buffer) {
                Ok(buffer) => buffer.into_vec(),
                Err(shared) => shared.to_vec(),
            },
        };
        let exit = Exit {
            level,
            shape: shape.into(),
            values: Mutex::new(Some(values)),
            gradient,
        };
        Ok(node.apply_op1(exit)?)
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
        let gradient = self.gradient.take()?.into_vec();
        Ok(Some(Tensor::from_vec(gradient, x.shape(), &Device::Cpu)?))
    }
}

/// From the node of a map to a tensor.
pub(super) struct Exit {
    level: SimdLevel,
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
        self.gradient.add(self.level, copy(dy)?);
        Ok(Some(new_node()?))
    }
}
