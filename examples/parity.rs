//! Repeats every recorded case of the original TensorFlow code and compares.
//!
//! `cargo run --release --example parity -- --golden DIR [--kinds nt_xent,lars]`
//!
//! Prints a line per case with the largest absolute and relative error, and a
//! last line with the counts. Fails if any case failed or is of an unknown kind.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use simclr_parity::CaseReport;
use simclr_testkit::{GoldenCase, golden_cases};

/// Compares simclr with tensors recorded from the original TensorFlow code.
#[derive(Parser)]
struct Arguments {
    /// The folder that holds `manifest.json` and the cases below it.
    #[arg(long)]
    golden: PathBuf,
    /// Only these kinds, separated by commas.
    #[arg(long, value_delimiter = ',')]
    kinds: Vec<String>,
    /// Also print every compared quantity that is out of tolerance.
    #[arg(long)]
    verbose: bool,
}

#[derive(Default)]
struct Counts {
    passed: usize,
    failed: usize,
    unknown: usize,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(counts) => {
            let Counts {
                passed,
                failed,
                unknown,
            } = counts;
            println!("parity: {passed} passed, {failed} failed, {unknown} unknown");
            ExitCode::from(u8::from(failed + unknown > 0 || passed == 0))
        }
        Err(error) => {
            eprintln!("parity: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<Counts, Box<dyn std::error::Error>> {
    let cases = golden_cases(&arguments.golden)?;
    if let Some(kind) = arguments
        .kinds
        .iter()
        .find(|kind| !cases.iter().any(|c| c.kind == **kind))
    {
        return Err(format!("no case of kind `{kind}` in {}", arguments.golden.display()).into());
    }
    let mut counts = Counts::default();
    for case in cases {
        if arguments.kinds.is_empty() || arguments.kinds.contains(&case.kind) {
            judge(&case, arguments.verbose, &mut counts);
        }
    }
    Ok(counts)
}

fn judge(case: &GoldenCase, verbose: bool, counts: &mut Counts) {
    let title = format!("{}/{}", case.kind, case.name);
    match simclr_parity::check(case) {
        None => {
            counts.unknown += 1;
            println!("{title:<48} unknown kind");
        }
        Some(Err(error)) => {
            counts.failed += 1;
            println!("{title:<48} FAILED: {error}");
        }
        Some(Ok(report)) => {
            let verdict = if report.passed() { "passed" } else { "FAILED" };
            *(if report.passed() {
                &mut counts.passed
            } else {
                &mut counts.failed
            }) += 1;
            println!(
                "{title:<48} {verdict}  max abs {:9.2e}  max rel {:9.2e}  ({} compared)",
                report.max_absolute(),
                report.max_relative(),
                report.len()
            );
            print_failures(&report, verbose);
        }
    }
}

fn print_failures(report: &CaseReport, verbose: bool) {
    let shown = if verbose { usize::MAX } else { 3 };
    for failure in report.failures().take(shown) {
        let c = failure.comparison;
        println!(
            "    {}: abs {:.3e}, rel {:.3e}, l2 {:.3e}",
            failure.name, c.max_absolute, c.max_relative, c.relative_l2
        );
    }
}
