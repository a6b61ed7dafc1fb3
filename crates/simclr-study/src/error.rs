//! The errors of studies.

use std::path::{Path, PathBuf};

/// What can go wrong in a study.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of a study is not what it should be.
    #[error("{}: {reason}", path.display())]
    StudyFile {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        reason: String,
    },
    /// A setting is out of its range.
    #[error("{name}: expected {expected}, found {found}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// The values it may have.
        expected: String,
        /// The value it has.
        found: String,
    },
    /// Features of a network that nothing can be computed with.
    #[error(
        "the features of \"{method}\" for {image} are not finite, or too large to compute with; if \
         it was trained here, its training diverged: try a smaller learning rate than \
         {learning_rate}, more epochs of warm-up or a higher temperature"
    )]
    NotFinite {
        /// The method whose network it is.
        method: String,
        /// The first image with such features.
        image: String,
        /// Of self-supervision, before it is scaled with the batch.
        learning_rate: f64,
    },
    /// The study was paused between two cells; running it again goes on from there.
    #[error("the study in {} was paused; the same command goes on from there", dir.display())]
    Paused {
        /// The study's folder.
        dir: PathBuf,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] simclr_files::Error),
    /// The images cannot be prepared that way.
    #[error(transparent)]
    Augment(#[from] simclr_augment::Error),
    /// The data cannot be read or divided.
    #[error(transparent)]
    Data(#[from] simclr_data::Error),
    /// The network cannot be built.
    #[error(transparent)]
    Model(#[from] simclr_model::Error),
    /// A network file cannot be read.
    #[error(transparent)]
    Checkpoint(Box<simclr_checkpoint::Error>),
    /// A network cannot be evaluated.
    #[error(transparent)]
    Eval(#[from] simclr_eval::Error),
    /// A network cannot be trained.
    #[error(transparent)]
    Train(Box<simclr_train::Error>),
    /// A report cannot be made.
    #[error(transparent)]
    Report(#[from] simclr_report::Error),
    /// A kernel failed.
    #[error(transparent)]
    Kernels(#[from] simclr_kernels::Error),
    /// An error of the caller's own code.
    #[error(transparent)]
    Foreign(#[from] Box<dyn std::error::Error + Send + Sync>),
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<simclr_checkpoint::Error> for Error {
    fn from(error: simclr_checkpoint::Error) -> Self {
        Self::Checkpoint(Box::new(error))
    }
}

impl From<simclr_train::Error> for Error {
    fn from(error: simclr_train::Error) -> Self {
        Self::Train(Box::new(error))
    }
}

impl Error {
    pub(crate) fn setting(
        name: &'static str,
        expected: impl Into<String>,
        found: impl ToString,
    ) -> Self {
        Self::Setting {
            name,
            expected: expected.into(),
            found: found.to_string(),
        }
    }

    /// For `map_err`: an input/output error together with the path it is about.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let error = simclr_files::Error::io(path);
        move |reason| Self::File(error(reason))
    }
}
