//! `simclr experiment`.

use clap::Subcommand;
use simclr_progress::ProgressMode;

use crate::experiments::{exp1, exp2, exp3, exp4, exp5, exp6, fine_tune};
use crate::terminal::AnyResult;

/// Evaluates methods on the same folds and seeds, and writes a report.
///
/// Every default is the paper's. `--preset tiny` is a small form on synthetic images. An
/// interrupted study goes on where it stopped, if it is started again with the same options.
#[derive(Debug, Subcommand)]
pub(crate) enum Arguments {
    /// Probes a network that was trained on other images without labels.
    #[command(name = "1")]
    TransferSelfSupervised(exp1::Arguments),
    /// Goes on with self-supervision on task images, and probes before and after.
    #[command(name = "2")]
    ContinueSelfSupervised(exp2::Arguments),
    /// Pretrains on task images and probes the encoder.
    #[command(name = "3")]
    PretrainTaskImages(exp3::Arguments),
    /// Pretrains on parts of the task images and probes each encoder.
    #[command(name = "4")]
    UnlabelledSweep(exp4::Arguments),
    /// Probes a network that was trained on other images with labels.
    #[command(name = "5")]
    TransferSupervised(exp5::Arguments),
    /// Compares transfer with self-supervision on task images over label budgets.
    #[command(name = "6")]
    TransferVersusTask(exp6::Arguments),
    /// Fine-tunes a network with labels.
    FineTune(fine_tune::Arguments),
}

impl Arguments {
    pub(crate) fn run(self, progress: ProgressMode) -> AnyResult {
        match self {
            Self::TransferSelfSupervised(arguments) => exp1::run(arguments, progress),
            Self::ContinueSelfSupervised(arguments) => exp2::run(arguments, progress),
            Self::PretrainTaskImages(arguments) => exp3::run(arguments, progress),
            Self::UnlabelledSweep(arguments) => exp4::run(arguments, progress),
            Self::TransferSupervised(arguments) => exp5::run(arguments, progress),
            Self::TransferVersusTask(arguments) => exp6::run(arguments, progress),
            Self::FineTune(arguments) => fine_tune::run(arguments, progress),
        }
    }
}
