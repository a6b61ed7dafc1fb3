//! The JSON files of labelling programs.

use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};

/// What Windows' editors put before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

pub(crate) fn read_json(path: &Path) -> Result<Value> {
    let bytes = std::fs::read(path).map_err(simclr_files::Error::io(path))?;
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
    serde_json::from_slice(text).map_err(Error::malformed(path))
}
