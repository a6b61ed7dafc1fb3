//! Safetensors written tensor by tensor, in place of the old file only when complete.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use half::{bf16, f16};
use serde_json::{Map, Value, json};
use simclr_files::{DIGEST_PLACEHOLDER, Durability, write_with_digest};

use super::metadata::{DIGEST, DIGEST_AT};
use crate::element::{ElementType, Values};
use crate::error::{Error, InFile, Result};

/// A tensor's entry in the header.
pub(crate) struct TensorHeader {
    pub(crate) name: String,
    pub(crate) element: ElementType,
    pub(crate) shape: Vec<usize>,
}

/// Writes a safetensors file, whose metadata has the SHA-256 of everything in it. `body` is called
/// for what comes with each header, with a writer for exactly its bytes, so that no more than one
/// tensor need be in memory.
pub(crate) fn write_safetensors<T>(
    path: &Path,
    durability: Durability,
    metadata: &BTreeMap<String, String>,
    mut tensors: Vec<(TensorHeader, T)>,
    mut body: impl FnMut(&T, &mut TensorWriter<'_>) -> Result<()>,
) -> Result<()> {
    // Widest elements first, so that every tensor is aligned; then by name.
    let widest = |tensor: &TensorHeader| std::cmp::Reverse(tensor.element.size());
    tensors.sort_by(|(a, _), (b, _)| (widest(a), &a.name).cmp(&(widest(b), &b.name)));
    let (header, lengths) = header(path, metadata, tensors.iter().map(|(tensor, _)| tensor))?;
    write_with_digest(path, durability, DIGEST_AT, |out| {
        out.write_all(&header).in_file(path)?;
        for ((tensor, content), &length) in tensors.iter().zip(&lengths) {
            let mut writer = TensorWriter {
                path,
                tensor,
                out: &mut *out,
                count: 0,
            };
            body(content, &mut writer)?;
            if writer.count != length {
                let count = writer.count;
                let reason = format!("`{}`: wrote {count} bytes, expected {length}", tensor.name);
                return Err(Error::malformed(path, reason));
            }
        }
        Ok(())
    })
}

/// The length prefix and the padded header, and the byte count of each tensor.
fn header<'a>(
    path: &Path,
    metadata: &BTreeMap<String, String>,
    tensors: impl Iterator<Item = &'a TensorHeader>,
) -> Result<(Vec<u8>, Vec<u64>)> {
    // Before all others, at `DIGEST_AT`.
    let mut entries = Map::new();
    entries.insert(DIGEST.into(), json!(DIGEST_PLACEHOLDER));
    entries.extend(
        metadata
            .iter()
            .map(|(name, text)| (name.clone(), json!(text))),
    );
    let mut fields = Map::new();
    fields.insert("__metadata__".into(), Value::Object(entries));
    let mut lengths = Vec::new();
    let mut start = 0u64;
    for tensor in tensors {
        let (name, shape) = (&tensor.name, &tensor.shape);
        let length = tensor.element.byte_count(shape);
        let end = length.and_then(|length| start.checked_add(length));
        let (Some(length), Some(end)) = (length, end) else {
            let reason = format!("`{name}`: too large, shape {shape:?}");
            return Err(Error::malformed(path, reason));
        };
        let entry = json!({
            "dtype": tensor.element.safetensors(),
            "shape": shape,
            "data_offsets": [start, end],
        });
        if fields.insert(name.clone(), entry).is_some() {
            let reason = format!("two tensors with the name `{name}`");
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

/// Writes the bytes of one tensor.
pub(crate) struct TensorWriter<'a> {
    path: &'a Path,
    tensor: &'a TensorHeader,
    out: &'a mut dyn Write,
    /// Bytes written so far.
    count: u64,
}

/// Values converted at once: as `f32` they stay in the second-level cache.
const PIECE: usize = 1 << 16;

impl TensorWriter<'_> {
    /// Writes all values; `f32` becomes the tensor's element type, others must be of it.
    pub(crate) fn write_values(&mut self, values: &Values) -> Result<()> {
        values.for_each_le_chunk(PIECE, |bytes| {
            if values.element_type() == ElementType::F32 {
                self.write_f32(bytes)
            } else {
                self.write_bytes(bytes)
            }
        })
    }

    /// Writes values given as little-endian bytes of `f32`, in the tensor's element type.
    pub(crate) fn write_f32(&mut self, bytes: &[u8]) -> Result<()> {
        match self.tensor.element {
            ElementType::F16 => self.convert(bytes, |value| {
                let half = f16::from_f32(value);
                (half.to_le_bytes(), half.is_infinite())
            }),
            ElementType::BF16 => self.convert(bytes, |value| {
                let half = bf16::from_f32(value);
                (half.to_le_bytes(), half.is_infinite())
            }),
            _ => self.write_bytes(bytes),
        }
    }

    /// `to_half` gives a value's bytes and whether it became infinite.
    fn convert(&mut self, bytes: &[u8], to_half: impl Fn(f32) -> ([u8; 2], bool)) -> Result<()> {
        let (pieces, _) = bytes.as_chunks();
        let mut halves = Vec::with_capacity(bytes.len() / 2);
        for &piece in pieces {
            let value = f32::from_le_bytes(piece);
            let (half, infinite) = to_half(value);
            if infinite && value.is_finite() {
                return Err(Error::Overflow {
                    path: self.path.to_owned(),
                    name: self.tensor.name.clone(),
                    value,
                    element: self.tensor.element,
                });
            }
            halves.extend(half);
        }
        self.write_bytes(&halves)
    }

    fn write_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.count += bytes.len() as u64;
        self.out.write_all(bytes).in_file(self.path)
    }
}
