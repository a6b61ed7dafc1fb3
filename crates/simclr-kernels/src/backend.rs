//! The choice between the two implementations of every op.

use candle_core::{DType, Tensor};

use crate::{Error, Result};

/// Which implementation of an op runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Backend {
    /// Fused for f32 on the CPU, composite for everything else (default).
    #[default]
    Auto,
    /// Our kernels: f32 on the CPU, an error anywhere else.
    Fused,
    /// Stock candle ops: any device; f16, bf16, f32 or f64.
    Composite,
}

impl Backend {
    /// Whether the fused form runs on this input.
    ///
    /// # Errors
    /// [`Error::DType`] if none does; [`Error::Shape`] if the fused form was asked for and
    /// the input is not on the CPU.
    pub(crate) fn is_fused(self, op: &'static str, x: &Tensor) -> Result<bool> {
        let (dtype, is_cpu) = (x.dtype(), x.device().is_cpu());
        if !matches!(dtype, DType::F16 | DType::BF16 | DType::F32 | DType::F64) {
            return Err(Error::dtype(op, "f16, bf16, f32 or f64", dtype));
        }
        match self {
            Self::Auto => Ok(dtype == DType::F32 && is_cpu),
            Self::Composite => Ok(false),
            Self::Fused if dtype != DType::F32 => {
                Err(Error::dtype(op, "f32 on the CPU for the fused form", dtype))
            }
            Self::Fused if !is_cpu => {
                let expected = "a tensor on the CPU for the fused form";
                Err(Error::shape(op, expected, x.device().location()))
            }
            Self::Fused => Ok(true),
        }
    }
}
