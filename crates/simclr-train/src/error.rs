//! The errors of training, recording and reporting.

use std::path::{Path, PathBuf};

/// What can go wrong while a network is trained or a run is recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] simclr_files::Error),
    /// A file of a run folder is not what it should be.
    #[error("{path}: {reason}")]
    RunFile {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        reason: String,
    },
    /// A run folder belongs to a run with other settings or other data.
    #[error(
        "{dir} holds a run with another configuration; take another folder, or the recorded \
         values: {}",
        differences.join("; ")
    )]
    RunDiffers {
        /// The run folder.
        dir: PathBuf,
        /// One line per field: its path, the recorded value and the value now.
        differences: Vec<String>,
    },
    /// Another run is writing to the run folder.
    #[error("{dir} is in use by another run, in this process or another, which holds the lock on {}", lock.display())]
    RunLocked {
        /// The run folder.
        dir: PathBuf,
        /// The lock file.
        lock: PathBuf,
    },
    /// None of a run's checkpoints can be gone on from.
    #[error(
        "{}: no checkpoint can be used: {}; put back copies of the damaged files, or start anew",
        dir.display(),
        reasons.join("; ")
    )]
    NoCheckpoint {
        /// The folder of the checkpoints.
        dir: PathBuf,
        /// What is wrong with each, the newest first.
        reasons: Vec<String>,
    },
    /// The ranks of a run do not all mean the same run.
    #[error(
        "rank {rank} is about another run than rank 0, whose values come first: {}",
        differences.join("; ")
    )]
    RanksDiffer {
        /// The first rank that differs.
        rank: usize,
        /// One line per field: its path, the value of rank 0 and that of the rank.
        differences: Vec<String>,
    },
    /// A row does not fit the metrics file.
    #[error("{path}: {reason}")]
    MetricsRow {
        /// The metrics file.
        path: PathBuf,
        /// What the row holds and what was expected.
        reason: String,
    },
    /// A setting is outside of what it may be.
    #[error("{setting}: expected {expected}, found {found}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// What it may be.
        expected: String,
        /// What it was.
        found: String,
    },
    /// A configuration in JSON has a setting that does not exist, or one of the wrong kind.
    #[error("configuration: {reason}")]
    Configuration {
        /// The path of the setting, as in `optimizer.momentum`, and what is wrong with it.
        reason: String,
    },
    /// More images per step than there are training images.
    #[error(
        "batch size (`batch_size`, --train-batch-size): expected at most {images}, the number of \
         training images, found {batch_size}; give a smaller batch, or more training images"
    )]
    BatchTooLarge {
        /// Images per step.
        batch_size: usize,
        /// The training images.
        images: usize,
    },
    /// The loss is no longer a finite number; the step was not taken.
    #[error(
        "the loss of step {step} is {loss}; try a smaller learning rate, more warm-up or a higher \
         temperature"
    )]
    NotFinite {
        /// The number of the step, from 0.
        step: u64,
        /// The loss.
        loss: f64,
    },
    /// Training came to nothing: a loss or a weight that is not finite, or a loss that is far above
    /// its start. Nothing of it was saved.
    #[error(
        "training diverged: {reason}, at step {step} with a learning rate of {learning_rate}; \
         images of the step: {}; {}; try a smaller learning rate, more epochs of warm-up or a \
         higher temperature",
        listed(images),
        last_good(checkpoint.as_deref())
    )]
    Diverged {
        /// The number of the step, from 1 as in `metrics.csv`.
        step: u64,
        /// What was found.
        reason: String,
        /// The learning rate of the step.
        learning_rate: f64,
        /// The images of the step's batch.
        images: Vec<String>,
        /// The newest checkpoint, whose numbers were finite.
        checkpoint: Option<PathBuf>,
    },
    /// A run would take more memory than the process can have.
    #[error(
        "{stage} would take about {} of memory, and {} are available; {advice}",
        bytes_in_words(*needed),
        bytes_in_words(*available)
    )]
    Memory {
        /// What the run is.
        stage: &'static str,
        /// The estimated bytes.
        needed: u64,
        /// The bytes that the process has or may still have.
        available: u64,
        /// What would take less, and how much.
        advice: String,
    },
    /// A supervised head, labels or a teacher are not there.
    #[error("{operation} needs {missing}")]
    NoLabels {
        /// What needs them.
        operation: &'static str,
        /// What is not there.
        missing: &'static str,
    },
    /// A callback paused the run; running it again goes on from there.
    #[error(
        "the run in {} was paused and saved after step {step}; the same command goes on from there",
        dir.display()
    )]
    Paused {
        /// The run folder.
        dir: PathBuf,
        /// How many steps have been taken.
        step: u64,
    },
    /// A part of the loop that the caller has brought failed.
    #[error(transparent)]
    Foreign(#[from] Box<dyn std::error::Error + Send + Sync>),
    /// The images cannot be augmented that way.
    #[error(transparent)]
    Augment(#[from] simclr_augment::Error),
    /// The data cannot be read or divided.
    #[error(transparent)]
    Data(#[from] simclr_data::Error),
    /// The network cannot be built or run.
    #[error(transparent)]
    Model(#[from] simclr_model::Error),
    /// Optimizer or schedule cannot be built, or no step be taken.
    #[error(transparent)]
    Optim(#[from] simclr_optim::Error),
    /// A network cannot be evaluated.
    #[error(transparent)]
    Eval(#[from] simclr_eval::Error),
    /// A report cannot be made.
    #[error(transparent)]
    Report(#[from] simclr_report::Error),
    /// The loss cannot be computed.
    #[error(transparent)]
    Loss(#[from] simclr_loss::Error),
    /// A checkpoint cannot be read or written.
    #[error(transparent)]
    Checkpoint(Box<simclr_checkpoint::Error>),
    /// Not every rank takes part.
    #[error(transparent)]
    Ranks(#[from] simclr_collective::Error),
    /// A kernel failed.
    #[error(transparent)]
    Kernels(#[from] simclr_kernels::Error),
    /// A tensor operation failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Names that a message has room for.
const LISTED: usize = 5;

fn listed(images: &[String]) -> String {
    let mut text: Vec<_> = images.iter().take(LISTED).cloned().collect();
    if let Some(more @ 1..) = images.len().checked_sub(LISTED) {
        text.push(format!("and {more} more"));
    }
    text.join(", ")
}

/// `512 MB` or `4.2 GB`.
pub(crate) fn bytes_in_words(bytes: u64) -> String {
    let megabytes = bytes as f64 / 1e6;
    if megabytes < 1000.0 {
        format!("{megabytes:.0} MB")
    } else {
        format!("{:.1} GB", megabytes / 1000.0)
    }
}

fn last_good(checkpoint: Option<&Path>) -> String {
    match checkpoint {
        Some(path) => format!("the last good checkpoint is {}", path.display()),
        None => "there is no checkpoint yet".to_owned(),
    }
}

impl From<simclr_checkpoint::Error> for Error {
    fn from(error: simclr_checkpoint::Error) -> Self {
        Self::Checkpoint(Box::new(error))
    }
}

impl Error {
    /// A setting that is outside of what it may be.
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

    /// For `map_err`: an input/output error together with the path it is about.
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let error = simclr_files::Error::io(path);
        move |reason| Self::File(error(reason))
    }

    /// For `map_err`: a JSON error together with the path it is about.
    pub(crate) fn json(path: &Path) -> impl FnOnce(serde_json::Error) -> Self + use<> {
        let error = simclr_files::Error::json(path);
        move |reason| Self::File(error(reason))
    }
}
