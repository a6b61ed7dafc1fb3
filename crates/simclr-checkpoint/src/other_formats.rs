//! Files that are no checkpoints of a form that is read, but are often taken for one.

use std::borrow::Cow;

use crate::error::{Error, Result};
use crate::ranged_file::RangedFile;

/// The first bytes of a zip archive, which is what PyTorch writes.
pub(crate) const ZIP: &[u8] = b"PK\x03\x04";

/// The number that began every file of PyTorch's before version 1.6, as pickles write it.
const LEGACY_NUMBER: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
const LEGACY_DIGITS: &[u8] = b"119547037146038801333356";

/// What follows the first four bytes of a file of TensorFlow Lite.
const TFLITE: &[u8] = b"TFL3";

/// Beginnings that tell a format, what it is called, and what to do.
const BEGINNINGS: [(&[u8], &str, &str); 10] = [
    (b"\x1f\x8b", ARCHIVE, UNPACK),
    (b"BZh", ARCHIVE, UNPACK),
    (b"\xfd7zXZ", ARCHIVE, UNPACK),
    (b"\x28\xb5\x2f\xfd", ARCHIVE, UNPACK),
    (b"7z\xbc\xaf", ARCHIVE, UNPACK),
    (b"Rar!", ARCHIVE, UNPACK),
    (
        b"\x89HDF\r\n",
        "a file of HDF5 (Keras weights)",
        "load it with TensorFlow and save a checkpoint",
    ),
    (
        b"version https://git-lfs",
        "a pointer of Git LFS",
        "fetch the file itself with `git lfs pull`",
    ),
    (b"\x93NUMPY", "an array of NumPy", SAVE_TENSORS),
    (b"GGUF", "a file of GGUF", SAVE_TENSORS),
];
const ARCHIVE: &str = "an archive";
const UNPACK: &str = "unpack it and import what is in it";
const SAVE_TENSORS: &str = "save the network's tensors as safetensors or with PyTorch";

/// Characters of a text that an error repeats.
const QUOTED: usize = 40;

/// The first bytes of a file, as many as tell its format.
pub(crate) fn beginning(file: &RangedFile) -> Result<Vec<u8>> {
    file.read("first bytes", 0, file.length().min(512))
}

/// Whether a file begins like safetensors: a length, then a JSON object.
pub(crate) fn is_safetensors(first: &[u8]) -> bool {
    matches!(first, [_, _, _, _, _, 0, 0, 0, b'{', ..])
}

/// Whether a file begins like an index of the parts of a checkpoint, a JSON object.
pub(crate) fn is_index(first: &[u8]) -> bool {
    const KEY: &[u8] = b"\"weight_map\"";
    first.trim_ascii_start().starts_with(b"{") && first.windows(KEY.len()).any(|text| text == KEY)
}

/// Calls the file what it is, if its first bytes tell. For files that turned out not to be what
/// their reader expects: the values of a sound file may begin with anything.
pub(crate) fn check(file: &RangedFile) -> Result<()> {
    let first = &beginning(file)?[..];
    let within = |count: usize, text: &[u8]| {
        let part = first.get(..count).unwrap_or(first);
        part.windows(text.len()).any(|window| window == text)
    };
    let known = BEGINNINGS.iter().find(|known| first.starts_with(known.0));
    let (what, advice) = if first.is_empty() {
        return Err(Error::malformed(
            file.path(),
            "0 bytes: the file is empty, too short for any format",
        ));
    } else if within(32, LEGACY_NUMBER) || within(64, LEGACY_DIGITS) {
        (
            Cow::from("a file saved by PyTorch before 1.6"),
            "load it with PyTorch and save it again",
        )
    } else if matches!(first, [0x80, 2..=5, ..]) {
        (
            "a pickle not written by `torch.save`".into(),
            "save a dictionary of tensors with PyTorch",
        )
    } else if let Some((_, what, advice)) = known {
        (Cow::from(*what), *advice)
    } else if first.get(257..262) == Some(b"ustar") {
        (ARCHIVE.into(), UNPACK)
    } else if first.get(4..8) == Some(TFLITE) {
        ("a file of TensorFlow Lite".into(), SAVE_TENSORS)
    } else if let Some(what) = of_word(first) {
        (what.into(), SAVE_TENSORS)
    } else if let Some(text) = text(first) {
        of_text(text)
    } else {
        return Ok(());
    };
    Err(Error::unsupported(file.path(), what, advice))
}

/// What begins with a number and a word: graphs with the program that wrote them, parameters with
/// the name of the first.
fn of_word(first: &[u8]) -> Option<&'static str> {
    let (length, rest, what) = match first {
        [0x08, _, 0x12, length, rest @ ..] => (*length, rest, "a graph of ONNX"),
        [0x81..=0x8f, length @ 0xa1..=0xbf, rest @ ..] => {
            (length - 0xa0, rest, "a file of MessagePack (Flax)")
        }
        _ => return None,
    };
    let word = rest.get(..usize::from(length))?;
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
    word.iter().all(is_word).then_some(what)
}

/// The beginning of a text, if the file is one.
fn text(first: &[u8]) -> Option<&str> {
    let text = match std::str::from_utf8(first) {
        Ok(text) => text,
        // The last character may be cut.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(first.get(..error.valid_up_to())?).ok()?
        }
        Err(_) => return None,
    };
    let is_binary = |character: char| character.is_control() && !character.is_whitespace();
    let text = text.trim_start_matches('\u{feff}').trim();
    (!text.is_empty() && !text.contains(is_binary)).then_some(text)
}

fn of_text(text: &str) -> (Cow<'static, str>, &'static str) {
    let lower = text.to_lowercase();
    if lower.starts_with("<!doctype html") || lower.starts_with("<html") {
        (
            "a web page".into(),
            "the download gave it in place of the file",
        )
    } else if is_index(text.as_bytes()) {
        (
            "a list of the parts of a checkpoint".into(),
            "save the network as one file, or in parts of safetensors; one part alone is no network",
        )
    } else {
        let line: String = text.lines().flat_map(str::chars).take(QUOTED).collect();
        (
            format!("a text file (it begins `{line}`)").into(),
            "a download may have given it in place of the file",
        )
    }
}
