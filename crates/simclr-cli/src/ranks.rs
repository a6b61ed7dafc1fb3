//! The processes of an MPI program, of which this is one.

use std::sync::Arc;

use rayon::ThreadPoolBuilder;
use simclr_collective::Collective;
use simclr_mpi::MpiWorld;

use crate::terminal::AnyResult;

/// Joins the processes that `mpirun` has started, and computes with this one's share of the
/// machine's cores, or with the threads that `RAYON_NUM_THREADS` says.
///
/// # Errors
/// If MPI cannot be initialised, or threads compute already.
pub fn join() -> AnyResult<Arc<dyn Collective>> {
    let world = MpiWorld::initialize()?;
    if std::env::var_os("RAYON_NUM_THREADS").is_none() {
        let threads = world.threads_per_rank()?;
        ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global()?;
    }
    Ok(Arc::new(world))
}
