//! CRC-32C as LevelDB and TensorFlow store it: masked, so that the checksum of bytes that
//! contain checksums stays a good one.

use std::path::Path;

use crate::{Error, Result};

const MASK_DELTA: u32 = 0xa282_ead8;

/// The checksum from its stored form.
pub(crate) fn unmask(stored: u32) -> u32 {
    stored.wrapping_sub(MASK_DELTA).rotate_left(15)
}

/// Fails unless the checksum is the one that was stored (masked). Fuzzers do not find
/// checksums, so they are let through (`--cfg fuzzing`), to whatever lies behind.
pub(crate) fn check(path: &Path, what: &str, stored: u32, computed: u32) -> Result<()> {
    if cfg!(fuzzing) || unmask(stored) == computed {
        return Ok(());
    }
    Err(Error::Checksum {
        path: path.to_owned(),
        what: what.to_owned(),
        stored: unmask(stored),
        computed,
    })
}
