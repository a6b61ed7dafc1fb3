//! Checks of the MPI form, to be run by `.ci/mpi_test.sh` on several ranks:
//! `mpirun -n 2 mpi_checks collectives|golden|mismatch|panic|leave`.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use simclr_collective::{Collective, run_threads};
use simclr_mpi::MpiWorld;
use simclr_testkit::{compare_with_threads, golden_cases};

type AnyResult<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> AnyResult {
    let ranks: Arc<dyn Collective> = Arc::new(MpiWorld::initialize()?);
    let check = std::env::args().nth(1).unwrap_or_default();
    let result = match check.as_str() {
        "collectives" => collectives(&ranks),
        "golden" => golden(&ranks),
        "mismatch" => mismatch(&ranks),
        "panic" => panicking(&ranks),
        "leave" => leave(&ranks),
        _ => Err("expected one of collectives, golden, mismatch, panic, leave".into()),
    };
    if let Err(error) = &result {
        ranks.abort(&error.to_string());
    }
    result
}

fn collectives(ranks: &Arc<dyn Collective>) -> AnyResult {
    compare_with_threads(ranks)?;
    say(
        ranks,
        "operations of two threads equal those of threads as ranks to the bit",
    );
    Ok(())
}

/// The recorded cases of as many replicas.
fn golden(ranks: &Arc<dyn Collective>) -> AnyResult {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    let mut judged = 0;
    for case in golden_cases(folder)? {
        if case.kind != "nt_xent" || simclr_parity::replicas(&case) != Some(ranks.size()) {
            continue;
        }
        let report = simclr_parity::check_rank(&case, ranks).map_err(|error| error.to_string())?;
        if !report.passed() {
            let failures: Vec<_> = report.failures().collect();
            return Err(format!("{}: {failures:?}", case.name).into());
        }
        judged += 1;
        let worst = report.max_relative();
        say(
            ranks,
            &format!("{}: largest relative error {worst:.1e}", case.name),
        );
    }
    if judged == 0 {
        return Err(format!("no case of {} replicas", ranks.size()).into());
    }
    Ok(())
}

/// Different calls and lengths are refused on all ranks with the words of threads, and operations
/// go on.
fn mismatch(ranks: &Arc<dyn Collective>) -> AnyResult {
    for differ in [different_lengths, different_calls] {
        let found = differ(ranks);
        let expected = run_threads(ranks.size(), |ranks| differ(&ranks));
        if found.is_empty() || expected.first() != Some(&found) {
            return Err(format!("found `{found}`, expected {expected:?}").into());
        }
        say(ranks, &found);
    }
    Ok(ranks.barrier()?)
}

fn different_lengths(ranks: &Arc<dyn Collective>) -> String {
    let is_last = ranks.rank() + 1 == ranks.size();
    let mut bytes = vec![0u8; if is_last { 16 } else { 4096 }];
    message(ranks.broadcast(0, &mut bytes))
}

fn different_calls(ranks: &Arc<dyn Collective>) -> String {
    if ranks.rank() == 0 {
        message(ranks.barrier())
    } else {
        message(ranks.all_gather(&[0u8; 5]))
    }
}

/// The error's message; empty if there is none.
fn message<T>(result: simclr_collective::Result<T>) -> String {
    result
        .err()
        .map(|error| error.to_string())
        .unwrap_or_default()
}

/// The last rank panics while the others wait for it.
fn panicking(ranks: &Arc<dyn Collective>) -> AnyResult {
    assert!(ranks.rank() + 1 < ranks.size(), "the last rank panics");
    ranks.barrier()?;
    println!("rank {} came through a panic", ranks.rank());
    Ok(())
}

/// The last rank ends its process without a word while the others wait for it.
fn leave(ranks: &Arc<dyn Collective>) -> AnyResult {
    if ranks.rank() + 1 == ranks.size() {
        std::process::exit(7);
    }
    ranks.barrier()?;
    println!("rank {} came through", ranks.rank());
    Ok(())
}

fn say(ranks: &Arc<dyn Collective>, text: &str) {
    if ranks.rank() == 0 {
        println!("{} ranks: {text}", ranks.size());
    }
}
