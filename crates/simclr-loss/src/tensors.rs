//! What the losses accept as tensors.

use candle_core::{CpuStorage, DType, Layout, Tensor};

use crate::{Error, Result};

/// Whether a tensor is handled by the fused ops.
pub(crate) fn is_fused(tensor: &Tensor) -> bool {
    tensor.dtype() == DType::F32 && tensor.device().is_cpu()
}

/// The tensor in the type that losses are computed in: f32 for half precision, whose range and
/// digits do not suffice for sums of exponentials, and f32 and f64 as they are.
pub(crate) fn to_full_precision(loss: &'static str, tensor: &Tensor) -> Result<Tensor> {
    match tensor.dtype() {
        DType::F32 | DType::F64 => Ok(tensor.clone()),
        DType::F16 | DType::BF16 => Ok(tensor.to_dtype(DType::F32)?),
        dtype => Err(Error::DType {
            loss,
            expected: "f16, bf16, f32 or f64".to_owned(),
            found: dtype,
        }),
    }
}

/// An error unless `other` has the type of `tensor`.
pub(crate) fn check_same_type(loss: &'static str, tensor: &Tensor, other: &Tensor) -> Result<()> {
    if tensor.dtype() == other.dtype() {
        return Ok(());
    }
    Err(Error::DType {
        loss,
        expected: format!("{} like the other tensor", tensor.dtype().as_str()),
        found: other.dtype(),
    })
}

/// The values of a tensor that a fused op was given.
pub(crate) fn as_f32_slice<'a>(
    op: &'static str,
    storage: &'a CpuStorage,
    layout: &Layout,
) -> candle_core::Result<&'a [f32]> {
    let (start, end) = layout
        .contiguous_offsets()
        .ok_or_else(|| candle_core::Error::RequiresContiguous { op }.bt())?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}
