//! Checks of the NCCL form, to be run by `.ci/cuda.sh`: `nccl_checks 2`, with
//! as many GPUs.

use std::process::ExitCode;
use std::sync::Arc;

use candle_core::Device;
use simclr_collective::{Collective, Error as CollectiveError, run_threads};
use simclr_nccl::{Error, NcclRanks};
use simclr_testkit::compare_with_threads;

type AnyResult<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

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
    let size = std::env::args().nth(1).unwrap_or_default().parse()?;
    for check in [operations, mismatch, no_gpu] {
        let results = run_threads(size, |ranks| {
            check(Arc::clone(&ranks)).inspect_err(|error| ranks.abort(&error.to_string()))
        });
        results.into_iter().collect::<AnyResult>()?;
    }
    println!("{size} ranks: everything holds");
    Ok(())
}

fn join(ranks: Arc<dyn Collective>) -> AnyResult<Arc<dyn Collective>> {
    let device = Device::new_cuda(ranks.rank())?;
    Ok(Arc::new(NcclRanks::join(ranks, &device)?))
}

/// Two threads of each rank compute what threads as ranks do, to the bit.
fn operations(ranks: Arc<dyn Collective>) -> AnyResult {
    Ok(compare_with_threads(&join(ranks)?)?)
}

/// Long messages of different lengths are refused on all ranks, and operations go on.
fn mismatch(ranks: Arc<dyn Collective>) -> AnyResult {
    let ranks = join(ranks)?;
    let is_last = ranks.rank() + 1 == ranks.size();
    let own = vec![0u8; if is_last { 3 << 20 } else { 2 << 20 }];
    match ranks.all_gather(&own) {
        Err(CollectiveError::Mismatch { rank, .. }) if rank + 1 == ranks.size() => {}
        other => return Err(format!("a mismatch gives {other:?}").into()),
    }
    let sent = vec![ranks.rank() as u8; 2 << 20];
    let all = ranks.all_gather(&sent)?;
    let expected =
        |rank: usize| all[rank * sent.len()..][..sent.len()] == vec![rank as u8; sent.len()];
    if (0..ranks.size()).all(expected) {
        Ok(())
    } else {
        Err("operations after a mismatch go wrong".into())
    }
}

/// Ranks without a GPU are refused.
fn no_gpu(ranks: Arc<dyn Collective>) -> AnyResult {
    match NcclRanks::join(ranks, &Device::Cpu) {
        Err(Error::Device { .. }) => Ok(()),
        other => Err(format!("the CPU gives {other:?}").into()),
    }
}
