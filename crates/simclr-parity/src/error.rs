//! The errors of the comparison.

/// Why a case could not be judged.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The recorded material is not as expected.
    #[error(transparent)]
    Golden(#[from] simclr_testkit::Error),
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// A kernel failed.
    #[error(transparent)]
    Kernels(#[from] simclr_kernels::Error),
    /// A loss failed.
    #[error(transparent)]
    Loss(#[from] simclr_loss::Error),
    /// Training or evaluation failed.
    #[error(transparent)]
    Train(#[from] simclr_train::Error),
    /// Optimizer or schedule failed.
    #[error(transparent)]
    Optim(#[from] simclr_optim::Error),
    /// The evaluation failed.
    #[error(transparent)]
    Eval(#[from] simclr_eval::Error),
    /// A checkpoint could not be read.
    #[error(transparent)]
    Checkpoint(#[from] simclr_checkpoint::Error),
    /// A recorded archive could not be unpacked.
    #[error("{path}: {reason}")]
    Archive {
        /// The file.
        path: std::path::PathBuf,
        /// The unpacker's reason.
        reason: zip::result::ZipError,
    },
    /// A folder for unpacked files could not be made.
    #[error("temporary folder: {0}")]
    Temporary(std::io::Error),
    /// An image operation failed.
    #[error(transparent)]
    Augment(#[from] simclr_augment::Error),
    /// The model could not be built or run.
    #[error(transparent)]
    Model(#[from] simclr_model::Error),
    /// A recorded image file could not be read.
    #[error(transparent)]
    Data(#[from] simclr_data::Error),
}

/// The result of judging.
pub type Result<T, E = Error> = std::result::Result<T, E>;
