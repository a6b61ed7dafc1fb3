//! Repeats every recorded case of the original TensorFlow code and compares.
//!
//! `cargo run --release --example parity -- --golden DIR [--kinds nt_xent,lars]`
//!
//! Prints a line per case with the largest absolute and relative error, and a
//! last line with the counts. Fails if any case failed or is of an unknown kind.
//!
//! With `--weights NET --check TENSORS` it also imports a PyTorch network and
//! compares what it computes with what PyTorch did.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use simclr_cli::device::DeviceArgument;
use simclr_cli::terminal::{show_warnings, with_sources};
use simclr_parity::{CaseReport, TENSOR_KINDS};
use simclr_testkit::golden_cases;

/// Compares simclr with tensors recorded from the original TensorFlow code.
#[derive(Parser)]
struct Arguments {
    /// The folder that holds `manifest.json` and the cases below it.
    #[arg(long)]
    golden: PathBuf,
    /// Only these kinds, separated by commas.
    #[arg(long, value_delimiter = ',')]
    kinds: Vec<String>,
    /// A PyTorch network to import and run.
    #[arg(long, requires = "check")]
    weights: Option<PathBuf>,
    /// Its input and what PyTorch makes of it, as safetensors.
    #[arg(long, requires = "weights")]
    check: Option<PathBuf>,
    /// Where to compute. On a GPU only the kinds that are computed by tensors are compared, if none
    /// are named.
    #[command(flatten)]
    device: DeviceArgument,
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
    show_warnings();
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
            eprintln!("parity: {}", with_sources(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<Counts, Box<dyn std::error::Error + Send + Sync>> {
    let device = arguments.device.open()?;
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
        let is_chosen = if arguments.kinds.is_empty() {
            device.is_cpu() || TENSOR_KINDS.contains(&case.kind.as_str())
        } else {
            arguments.kinds.contains(&case.kind)
        };
        if is_chosen {
            let title = format!("{}/{}", case.kind, case.name);
            let outcome = simclr_parity::check(&case.to_device(&device)?);
            record(&title, outcome, arguments.verbose, &mut counts);
        }
    }
    if let (Some(weights), Some(check)) = (&arguments.weights, &arguments.check) {
        let name = weights.file_stem().unwrap_or_default().to_string_lossy();
        let outcome = simclr_parity::check_weights(weights, check);
        record(
            &format!("weights/{name}"),
            Some(outcome),
            arguments.verbose,
            &mut counts,
        );
    }
    Ok(counts)
}

/// Prints and counts the outcome of a case; `None` if its kind is not known.
fn record(
    title: &str,
    outcome: Option<simclr_parity::Result<CaseReport>>,
    verbose: bool,
    counts: &mut Counts,
) {
    match outcome {
        None => {
            counts.unknown += 1;
            println!("{title:<48} unknown kind");
        }
        Some(Err(error)) => {
            counts.failed += 1;
            println!("{title:<48} FAILED: {}", with_sources(error.as_ref()));
        }
        Some(Ok(report)) => {
            let verdict = if report.passed() { "passed" } else { "FAILED" };
            counts.passed += usize::from(report.passed());
            counts.failed += usize::from(!report.passed());
            println!(
                "{title:<48} {verdict}  max abs {:9.2e}  max rel {:9.2e}  ({} compared)",
                report.max_absolute(),
                report.max_relative(),
                report.checks.len()
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
