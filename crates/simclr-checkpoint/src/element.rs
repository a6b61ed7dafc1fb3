//! Element types and typed values.

use std::fmt;

use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};
use serde::{Deserialize, Serialize};

/// The type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ElementType {
    /// IEEE single precision.
    F32,
    /// IEEE double precision.
    F64,
    /// IEEE half precision.
    F16,
    /// The upper half of a single-precision number.
    BF16,
    /// Signed, 8 bits.
    I8,
    /// Signed, 16 bits.
    I16,
    /// Signed, 32 bits.
    I32,
    /// Signed, 64 bits.
    I64,
    /// Unsigned, 8 bits.
    U8,
    /// Unsigned, 16 bits.
    U16,
    /// Unsigned, 32 bits.
    U32,
    /// Unsigned, 64 bits.
    U64,
    /// One byte, 0 or 1.
    Bool,
}

impl ElementType {
    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::F16 | Self::BF16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    /// Whether it is one of the floating-point types.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64 | Self::F16 | Self::BF16)
    }

    /// The bytes of a tensor of this shape; `None` if they cannot be counted in 64 bits.
    pub(crate) fn byte_count(self, shape: &[usize]) -> Option<u64> {
        let elements = shape
            .iter()
            .try_fold(1u64, |product, &size| product.checked_mul(size as u64))?;
        elements.checked_mul(self.size() as u64)
    }

    pub(crate) fn of_candle(dtype: DType) -> Option<Self> {
        Some(match dtype {
            DType::F32 => Self::F32,
            DType::F64 => Self::F64,
            DType::F16 => Self::F16,
            DType::BF16 => Self::BF16,
            DType::I16 => Self::I16,
            DType::I32 => Self::I32,
            DType::I64 => Self::I64,
            DType::U8 => Self::U8,
            DType::U32 => Self::U32,
            _ => return None,
        })
    }

    pub(crate) fn of_safetensors(dtype: safetensors::Dtype) -> Option<Self> {
        use safetensors::Dtype;
        Some(match dtype {
            Dtype::F32 => Self::F32,
            Dtype::F64 => Self::F64,
            Dtype::F16 => Self::F16,
            Dtype::BF16 => Self::BF16,
            Dtype::I8 => Self::I8,
            Dtype::I16 => Self::I16,
            Dtype::I32 => Self::I32,
            Dtype::I64 => Self::I64,
            Dtype::U8 => Self::U8,
            Dtype::U16 => Self::U16,
            Dtype::U32 => Self::U32,
            Dtype::U64 => Self::U64,
            Dtype::BOOL => Self::Bool,
            _ => return None,
        })
    }

    pub(crate) fn safetensors(self) -> safetensors::Dtype {
        use safetensors::Dtype;
        match self {
            Self::F32 => Dtype::F32,
            Self::F64 => Dtype::F64,
            Self::F16 => Dtype::F16,
            Self::BF16 => Dtype::BF16,
            Self::I8 => Dtype::I8,
            Self::I16 => Dtype::I16,
            Self::I32 => Dtype::I32,
            Self::I64 => Dtype::I64,
            Self::U8 => Dtype::U8,
            Self::U16 => Dtype::U16,
            Self::U32 => Dtype::U32,
            Self::U64 => Dtype::U64,
            Self::Bool => Dtype::BOOL,
        }
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = format!("{self:?}").to_lowercase();
        f.pad(&name)
    }
}

/// The values of a tensor in row-major order.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Values {
    /// IEEE single precision.
    F32(Vec<f32>),
    /// IEEE double precision.
    F64(Vec<f64>),
    /// IEEE half precision.
    F16(Vec<f16>),
    /// The upper half of a single-precision number.
    BF16(Vec<bf16>),
    /// Signed, 8 bits.
    I8(Vec<i8>),
    /// Signed, 16 bits.
    I16(Vec<i16>),
    /// Signed, 32 bits.
    I32(Vec<i32>),
    /// Signed, 64 bits.
    I64(Vec<i64>),
    /// Unsigned, 8 bits.
    U8(Vec<u8>),
    /// Unsigned, 16 bits.
    U16(Vec<u16>),
    /// Unsigned, 32 bits.
    U32(Vec<u32>),
    /// Unsigned, 64 bits.
    U64(Vec<u64>),
    /// Truth values.
    Bool(Vec<bool>),
}

/// Calls a macro-like closure body for the vector inside, whatever its type.
macro_rules! for_numbers {
    ($values:expr, $v:ident => $body:expr, $b:ident => $bool_body:expr) => {
        match $values {
            Values::F32($v) => $body,
            Values::F64($v) => $body,
            Values::F16($v) => $body,
            Values::BF16($v) => $body,
            Values::I8($v) => $body,
            Values::I16($v) => $body,
            Values::I32($v) => $body,
            Values::I64($v) => $body,
            Values::U8($v) => $body,
            Values::U16($v) => $body,
            Values::U32($v) => $body,
            Values::U64($v) => $body,
            Values::Bool($b) => $bool_body,
        }
    };
}

impl Values {
    /// An empty list with room for `count` values.
    pub(crate) fn with_capacity(element: ElementType, count: usize) -> Self {
        macro_rules! make {
            ($($variant:ident),*) => {
                match element {
                    $(ElementType::$variant => Self::$variant(Vec::with_capacity(count)),)*
                }
            };
        }
        make!(
            F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64, Bool
        )
    }

    /// Appends values from their little-endian bytes; incomplete values at the end are ignored.
    pub(crate) fn extend_from_le_bytes(&mut self, bytes: &[u8]) {
        macro_rules! extend {
            ($($variant:ident: $type:ty),*) => {
                match self {
                    $(Self::$variant(values) => {
                        let (pieces, _) = bytes.as_chunks();
                        values.extend(pieces.iter().map(|&piece| <$type>::from_le_bytes(piece)));
                    })*
                    Self::Bool(values) => values.extend(bytes.iter().map(|&byte| byte != 0)),
                }
            };
        }
        extend!(
            F32: f32, F64: f64, F16: f16, BF16: bf16, I8: i8, I16: i16, I32: i32, I64: i64,
            U8: u8, U16: u16, U32: u32, U64: u64
        );
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        for_numbers!(self, v => v.len(), b => b.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The type of the values.
    pub fn element_type(&self) -> ElementType {
        macro_rules! name {
            ($($variant:ident),*) => {
                match self { $(Self::$variant(_) => ElementType::$variant,)* }
            };
        }
        name!(
            F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64, Bool
        )
    }

    /// As double precision: exact for all types but 64-bit integers beyond 2^53; `true` is 1.
    pub fn to_f64(&self) -> Vec<f64> {
        use num::ToF64;
        for_numbers!(
            self,
            v => v.iter().map(|&value| value.to_f64()).collect(),
            b => b.iter().map(|&value| f64::from(u8::from(value))).collect()
        )
    }

    /// As single precision, rounded to nearest where it does not fit.
    pub fn into_f32(self) -> Vec<f32> {
        match self {
            Self::F32(values) => values,
            Self::F16(values) => values.into_iter().map(f16::to_f32).collect(),
            Self::BF16(values) => values.into_iter().map(bf16::to_f32).collect(),
            other => other.to_f64().into_iter().map(|v| v as f32).collect(),
        }
    }

    /// As a tensor of the same element type; those that candle lacks become the next wider one
    /// (`i8` to `i16`, `u16` to `u32`) and `bool` becomes `u8`.
    pub(crate) fn into_tensor(
        self,
        shape: &[usize],
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        match self {
            Self::F32(v) => Tensor::from_vec(v, shape, device),
            Self::F64(v) => Tensor::from_vec(v, shape, device),
            Self::F16(v) => Tensor::from_vec(v, shape, device),
            Self::BF16(v) => Tensor::from_vec(v, shape, device),
            Self::I8(v) => Tensor::from_vec(v.into_iter().map(i16::from).collect(), shape, device),
            Self::I16(v) => Tensor::from_vec(v, shape, device),
            Self::I32(v) => Tensor::from_vec(v, shape, device),
            Self::I64(v) => Tensor::from_vec(v, shape, device),
            Self::U8(v) => Tensor::from_vec(v, shape, device),
            Self::U16(v) => Tensor::from_vec(v.into_iter().map(u32::from).collect(), shape, device),
            Self::U32(v) => Tensor::from_vec(v, shape, device),
            Self::U64(v) => {
                let signed: Result<Vec<i64>, _> = v.into_iter().map(i64::try_from).collect();
                Tensor::from_vec(signed.map_err(candle_core::Error::wrap)?, shape, device)
            }
            Self::Bool(v) => Tensor::from_vec(v.into_iter().map(u8::from).collect(), shape, device),
        }
    }
}

/// Widening of every number type to double precision.
mod num {
    use half::{bf16, f16};

    pub(super) trait ToF64 {
        fn to_f64(self) -> f64;
    }

    macro_rules! widen {
        ($($type:ty),*) => { $(impl ToF64 for $type {
            fn to_f64(self) -> f64 { f64::from(self) }
        })* };
    }
    widen!(f32, f64, f16, bf16, i8, i16, i32, u8, u16, u32);

    impl ToF64 for i64 {
        fn to_f64(self) -> f64 {
            self as f64
        }
    }

    impl ToF64 for u64 {
        fn to_f64(self) -> f64 {
            self as f64
        }
    }
}

/// A tensor outside candle: it has all element types that files have.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// The size of each axis.
    pub shape: Vec<usize>,
    /// The values in row-major order.
    pub values: Values,
}

impl Array {
    /// As a candle tensor; element types that candle lacks become the next wider one
    /// (`i8` to `i16`, `u16` to `u32`, `u64` to `i64`), and `bool` becomes `u8`.
    ///
    /// # Errors
    /// Fails if a `u64` does not fit or the device refuses.
    pub fn into_tensor(self, device: &Device) -> candle_core::Result<Tensor> {
        self.values.into_tensor(&self.shape, device)
    }
}

/// Appends floating-point values, given by their little-endian bytes, as those of `f32`.
/// `false`, and nothing appended, if the element type is not a floating-point type.
pub(crate) fn append_as_f32(element: ElementType, bytes: &[u8], out: &mut Vec<u8>) -> bool {
    macro_rules! convert {
        ($type:ty, $to:expr) => {{
            let (pieces, _) = bytes.as_chunks();
            for &piece in pieces {
                out.extend_from_slice(&$to(<$type>::from_le_bytes(piece)).to_le_bytes());
            }
        }};
    }
    match element {
        ElementType::F32 => out.extend_from_slice(bytes),
        ElementType::F16 => convert!(f16, f16::to_f32),
        ElementType::BF16 => convert!(bf16, bf16::to_f32),
        ElementType::F64 => convert!(f64, |value: f64| value as f32),
        _ => return false,
    }
    true
}
