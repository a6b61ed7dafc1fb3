//! Why a TIFF file is not decoded, in words to be shown after the file's name.

use std::fmt::Display;

pub(super) fn damaged(what: impl Display) -> String {
    format!("the TIFF file is damaged: {what}")
}

pub(super) fn unsupported(kind: impl Display) -> String {
    format!("this kind of TIFF is not read: {kind}")
}
