//! The processes that were started together.

use std::fmt;
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use mpi::Threading;
use mpi::environment::{Universe, initialize_with_threading, processor_name};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Root};
use simclr_collective::{Call, Collective, check_all_gather, check_all_to_all, check_root};

use crate::beside::{Beside, end_all};
use crate::chunks::{LONGEST, all_gather, all_to_all};
use crate::error::{Error, Result};

/// All processes of an MPI program. A process that no launcher has started is the only one.
///
/// Dropping it finalizes MPI, which waits for the other processes to do the same; in a panic it
/// ends them.
pub struct MpiWorld {
    rank: usize,
    size: usize,
    /// Collective operations are called from one thread at a time.
    calls: Mutex<()>,
    /// Whether other threads may call MPI meanwhile.
    is_concurrent: bool,
    _universe: Universe,
}

impl fmt::Debug for MpiWorld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MpiWorld(rank {} of {})", self.rank, self.size)
    }
}

impl MpiWorld {
    /// Initializes MPI.
    ///
    /// # Errors
    /// If it is initialized already, or its library allows calls from one thread alone.
    pub fn initialize() -> Result<Self> {
        let initialized = initialize_with_threading(Threading::Multiple);
        let (universe, threads) = initialized.ok_or(Error::Initialized)?;
        if threads < Threading::Serialized {
            let found = format!("{threads:?}");
            return Err(Error::Threads { found });
        }
        let world = universe.world();
        Ok(Self {
            // MPI numbers ranks from 0, and there is at least one.
            rank: world.rank() as usize,
            size: world.size() as usize,
            calls: Mutex::default(),
            is_concurrent: threads == Threading::Multiple,
            _universe: universe,
        })
    }

    /// How many threads this rank can compute with: the cores that it may run on, divided by the
    /// ranks of the same machine that may run on the same ones. All ranks call it together.
    ///
    /// Where the launcher binds each rank to cores of its own, these are all of them. Outside of
    /// Linux, where no list of cores is known, ranks of one machine share all that there are.
    ///
    /// # Errors
    /// None of its own.
    pub fn threads_per_rank(&self) -> simclr_collective::Result<usize> {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let cores = status
            .lines()
            .find(|line| line.starts_with("Cpus_allowed_list"));
        let own = format!("{}\n{}", machine(), cores.unwrap_or_default()).into_bytes();
        let all = (self as &dyn Collective).all_gather_varying(&own)?;
        let sharing = all.iter().filter(|other| **other == own).count();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Ok((cores / sharing.max(1)).max(1))
    }

    /// The number of this rank among those of the same machine, from 0: that of its GPU, if each has
    /// one of its own. All ranks call it together.
    ///
    /// # Errors
    /// None of its own.
    pub fn rank_on_machine(&self) -> simclr_collective::Result<usize> {
        let own = machine().into_bytes();
        let all = (self as &dyn Collective).all_gather_varying(&own)?;
        let before = all.iter().take(self.rank);
        Ok(before.filter(|other| **other == own).count())
    }

    /// The communicator, as long as the guard is held, once all ranks have made the same call.
    ///
    /// Each call begins with a message of always the same length. MPI does not compare what
    /// follows: a message that is longer than its receiver's buffer may overwrite memory.
    fn begin(
        &self,
        call: Call,
        length: usize,
    ) -> simclr_collective::Result<(SimpleCommunicator, MutexGuard<'_, ()>)> {
        let guard = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let world = SimpleCommunicator::world();
        call.check_same(length, self.size, |own, all| {
            world.all_gather_into(own, all);
            Ok(())
        })?;
        Ok((world, guard))
    }
}

/// The name of this machine.
fn machine() -> String {
    processor_name().unwrap_or_default()
}

impl Drop for MpiWorld {
    fn drop(&mut self) {
        if thread::panicking() {
            self.abort("panicked");
        }
    }
}

impl Collective for MpiWorld {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn all_gather_bytes(&self, own: &[u8], all: &mut [u8]) -> simclr_collective::Result<()> {
        check_all_gather(self.size, own, all)?;
        let (world, _guard) = self.begin(Call::AllGather, own.len())?;
        all_gather(own, all, self.size, LONGEST, |own, all| {
            world.all_gather_into(own, all);
        });
        Ok(())
    }

    fn all_to_all_bytes(&self, send: &[u8], received: &mut [u8]) -> simclr_collective::Result<()> {
        check_all_to_all(self.size, send, received)?;
        let (world, _guard) = self.begin(Call::AllToAll, send.len())?;
        all_to_all(send, received, self.size, LONGEST, |send, received| {
            world.all_to_all_into(send, received);
        });
        Ok(())
    }

    fn broadcast_bytes(&self, root: usize, bytes: &mut [u8]) -> simclr_collective::Result<()> {
        check_root(self.size, root)?;
        let (world, _guard) = self.begin(Call::Broadcast(root), bytes.len())?;
        let root = world.process_at_rank(root as i32);
        for chunk in bytes.chunks_mut(LONGEST) {
            root.broadcast_into(chunk);
        }
        Ok(())
    }

    fn barrier(&self) -> simclr_collective::Result<()> {
        self.begin(Call::Barrier, 0).map(drop)
    }

    fn beside(&self) -> Option<Arc<dyn Collective>> {
        if !self.is_concurrent {
            return None;
        }
        Some(Arc::new(Beside {
            rank: self.rank,
            size: self.size,
        }))
    }

    fn abort(&self, message: &str) {
        // Not under the lock: another thread may wait within MPI for a rank that never comes.
        end_all(self.rank, message);
    }
}
