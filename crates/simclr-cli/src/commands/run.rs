//! `simclr run`.

use clap::Args;
use simclr_progress::ProgressMode;

use crate::original::run_words;
use crate::terminal::AnyResult;

/// Runs a command line of the original's run.py, or of the paper's scripts, as it was pasted.
///
/// `simclr run --help` lists the flags.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// What stands behind `python`: a script's name, which may be left out, and its flags.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

impl Arguments {
    pub(crate) fn run(&self, progress: ProgressMode) -> AnyResult {
        let program = std::iter::once("simclr run".to_owned());
        run_words(
            program.chain(self.words.iter().cloned()).collect(),
            progress,
        )
    }
}
