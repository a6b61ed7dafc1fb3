//! One page of several finished studies on the same test images: all their methods in one curve,
//! and in tables with intervals and paired differences.
//!
//! `cargo run --release --example compare -- runs/exp1 runs/exp6 --model-dir runs/compare`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use simclr::study::StudyComparison;
use simclr_cli::terminal::{exit, say};

/// Compares finished studies that have the same images, classes, seeds and folds.
#[derive(Debug, Parser)]
struct Arguments {
    /// The folders of two or more studies.
    #[arg(required = true)]
    studies: Vec<PathBuf>,
    /// The folder of the report.
    #[arg(long, default_value = "runs/compare")]
    model_dir: PathBuf,
}

fn main() -> ExitCode {
    exit(|| run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> simclr::study::Result<()> {
    let studies = StudyComparison::read(&arguments.studies)?;
    for finding in studies.comparison().findings()? {
        say(finding);
    }
    say(studies.comparison().summary_table()?);
    let report = studies.write_report(&arguments.model_dir)?;
    let count = arguments.studies.len();
    say(format_args!(
        "compare: {count} studies, report: {}",
        report.display()
    ));
    Ok(())
}
