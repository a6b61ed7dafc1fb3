//! Why NCCL cannot be used.

/// What can go wrong before the first operation. Later errors are those of
/// [`simclr_collective::Error`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The device is no GPU of Nvidia's.
    #[error("NCCL: expected a CUDA device, found {found}")]
    Device {
        /// Where the device is.
        found: String,
    },
    /// NCCL or CUDA refuses.
    #[error("NCCL: {action}: {reason}")]
    Unavailable {
        /// What was tried.
        action: &'static str,
        /// What the library says.
        reason: String,
    },
    /// The ranks cannot reach each other.
    #[error(transparent)]
    Collective(#[from] simclr_collective::Error),
}

/// The result of joining.
pub type Result<T, E = Error> = std::result::Result<T, E>;
