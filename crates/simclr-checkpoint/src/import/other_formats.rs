//! Files that are no checkpoints of a form that is read, but are often taken for one.

use std::path::Path;

use crate::Result;
use crate::error::Error;
use crate::ranged_file::RangedFile;

/// The first bytes of a zip archive, which is what PyTorch writes.
pub(super) const ZIP: &[u8] = b"PK\x03\x04";

/// The number that began every file of PyTorch's before version 1.6, as pickles write it.
const LEGACY_NUMBER: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
const LEGACY_DIGITS: &[u8] = b"119547037146038801333356";

/// The first bytes of a file, as many as tell its format.
pub(super) fn beginning(path: &Path) -> Result<Vec<u8>> {
    let file = RangedFile::open(path)?;
    file.read("first bytes", 0, file.length().min(512))
}

/// Whether a file begins like safetensors: a length, then a JSON object.
pub(super) fn is_safetensors(first: &[u8]) -> bool {
    matches!(first, [_, _, _, _, _, 0, 0, 0, b'{', ..])
}

/// Calls the file what it is, if its first bytes tell.
pub(super) fn check(path: &Path, first: &[u8]) -> Result<()> {
    let within = |count: usize, text: &[u8]| {
        let part = first.get(..count).unwrap_or(first);
        part.windows(text.len()).any(|window| window == text)
    };
    let begins = |texts: &[&[u8]]| texts.iter().any(|text| first.starts_with(text));
    let (what, advice) = if within(32, LEGACY_NUMBER) || within(64, LEGACY_DIGITS) {
        (
            "a file saved by PyTorch before 1.6",
            "load it with PyTorch and save it again",
        )
    } else if matches!(first, [0x80, 2..=5, ..]) {
        (
            "a pickle not written by `torch.save`",
            "save a dictionary of tensors with PyTorch",
        )
    } else if begins(&[b"\x1f\x8b", b"BZh", b"\xfd7zXZ"]) || first.get(257..262) == Some(b"ustar") {
        ("an archive", "unpack it and import what is in it")
    } else if begins(&[b"\x89HDF\r\n"]) {
        (
            "a file of HDF5 (Keras weights)",
            "load it with TensorFlow and save a checkpoint",
        )
    } else if begins(&[b"version https://git-lfs"]) {
        (
            "a pointer of Git LFS",
            "fetch the file itself with `git lfs pull`",
        )
    } else if begins(&[b"<!DOCTYPE", b"<!doctype", b"<html", b"<HTML"]) {
        ("a web page", "the download gave it in place of the file")
    } else {
        return Ok(());
    };
    Err(Error::unsupported(path, what, advice))
}
