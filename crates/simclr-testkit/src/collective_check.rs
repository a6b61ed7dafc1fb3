//! Operations of ranks, compared with those of threads.

use std::sync::Arc;
use std::thread;

use bytemuck::cast_slice;
use simclr_collective::{Collective, Result, run_threads};

use crate::error::Error;

/// Lengths of messages in f32 numbers; the longest are 2.8 MB.
const LENGTHS: [usize; 5] = [0, 1, 7, 100_003, 700_001];

/// Compares every operation of these ranks, and of those [beside](Collective::beside) them at the
/// same time, with what [`run_threads`] gives, to the bit. All ranks call it.
///
/// # Errors
/// [`Error::Ranks`] for a difference or ranks without others beside them; the operations' own.
pub fn compare_with_threads(ranks: &Arc<dyn Collective>) -> Result<(), Error> {
    let fail = |reason: &str| Err(Error::Ranks(reason.to_owned()));
    let threads = run_threads(ranks.size(), |ranks| operations(&ranks));
    let Some(expected) = threads.into_iter().next().transpose()? else {
        return fail("there are none");
    };
    let Some(beside) = ranks.beside() else {
        return fail("two threads cannot use them");
    };
    let (own, others) = thread::scope(|scope| {
        let others = scope.spawn(|| operations(&beside));
        (operations(ranks), others.join())
    });
    let Ok(others) = others else {
        return fail("the thread beside panicked");
    };
    if own? == expected && others? == expected {
        Ok(())
    } else {
        fail("the operations differ from those of threads")
    }
}

/// What every operation gives.
fn operations(ranks: &Arc<dyn Collective>) -> Result<Vec<Vec<u8>>> {
    let bytes = |values: &[f32]| cast_slice(values).to_vec();
    let mut results = Vec::new();
    for len in LENGTHS {
        let own = terms(ranks.rank(), len);
        results.push(bytes(&ranks.all_gather(&own)?));
        let mut sum = own.clone();
        ranks.all_reduce(&mut sum)?;
        results.push(bytes(&sum));
        let mut last = own;
        ranks.broadcast(ranks.size() - 1, &mut last)?;
        results.push(bytes(&last));
    }
    let text = "x".repeat(3 * ranks.rank());
    results.extend(ranks.all_gather_varying(text.as_bytes())?);
    ranks.barrier()?;
    Ok(results)
}

/// Terms whose sum depends on their order.
fn terms(rank: usize, len: usize) -> Vec<f32> {
    let term = |i: usize| (0.1 + (i % 1000) as f32 * 0.7).powi(rank as i32 * 3 - 4) * 1e3;
    (0..len).map(term).collect()
}
