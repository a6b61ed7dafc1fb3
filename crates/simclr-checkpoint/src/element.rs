//! Element types and typed values.

use std::fmt;

use candle_core::{DType, Device, Tensor};
use half::{bf16, f16};
use serde::{Deserialize, Serialize};

/// A Rust type that elements in files have.
trait Element: Sized {
    /// Appends the elements in little-endian `bytes`; an incomplete one at the end is ignored.
    fn decode(bytes: &[u8], values: &mut Vec<Self>);
    /// The little-endian bytes of elements, in place of what `bytes` holds.
    fn encode(values: &[Self], bytes: &mut Vec<u8>);
    fn to_f64(&self) -> f64;
}

macro_rules! numbers {
    ($($type:ty: $to_f64:expr),* $(,)?) => { $(
        impl Element for $type {
            fn decode(bytes: &[u8], values: &mut Vec<Self>) {
                let (pieces, _) = bytes.as_chunks();
                values.extend(pieces.iter().map(|&piece| Self::from_le_bytes(piece)));
            }
            fn encode(values: &[Self], bytes: &mut Vec<u8>) {
                bytes.resize(size_of_val(values), 0);
                let (pieces, _) = bytes.as_chunks_mut();
                for (piece, value) in pieces.iter_mut().zip(values) {
                    *piece = value.to_le_bytes();
                }
            }
            fn to_f64(&self) -> f64 {
                $to_f64(*self)
            }
        }
    )* };
}
numbers! {
    f32: f64::from, f64: f64::from, f16: f64::from, bf16: f64::from,
    i8: f64::from, i16: f64::from, i32: f64::from, i64: |value| value as f64,
    u8: f64::from, u16: f64::from, u32: f64::from, u64: |value| value as f64,
}

impl Element for bool {
    fn decode(bytes: &[u8], values: &mut Vec<Self>) {
        values.extend(bytes.iter().map(|&byte| byte != 0));
    }
    fn encode(values: &[Self], bytes: &mut Vec<u8>) {
        bytes.clear();
        bytes.extend(values.iter().map(|&value| u8::from(value)));
    }
    fn to_f64(&self) -> f64 {
        f64::from(u8::from(*self))
    }
}

/// Everything that lists the element types: one line each, with the type in safetensors and the
/// type in candle, which is the next wider one where candle has no such type.
macro_rules! element_types {
    ($(
        $(#[$doc:meta])*
        $name:ident: $type:ty, $safetensors:ident, $wide:ty $(, $same:ident)?;
    )*) => {
        /// The type of a tensor's elements.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        #[non_exhaustive]
        pub enum ElementType {
            $(#[doc = concat!("`", stringify!($type), "`")] $(#[$doc])* $name,)*
        }

        /// The values of a tensor in row-major order.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum Values {
            $(#[doc = concat!("`", stringify!($type), "`")] $(#[$doc])* $name(Vec<$type>),)*
        }

        impl ElementType {
            /// Bytes of one element.
            pub const fn size(self) -> usize {
                match self { $(Self::$name => size_of::<$type>(),)* }
            }

            pub(crate) fn of_candle(dtype: DType) -> Option<Self> {
                match dtype {
                    $($(DType::$same => Some(Self::$name),)?)*
                    _ => None,
                }
            }

            pub(crate) fn of_safetensors(dtype: safetensors::Dtype) -> Option<Self> {
                match dtype {
                    $(safetensors::Dtype::$safetensors => Some(Self::$name),)*
                    _ => None,
                }
            }

            pub(crate) fn safetensors(self) -> safetensors::Dtype {
                match self { $(Self::$name => safetensors::Dtype::$safetensors,)* }
            }
        }

        impl Values {
            /// An empty list with room for `count` values.
            pub(crate) fn with_capacity(element: ElementType, count: usize) -> Self {
                match element { $(ElementType::$name => Self::$name(Vec::with_capacity(count)),)* }
            }

            /// Appends values from their little-endian bytes; incomplete values at the end are
            /// ignored.
            pub(crate) fn extend_from_le_bytes(&mut self, bytes: &[u8]) {
                match self { $(Self::$name(values) => Element::decode(bytes, values),)* }
            }

            /// The values of a tensor; `None` if files have no such element type.
            pub(crate) fn of_tensor(tensor: &Tensor) -> candle_core::Result<Option<Self>> {
                let flat = tensor.flatten_all()?;
                Ok(Some(match tensor.dtype() {
                    $($(DType::$same => Self::$name(flat.to_vec1()?),)?)*
                    _ => return Ok(None),
                }))
            }

            fn into_tensor(self, shape: &[usize], device: &Device) -> candle_core::Result<Tensor> {
                match self { $(Self::$name(values) => {
                    let values = values.into_iter().map(<$wide>::try_from);
                    let values: Result<Vec<_>, _> = values.collect();
                    Tensor::from_vec(values.map_err(candle_core::Error::wrap)?, shape, device)
                })* }
            }

            /// Passes the values on as little-endian bytes, in pieces of `count` values.
            pub(crate) fn for_each_le_chunk<E>(
                &self,
                count: usize,
                mut visit: impl FnMut(&[u8]) -> Result<(), E>,
            ) -> Result<(), E> {
                let mut bytes = Vec::new();
                match self { $(Self::$name(values) => for piece in values.chunks(count) {
                    Element::encode(piece, &mut bytes);
                    visit(&bytes)?;
                })* }
                Ok(())
            }

            /// The type of the values.
            pub fn element_type(&self) -> ElementType {
                match self { $(Self::$name(_) => ElementType::$name,)* }
            }

            /// The number of values.
            pub fn len(&self) -> usize {
                match self { $(Self::$name(values) => values.len(),)* }
            }

            /// As double precision: exact for all types but 64-bit integers beyond 2^53; `true`
            /// is 1.
            pub fn to_f64(&self) -> Vec<f64> {
                match self {
                    $(Self::$name(values) => values.iter().map(Element::to_f64).collect(),)*
                }
            }
        }
    };
}
element_types! {
    F32: f32, F32, f32, F32;
    F64: f64, F64, f64, F64;
    /// (IEEE half precision)
    F16: f16, F16, f16, F16;
    /// (the upper half of a single-precision number)
    BF16: bf16, BF16, bf16, BF16;
    I8: i8, I8, i16;
    I16: i16, I16, i16, I16;
    I32: i32, I32, i32, I32;
    I64: i64, I64, i64, I64;
    U8: u8, U8, u8, U8;
    U16: u16, U16, u32;
    U32: u32, U32, u32, U32;
    U64: u64, U64, i64;
    /// (truth values, one byte each)
    Bool: bool, BOOL, u8;
}

impl ElementType {
    /// Whether it is one of the floating-point types.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64 | Self::F16 | Self::BF16)
    }

    /// The bytes of a tensor of this shape; `None` if they cannot be counted in 64 bits.
    pub(crate) fn byte_count(self, shape: &[usize]) -> Option<u64> {
        element_count(shape)?.checked_mul(self.size() as u64)
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{self:?}").to_lowercase())
    }
}

/// The elements of a tensor of this shape; `None` if they cannot be counted in 64 bits.
pub(crate) fn element_count(shape: &[usize]) -> Option<u64> {
    let mut sizes = shape.iter();
    sizes.try_fold(1u64, |product, &size| product.checked_mul(size as u64))
}

impl Values {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As single precision, rounded to nearest where it does not fit.
    pub fn into_f32(self) -> Vec<f32> {
        match self {
            Self::F32(values) => values,
            other => {
                let values = other.to_f64().into_iter();
                values.map(|value| value as f32).collect()
            }
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
