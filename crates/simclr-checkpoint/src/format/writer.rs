//! Safetensors written tensor by tensor, in place of the old file only when complete.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::element::ElementType;
use crate::{Error, Result};
use simclr_files::{Durability, write_atomically};

/// A tensor that will be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TensorPlan {
    pub(crate) name: String,
    pub(crate) element: ElementType,
    pub(crate) shape: Vec<usize>,
}

/// Writes a safetensors file. `body` is called for each tensor with its position in `tensors`
/// and a writer for exactly its bytes, so that no more than one tensor need be in memory.
pub(crate) fn write_safetensors(
    path: &Path,
    durability: Durability,
    metadata: &BTreeMap<String, String>,
    tensors: &[TensorPlan],
    mut body: impl FnMut(usize, &mut dyn Write) -> Result<()>,
) -> Result<()> {
    let mut order: Vec<usize> = (0..tensors.len()).collect();
    // Widest elements first, so that every tensor is aligned; then by name.
    let key = |&index: &usize| {
        tensors
            .get(index)
            .map(|t| (std::cmp::Reverse(t.element.size()), t.name.as_str()))
    };
    order.sort_by(|a, b| key(a).cmp(&key(b)));
    let ordered = order
        .iter()
        .filter_map(|&index| Some((index, tensors.get(index)?)));
    let (header, lengths) = header(path, metadata, ordered.clone().map(|(_, tensor)| tensor))?;
    write_atomically(path, durability, |out| {
        out.write_all(&header).map_err(Error::io(path))?;
        for ((index, tensor), &length) in ordered.zip(&lengths) {
            let mut counted = Counted {
                out: &mut *out,
                count: 0,
            };
            body(index, &mut counted)?;
            if counted.count != length {
                let count = counted.count;
                return Err(Error::malformed(
                    path,
                    format!("`{}`: wrote {count} bytes, expected {length}", tensor.name),
                ));
            }
        }
        Ok(())
    })
}

/// The length prefix and the padded header, and the byte count of each tensor.
fn header<'a>(
    path: &Path,
    metadata: &BTreeMap<String, String>,
    tensors: impl Iterator<Item = &'a TensorPlan>,
) -> Result<(Vec<u8>, Vec<u64>)> {
    let mut fields = Map::new();
    fields.insert("__metadata__".into(), json!(metadata));
    let mut lengths = Vec::new();
    let mut start = 0u64;
    for tensor in tensors {
        let length = tensor.element.byte_count(&tensor.shape);
        let end = length.and_then(|length| start.checked_add(length));
        let (Some(length), Some(end)) = (length, end) else {
            return Err(Error::malformed(
                path,
                format!("`{}`: too large, shape {:?}", tensor.name, tensor.shape),
            ));
        };
        let entry = json!({
            "dtype": tensor.element.safetensors(),
            "shape": tensor.shape,
            "data_offsets": [start, end],
        });
        if fields.insert(tensor.name.clone(), entry).is_some() {
            let reason = format!("two tensors with the name `{}`", tensor.name);
            return Err(Error::malformed(path, reason));
        }
        lengths.push(length);
        start = end;
    }
    let mut text = Value::Object(fields).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.append(&mut text);
    Ok((bytes, lengths))
}

struct Counted<'a> {
    out: &'a mut dyn Write,
    count: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}
