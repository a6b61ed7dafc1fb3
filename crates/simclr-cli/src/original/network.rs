//! The networks that command lines name.

use std::path::Path;

use candle_core::Device;
use simclr_checkpoint::{LoadNetwork, SafetensorsReader, import};
use simclr_model::SimClr;

use crate::terminal::{AnyResult, say};

/// Whether a network is in our format: a file of safetensors that is not of another library's.
pub(super) fn is_ours(path: &Path) -> bool {
    let is_safetensors = path.extension().is_some_and(|kind| kind == "safetensors");
    is_safetensors && path.is_file() && !SafetensorsReader::open(path).is_ok_and(is_foreign)
}

fn is_foreign(file: SafetensorsReader) -> bool {
    !file.metadata().contains_key("format_version")
}

/// A network in our format, or one to be imported.
pub(super) fn load(path: &Path, device: &Device) -> AnyResult<SimClr> {
    if is_ours(path) {
        return Ok(SimClr::load(path, device)?);
    }
    let imported = import(path)?;
    say(imported.report.to_string().trim_end());
    Ok(imported.model(device)?)
}
