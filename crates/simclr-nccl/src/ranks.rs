//! Ranks with a GPU each.

use std::fmt;
use std::sync::Arc;

use candle_core::cuda_backend::cudarc::nccl::Id;
use candle_core::{Device, DeviceLocation};
use simclr_collective::{Call, Collective, check_all_gather, check_all_to_all, check_root};

use crate::communicator::{Communicator, message};
use crate::error::{Error, Result};

/// Messages of fewer bytes are sent sooner without a GPU: 1 MiB.
const SMALLEST: usize = 1 << 20;

/// The length of NCCL's identifiers.
const ID_LENGTH: usize = 128;

/// Ranks that exist already, which send their large messages from GPU to GPU.
pub struct NcclRanks {
    ranks: Arc<dyn Collective>,
    communicator: Communicator,
    beside: Option<Arc<dyn Collective>>,
}

impl fmt::Debug for NcclRanks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NcclRanks({:?})", self.ranks)
    }
}

impl NcclRanks {
    /// Lets `ranks`, each of which calls this with a GPU of its own, use NCCL.
    ///
    /// # Errors
    /// A device that is no GPU of Nvidia's; GPUs that NCCL does not connect, as one for two ranks;
    /// ranks that do not reach each other. A rank that has an error has to end the others
    /// ([`Collective::abort`]), which wait for it.
    pub fn join(ranks: Arc<dyn Collective>, device: &Device) -> Result<Self> {
        let DeviceLocation::Cuda { gpu_id } = device.location() else {
            let found = format!("{:?}", device.location());
            return Err(Error::Device { found });
        };
        let mut joined = Self::alone(Arc::clone(&ranks), gpu_id)?;
        if let Some(beside) = ranks.beside() {
            joined.beside = Some(Arc::new(Self::alone(beside, gpu_id)?));
        }
        Ok(joined)
    }

    fn alone(ranks: Arc<dyn Collective>, gpu: usize) -> Result<Self> {
        let id = share_id(ranks.as_ref())?;
        Ok(Self {
            communicator: Communicator::join(ranks.rank(), ranks.size(), id, gpu)?,
            ranks,
            beside: None,
        })
    }

    /// Exchanges bytes by NCCL, once all ranks have made the same call.
    fn exchange(
        &self,
        call: Call,
        send: &[u8],
        received: &mut [u8],
    ) -> simclr_collective::Result<()> {
        call.check_same(send.len(), self.size(), |own, all| {
            self.ranks.all_gather_bytes(own, all)
        })?;
        let exchanged = self.communicator.exchange(call, send, received);
        exchanged.map_err(|reason| simclr_collective::Error::Transport {
            operation: call.name(),
            reason,
        })
    }
}

/// An identifier that rank 0 has made, on all ranks.
fn share_id(ranks: &dyn Collective) -> Result<Id> {
    // The last byte says whether there is one.
    let mut bytes = [0u8; ID_LENGTH + 1];
    let mut failure = None;
    if ranks.rank() == 0 {
        match Id::new() {
            Ok(id) => {
                for (byte, own) in bytes.iter_mut().zip(id.internal()) {
                    *byte = *own as u8;
                }
                bytes[ID_LENGTH] = 1;
            }
            Err(error) => failure = Some(message(&error)),
        }
    }
    ranks.broadcast(0, &mut bytes)?;
    if bytes[ID_LENGTH] == 0 {
        return Err(Error::Unavailable {
            action: "make an identifier",
            reason: failure.unwrap_or_else(|| "rank 0 has none".to_owned()),
        });
    }
    Ok(Id::uninit(std::array::from_fn(|i| bytes[i] as _)))
}

impl Collective for NcclRanks {
    fn rank(&self) -> usize {
        self.ranks.rank()
    }

    fn size(&self) -> usize {
        self.ranks.size()
    }

    fn all_gather_bytes(&self, own: &[u8], all: &mut [u8]) -> simclr_collective::Result<()> {
        check_all_gather(self.size(), own, all)?;
        if own.len() < SMALLEST {
            return self.ranks.all_gather_bytes(own, all);
        }
        self.exchange(Call::AllGather, own, all)
    }

    fn all_to_all_bytes(&self, send: &[u8], received: &mut [u8]) -> simclr_collective::Result<()> {
        check_all_to_all(self.size(), send, received)?;
        if send.len() < SMALLEST {
            return self.ranks.all_to_all_bytes(send, received);
        }
        self.exchange(Call::AllToAll, send, received)
    }

    fn broadcast_bytes(&self, root: usize, bytes: &mut [u8]) -> simclr_collective::Result<()> {
        check_root(self.size(), root)?;
        if bytes.len() < SMALLEST {
            return self.ranks.broadcast_bytes(root, bytes);
        }
        let own = bytes.to_vec();
        self.exchange(Call::Broadcast(root), &own, bytes)
    }

    fn barrier(&self) -> simclr_collective::Result<()> {
        self.ranks.barrier()
    }

    fn beside(&self) -> Option<Arc<dyn Collective>> {
        self.beside.clone()
    }

    fn abort(&self, message: &str) {
        self.ranks.abort(message);
    }
}
