//! `simclr completions`.

use std::io::{self, Write};

use clap::{Args, Command};
use clap_complete::{Shell, generate};

use crate::terminal::{AnyResult, unless_closed};

/// Prints the completions of commands and options for a shell.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The shell.
    shell: Shell,
}

impl Arguments {
    pub(crate) fn run(&self, mut command: Command) -> AnyResult {
        let mut text = Vec::new();
        generate(self.shell, &mut command, "simclr", &mut text);
        Ok(unless_closed(io::stdout().write_all(&text))?)
    }
}
