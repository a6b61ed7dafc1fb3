//! Files that PyTorch has pickled.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::pickle::{PthTensors, TensorInfo};
use candle_core::{DType, Tensor};

use super::source_variable::SourceVariable;
use crate::element::ElementType;
use crate::error::{Error, InFile, Result};
use crate::ranged_file::RangedFile;

/// Under these names training scripts put the parameters into a pickled dictionary. The one with
/// the most tensors counts.
const STATE_DICTIONARIES: [Option<&str>; 5] = [
    None,
    Some("state_dict"),
    Some("model"),
    Some("model_state"),
    Some("model_state_dict"),
];

/// The first bytes of what PyTorch wrote before version 1.6: a pickled magic number.
pub(super) const LEGACY_PICKLE: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46";

/// The table of a zip file's contents stands at its end; this much of it is looked at.
const TABLE_BYTES: u64 = 1 << 20;

/// An open file written by PyTorch.
pub(super) struct PickleFile {
    path: PathBuf,
    length: u64,
    tensors: PthTensors,
}

impl PickleFile {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = RangedFile::open(path)?;
        let mut largest: Option<PthTensors> = None;
        let mut first_error = None;
        for key in STATE_DICTIONARIES {
            match PthTensors::new(path, key) {
                Ok(tensors) => {
                    let count = |tensors: &PthTensors| tensors.tensor_infos().len();
                    if count(&tensors) > largest.as_ref().map_or(0, count) {
                        largest = Some(tensors);
                    }
                }
                Err(error) => drop(first_error.get_or_insert(error)),
            }
        }
        let Some(tensors) = largest else {
            let reason = first_error.map_or_else(String::new, |error| format!(": {error}"));
            return Err(what_else(&file)?.unwrap_or_else(|| {
                let what = "no dictionary of tensors (`state_dict`) saved by PyTorch";
                Error::malformed(path, format!("{what}{reason}"))
            }));
        };
        Ok(Self {
            path: path.to_owned(),
            length: file.length(),
            tensors,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn variables(&self) -> BTreeMap<String, SourceVariable> {
        let infos = self.tensors.tensor_infos().values();
        let variable = |info: &TensorInfo| SourceVariable {
            shape: info.layout.dims().to_vec(),
            data_type: format!("{:?}", info.dtype).to_lowercase(),
            element: ElementType::of_candle(info.dtype),
        };
        infos
            .map(|info| (info.name.clone(), variable(info)))
            .collect()
    }

    pub(super) fn read_f32(&self, name: &str) -> Result<Vec<f32>> {
        let not_found = || Error::not_found(&self.path, name, String::new());
        let info = self.tensors.tensor_infos().get(name);
        let TensorInfo { dtype, layout, .. } = info.ok_or_else(not_found)?;
        // PyTorch stores without compression: what a tensor needs must be there.
        let shape = layout.dims();
        let size = ElementType::of_candle(*dtype).and_then(|element| element.byte_count(shape));
        if size.is_none_or(|size| size > self.length) {
            let reason = format!("{name}: shape {shape:?} in a file of {} bytes", self.length);
            return Err(Error::malformed(&self.path, reason));
        }
        if !layout.is_contiguous() && !layout.is_fortran_contiguous() {
            let what = format!("tensor `{name}`");
            let reason = "it is not contiguous (of a channels-last network?); save the tensors' \
                          `.contiguous()`";
            return Err(Error::unsupported(&self.path, what, reason));
        }
        let values = |tensor: Tensor| tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1();
        let tensor = self.tensors.get(name).in_file(&self.path)?;
        values(tensor.ok_or_else(not_found)?).in_file(&self.path)
    }
}

/// What a file is that has no tensors of PyTorch's in it, if that can be told.
fn what_else(file: &RangedFile) -> Result<Option<Error>> {
    let first = file.read("first bytes", 0, file.length().min(8))?;
    if first == LEGACY_PICKLE {
        let reason = "load it with PyTorch and save it again";
        let what = "a file saved by PyTorch before 1.6";
        return Ok(Some(Error::unsupported(file.path(), what, reason)));
    }
    let length = file.length().min(TABLE_BYTES);
    let table = file.read("table of contents", file.length() - length, length)?;
    let names = |text: &str| {
        let mut windows = table.windows(text.len());
        windows.any(|window| window == text.as_bytes())
    };
    if names("data.pkl") || !names(".index") || !names(".data-0") {
        return Ok(None);
    }
    let what = "a zipped TensorFlow checkpoint";
    let reason = "unpack it and import the folder";
    Ok(Some(Error::unsupported(file.path(), what, reason)))
}
