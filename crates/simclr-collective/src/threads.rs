//! Ranks that are threads of one process.

use std::fmt;
use std::panic::resume_unwind;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::collective::{Collective, check_all_gather, check_all_to_all, check_root};
use crate::error::{Error, Result};

/// Runs `work` once per rank, each in a thread of its own, and returns what the ranks return, in
/// rank order.
///
/// Every call is compared with those of the other ranks, so that ranks that do different things
/// fail here, where other forms may wait for ever. Once a rank's `work` has returned or panicked,
/// operations that need it fail.
///
/// # Panics
/// With the panic of the first rank that has panicked.
pub fn run_threads<R: Send>(
    ranks: usize,
    work: impl Fn(Arc<dyn Collective>) -> R + Sync,
) -> Vec<R> {
    let groups = [Group::new(ranks), Group::new(ranks)];
    let rank = |rank| {
        let groups = groups.clone();
        let work = &work;
        move || {
            let _leaving = Leaving {
                rank,
                groups: &groups,
            };
            let groups = groups.clone();
            work(Arc::new(ThreadRank {
                rank,
                groups,
                own: 0,
            }))
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..ranks).map(|r| scope.spawn(rank(r))).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined
            .map(|result| result.unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    })
}

/// The ranks of a call of [`run_threads`].
struct Group {
    size: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// What each rank calls, and the bytes that it gives, of the operation under way.
    calls: Vec<Option<(String, Vec<u8>)>>,
    /// How many operations are complete.
    completed: u64,
    /// The bytes of all ranks in the last operation that is.
    bytes: Arc<[Vec<u8>]>,
    /// Why there is no further operation.
    failure: Option<Error>,
}

/// Tells the others that a rank takes no part any more.
struct Leaving<'a> {
    rank: usize,
    groups: &'a [Arc<Group>; 2],
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        for group in self.groups {
            group.fail(Error::Left { rank: self.rank });
        }
    }
}

impl Group {
    fn new(size: usize) -> Arc<Self> {
        Arc::new(Self {
            size,
            state: Mutex::new(State {
                calls: vec![None; size],
                ..State::default()
            }),
            changed: Condvar::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes operations fail; the first reason counts.
    fn fail(&self, reason: Error) {
        self.lock().failure.get_or_insert(reason);
        self.changed.notify_all();
    }

    /// Waits for the other ranks' calls of the same operation, and returns the bytes of all.
    fn exchange(&self, rank: usize, call: String, own: Vec<u8>) -> Result<Arc<[Vec<u8>]>> {
        let mut state = self.lock();
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        let before = state.completed;
        state.calls[rank] = Some((call, own));
        if state.calls.iter().all(Option::is_some) {
            let calls: Vec<_> = state.calls.iter_mut().filter_map(Option::take).collect();
            if let Some(mismatch) = mismatch(&calls) {
                state.failure = Some(mismatch);
            } else {
                state.bytes = calls.into_iter().map(|(_, bytes)| bytes).collect();
                state.completed += 1;
            }
            self.changed.notify_all();
        }
        loop {
            // An operation that all ranks have called is complete, even if one has left since.
            if state.completed > before {
                return Ok(Arc::clone(&state.bytes));
            }
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The first rank whose call is not that of rank 0.
fn mismatch(calls: &[(String, Vec<u8>)]) -> Option<Error> {
    let (expected, _) = calls.first()?;
    let differs = calls.iter().position(|(call, _)| call != expected)?;
    Some(Error::Mismatch {
        rank: differs,
        found: calls[differs].0.clone(),
        expected: expected.clone(),
    })
}

struct ThreadRank {
    rank: usize,
    /// That of the ranks' own threads, and the one beside it.
    groups: [Arc<Group>; 2],
    /// Which of them this is about.
    own: usize,
}

impl ThreadRank {
    fn group(&self) -> &Group {
        &self.groups[self.own]
    }
}

impl fmt::Debug for ThreadRank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ThreadRank({} of {})", self.rank, self.group().size)
    }
}

impl Collective for ThreadRank {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.group().size
    }

    fn all_gather_bytes(&self, own: &[u8], all: &mut [u8]) -> Result<()> {
        check_all_gather(self.size(), own, all)?;
        let call = format!("all-gather of {} bytes", own.len());
        let parts = self.group().exchange(self.rank, call, own.to_vec())?;
        for (to, part) in all.chunks_exact_mut(own.len().max(1)).zip(parts.iter()) {
            to.copy_from_slice(part);
        }
        Ok(())
    }

    fn all_to_all_bytes(&self, send: &[u8], received: &mut [u8]) -> Result<()> {
        check_all_to_all(self.size(), send, received)?;
        let call = format!("all-to-all of {} bytes", send.len());
        let parts = self.group().exchange(self.rank, call, send.to_vec())?;
        let len = send.len() / self.size();
        let own = self.rank * len..(self.rank + 1) * len;
        for (to, part) in received.chunks_exact_mut(len.max(1)).zip(parts.iter()) {
            to.copy_from_slice(&part[own.clone()]);
        }
        Ok(())
    }

    fn broadcast_bytes(&self, root: usize, bytes: &mut [u8]) -> Result<()> {
        check_root(self.size(), root)?;
        let call = format!("broadcast of {} bytes from rank {root}", bytes.len());
        let own = if self.rank == root {
            bytes.to_vec()
        } else {
            Vec::new()
        };
        let parts = self.group().exchange(self.rank, call, own)?;
        bytes.copy_from_slice(&parts[root]);
        Ok(())
    }

    fn barrier(&self) -> Result<()> {
        self.group()
            .exchange(self.rank, "barrier".to_owned(), Vec::new())
            .map(drop)
    }

    fn beside(&self) -> Option<Arc<dyn Collective>> {
        (self.own == 0).then(|| {
            Arc::new(Self {
                rank: self.rank,
                groups: self.groups.clone(),
                own: 1,
            }) as Arc<dyn Collective>
        })
    }

    fn abort(&self, message: &str) {
        for group in &self.groups {
            group.fail(Error::Aborted {
                rank: self.rank,
                message: message.to_owned(),
            });
        }
    }
}
