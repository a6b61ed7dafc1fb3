//! `simclr compare`.

use std::path::PathBuf;

use clap::Args;
use simclr_study::StudyComparison;

use crate::outputs::{check_parts, check_report};
use crate::terminal::{AnyResult, say};

/// Compares finished studies that have the same images, classes, seeds and folds, on one page.
///
/// All their methods are in one curve, and in tables with intervals and paired differences.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The folders of two or more studies.
    #[arg(required = true)]
    studies: Vec<PathBuf>,
    /// The folder of the report.
    #[arg(long, default_value = "runs/compare")]
    model_dir: PathBuf,
}

impl Arguments {
    pub(crate) fn run(&self) -> AnyResult {
        check_report("--model-dir", &self.model_dir)?;
        let parts = ["tables", "figures"];
        check_parts("--model-dir", &self.model_dir, "report.html", &parts)?;
        let studies = StudyComparison::read(&self.studies)?;
        for finding in studies.comparison().findings()? {
            say(finding);
        }
        say(studies.comparison().summary_table()?);
        let report = studies.write_report(&self.model_dir)?;
        let count = self.studies.len();
        say(format_args!(
            "compare: {count} studies, report: {}",
            report.display()
        ));
        Ok(())
    }
}
