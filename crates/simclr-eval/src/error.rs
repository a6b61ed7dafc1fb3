//! The errors of evaluation.

use std::path::PathBuf;

/// What can go wrong while features are extracted or classifiers are evaluated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Features, labels or scores do not fit together.
    #[error("{operation}: {reason}")]
    Evaluation {
        /// What was to be computed.
        operation: &'static str,
        /// What was found and what was expected.
        reason: String,
    },
    /// A setting is out of range.
    #[error("{setting}: expected {expected}, found {found}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// The values it may have.
        expected: String,
        /// The value it has.
        found: String,
    },
    /// Features that nothing can be computed with: the network is damaged, or its training came to
    /// nothing.
    #[error("{image}: the network's features are not finite, or too large to compute with")]
    NotFinite {
        /// The first image with such features.
        image: String,
    },
    /// A network without a supervised head cannot tell classes.
    #[error("{}: the network has no supervised head, so it cannot tell classes", path.as_ref().map_or("classifier".into(), |path| path.display().to_string()))]
    NoSupervisedHead {
        /// The network's file, if it was read from one.
        path: Option<PathBuf>,
    },
    /// The images cannot be prepared that way.
    #[error(transparent)]
    Augment(#[from] simclr_augment::Error),
    /// The data cannot be read.
    #[error(transparent)]
    Data(#[from] simclr_data::Error),
    /// The network cannot be built or run.
    #[error(transparent)]
    Model(#[from] simclr_model::Error),
    /// The loss cannot be computed.
    #[error(transparent)]
    Loss(#[from] simclr_loss::Error),
    /// The optimizer cannot take a step.
    #[error(transparent)]
    Optim(#[from] simclr_optim::Error),
    /// A network file cannot be read.
    #[error(transparent)]
    Checkpoint(Box<simclr_checkpoint::Error>),
    /// A table or figure cannot be made.
    #[error(transparent)]
    Report(#[from] simclr_report::Error),
    /// A kernel failed.
    #[error(transparent)]
    Kernels(#[from] simclr_kernels::Error),
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

impl Error {
    pub(crate) fn setting(
        setting: &'static str,
        expected: impl Into<String>,
        found: impl ToString,
    ) -> Self {
        Self::Setting {
            setting,
            expected: expected.into(),
            found: found.to_string(),
        }
    }

    pub(crate) fn unknown_class(operation: &'static str, class: u32, classes: usize) -> Self {
        Self::evaluation(
            operation,
            format!("class {class} in a set of {classes} classes"),
        )
    }

    pub(crate) fn evaluation(operation: &'static str, reason: impl Into<String>) -> Self {
        Self::Evaluation {
            operation,
            reason: reason.into(),
        }
    }
}
