//! How tensors are written.

use candle_core::DType;

use crate::element::ElementType;
use crate::setters::setters;
use crate::{Error, Result};

/// How tensors are written.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use simclr_checkpoint::{CheckpointFile, SaveOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("half.safetensors");
/// let half = SaveOptions::default().with_dtype(DType::F16);
/// let mut checkpoint = CheckpointFile::default();
/// checkpoint.tensors.insert("kernel".into(), Tensor::new(&[0.5f32, 0.1], &Device::Cpu)?);
/// checkpoint.save_with(&path, &half)?;
/// let kernel = CheckpointFile::load(&path, &Device::Cpu)?.tensors["kernel"].to_vec1::<f32>()?;
/// assert_eq!(kernel, [0.5, 0.099_975_586]); // rounded to f16, as f32 again
///
/// let large = Tensor::new(&[70_000f32], &Device::Cpu)?;
/// checkpoint.tensors.insert("kernel".into(), large);
/// let error = checkpoint.save_with(&path, &half).unwrap_err();
/// assert!(error.to_string().contains("`kernel` has the value 7e4, which is infinite as f16"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct SaveOptions {
    /// The element type of what is `f32` in memory: [`DType::F32`], [`DType::F16`] (half the
    /// size, values up to 65504, relative error up to 2^-11 above 6e-5) or [`DType::BF16`]
    /// (half the size, the range of `f32`, relative error up to 2^-8). Values are rounded to
    /// nearest, ties to even; one that would become infinite is an error, and no file is
    /// written. Tensors of other types are written as they are. Default: [`DType::F32`].
    ///
    /// Reading widens to `f32` again, unless the file is read with
    /// [`CheckpointFile::load_as_stored`](crate::CheckpointFile::load_as_stored) or
    /// [`SafetensorsReader`](crate::SafetensorsReader).
    pub dtype: DType,
}

impl Default for SaveOptions {
    fn default() -> Self {
        Self { dtype: DType::F32 }
    }
}

impl SaveOptions {
    setters! {
        with_dtype, dtype: DType;
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Setting`] if `dtype` is none of the three.
    pub fn validate(&self) -> Result<()> {
        self.element().map(|_| ())
    }

    /// The element type of what is `f32` in memory.
    pub(crate) fn element(&self) -> Result<ElementType> {
        match self.dtype {
            DType::F32 => Ok(ElementType::F32),
            DType::F16 => Ok(ElementType::F16),
            DType::BF16 => Ok(ElementType::BF16),
            other => Err(Error::Setting {
                setting: "dtype",
                expected: "F32, F16 or BF16".into(),
                found: format!("{other:?}"),
            }),
        }
    }
}
