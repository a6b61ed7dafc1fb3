//! The processes of an MPI program, of which this is one.

use std::sync::Arc;

use candle_core::Device;
use rayon::ThreadPoolBuilder;
use simclr_collective::Collective;
use simclr_mpi::MpiWorld;

use crate::device::DeviceArgument;
use crate::terminal::AnyResult;

/// Joins the processes that `mpirun` has started, and computes with this one's share of the
/// machine's cores, or with the threads that `RAYON_NUM_THREADS` says. Opens the device as well:
/// `cuda` without a number is each process's own GPU of its machine, and with the feature `nccl`
/// large messages go from GPU to GPU.
///
/// # Errors
/// If MPI cannot be initialised, or threads compute already. An error of a device ends all processes.
pub fn join(device: DeviceArgument) -> AnyResult<(Arc<dyn Collective>, Device)> {
    let world = MpiWorld::initialize()?;
    if std::env::var_os("RAYON_NUM_THREADS").is_none() {
        let threads = world.threads_per_rank()?;
        ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global()?;
    }
    let number = world.rank_on_machine()?;
    let ranks: Arc<dyn Collective> = Arc::new(world);
    let opened = device
        .open_for(number)
        .and_then(|device| Ok((connect(Arc::clone(&ranks), &device)?, device)));
    opened.inspect_err(|error| ranks.abort(&error.to_string()))
}

/// The same ranks, with NCCL where they compute on GPUs of Nvidia's.
#[cfg(feature = "nccl")]
fn connect(ranks: Arc<dyn Collective>, device: &Device) -> AnyResult<Arc<dyn Collective>> {
    if device.is_cuda() && ranks.size() > 1 {
        Ok(Arc::new(simclr_nccl::NcclRanks::join(ranks, device)?))
    } else {
        Ok(ranks)
    }
}

#[cfg(not(feature = "nccl"))]
fn connect(ranks: Arc<dyn Collective>, _device: &Device) -> AnyResult<Arc<dyn Collective>> {
    Ok(ranks)
}
