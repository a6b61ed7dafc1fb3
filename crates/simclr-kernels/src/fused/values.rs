//! Where the numbers of a map are.

use std::sync::Arc;

use candle_core::{Error as CandleError, Result as CandleResult, Storage, Tensor};

use super::map_buffer::MapBuffer;
use crate::simd::{Format, Numbers};

/// Where a map's numbers are.
#[derive(Debug, Clone)]
pub(crate) enum Values {
    Buffer(Arc<MapBuffer>),
    /// Contiguous, f32.
    Tensor(Tensor),
}

impl From<MapBuffer> for Values {
    fn from(values: MapBuffer) -> Self {
        Self::Buffer(Arc::new(values))
    }
}

impl Values {
    /// Lends the numbers to `work`.
    pub(super) fn lend<R>(&self, work: impl FnOnce(Numbers<'_>) -> R) -> CandleResult<R> {
        match self {
            Self::Buffer(buffer) => Ok(work(buffer.numbers())),
            Self::Tensor(tensor) => lend(tensor, |values| work(Numbers::Single(values))),
        }
    }

    pub(super) fn format(&self) -> Format {
        match self {
            Self::Buffer(buffer) => buffer.format(),
            Self::Tensor(_) => Format::Single,
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
