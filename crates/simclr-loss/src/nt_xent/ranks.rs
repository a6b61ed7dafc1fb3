//! Embeddings of all ranks, with gradients that flow back to them.

use std::sync::Arc;

use bytemuck::Pod;
use candle_core::{
    CpuStorage, CustomOp1, DType, Device, Error as CandleError, Layout, Result as CandleResult,
    Shape, Tensor, WithDType,
};
use simclr_collective::Collective;

/// The embeddings of all ranks: the first views of rank 0, of rank 1 and so on, then the second
/// ones, from the embeddings `[2m, d]` of this rank, f32 or f64.
pub(super) fn gather(local: &Tensor, ranks: &Arc<dyn Collective>) -> CandleResult<Tensor> {
    let (rows, width) = local.dims2()?;
    let op = Gather {
        ranks: Arc::clone(ranks),
    };
    let gathered = local.to_device(&Device::Cpu)?.contiguous()?.apply_op1(op)?;
    // `[rank, view, image, number]` in memory.
    gathered
        .reshape((ranks.size(), 2, rows / 2, width))?
        .transpose(0, 1)?
        .reshape((ranks.size() * rows, width))?
        .to_device(local.device())
}

/// The tensors of all ranks after each other. The gradient of a rank's tensor is the sum of the
/// gradients of its copies.
struct Gather {
    ranks: Arc<dyn Collective>,
}

impl Gather {
    fn own_gradient<T: WithDType + Pod + std::ops::AddAssign>(
        &self,
        x: &Tensor,
        dy: &Tensor,
    ) -> CandleResult<Tensor> {
        let mut gradient: Vec<T> = dy.flatten_all()?.to_vec1()?;
        self.ranks
            .all_reduce(&mut gradient)
            .map_err(CandleError::wrap)?;
        let len = x.elem_count();
        let start = self.ranks.rank() * len;
        Tensor::from_slice(&gradient[start..start + len], x.shape(), &Device::Cpu)
    }
}

impl CustomOp1 for Gather {
    fn name(&self) -> &'static str {
        "gather-over-ranks"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> CandleResult<(CpuStorage, Shape)> {
        let own = layout.start_offset()..layout.start_offset() + layout.shape().elem_count();
        let gathered = match storage {
            CpuStorage::F32(values) => self.ranks.all_gather(&values[own]).map(CpuStorage::F32),
            CpuStorage::F64(values) => self.ranks.all_gather(&values[own]).map(CpuStorage::F64),
            _ => return Err(CandleError::msg("embeddings of f32 or f64 are expected")),
        };
        let (rows, width) = layout.shape().dims2()?;
        let shape = (self.ranks.size() * rows, width).into();
        Ok((gathered.map_err(CandleError::wrap)?, shape))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> CandleResult<Option<Tensor>> {
        Ok(Some(match x.dtype() {
            DType::F64 => self.own_gradient::<f64>(x, dy)?,
            _ => self.own_gradient::<f32>(x, dy)?,
        }))
    }
}
