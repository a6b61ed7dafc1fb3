/// Why a JPEG file was not decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A kind of JPEG that this crate does not decode; neither does TensorFlow.
    #[error("this kind of JPEG is not supported: {0}")]
    Unsupported(String),
    /// The file is truncated or breaks the format's rules.
    #[error("the JPEG file is damaged: {0}")]
    Damaged(String),
}

/// The result of anything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

pub(crate) fn damaged<T>(reason: impl Into<String>) -> Result<T> {
    Err(Error::Damaged(reason.into()))
}

pub(crate) fn unsupported<T>(kind: impl Into<String>) -> Result<T> {
    Err(Error::Unsupported(kind.into()))
}

pub(crate) fn truncated() -> Error {
    Error::Damaged("it is truncated, its end marker is missing".into())
}

pub(crate) fn ends_early() -> Error {
    Error::Damaged("the compressed data end early".into())
}

pub(crate) fn unknown_code() -> Error {
    Error::Damaged("a Huffman code is unknown".into())
}
