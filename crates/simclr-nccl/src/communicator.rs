//! A communicator of NCCL in a thread of its own.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use candle_core::cuda_backend::cudarc::driver::{CudaContext, CudaSlice, CudaStream, DriverError};
use candle_core::cuda_backend::cudarc::nccl::result::NcclError;
use candle_core::cuda_backend::cudarc::nccl::{Comm, Id, group_end, group_start};
use simclr_collective::Call;

use crate::error::{Error, Result};

/// What the thread is asked for: a call, the bytes to send, and how many come back.
struct Request {
    call: Call,
    send: CudaSlice<u8>,
    received: usize,
    answer: SyncSender<Answer>,
}

type Answer = Result<CudaSlice<u8>, String>;

/// The way to the thread that owns the communicator, which cannot change threads. It ends when
/// this is dropped.
#[derive(Debug)]
pub(crate) struct Communicator {
    stream: Arc<CudaStream>,
    requests: SyncSender<Request>,
}

impl Communicator {
    /// Joins `size` ranks, all of which call this with the same `id`, with the GPU of this number.
    pub(crate) fn join(rank: usize, size: usize, id: Id, gpu: usize) -> Result<Self> {
        let failed = |action| {
            move |error: DriverError| Error::Unavailable {
                action,
                reason: error.to_string(),
            }
        };
        // Not the context that networks compute in, which would track this stream with each op.
        let context = CudaContext::new(gpu).map_err(failed("open the GPU"))?;
        let stream = context.new_stream().map_err(failed("make a stream"))?;
        let (requests, received) = sync_channel(0);
        let (joined, outcome) = sync_channel(1);
        let own = Arc::clone(&stream);
        let thread = thread::Builder::new().name("nccl".to_owned());
        let spawned = thread.spawn(move || {
            // NCCL takes the GPU of the thread that calls it.
            let bound = own.context().bind_to_thread();
            let communicator = bound.map_err(|error| error.to_string()).and_then(|()| {
                Comm::from_rank(own, rank, size, id).map_err(|error| message(&error))
            });
            match communicator {
                Ok(communicator) => {
                    let _ = joined.send(Ok(()));
                    serve(&communicator, &received);
                }
                Err(reason) => {
                    let _ = joined.send(Err(reason));
                }
            }
        });
        let reason = match spawned {
            Ok(_) => match outcome.recv() {
                Ok(Ok(())) => return Ok(Self { stream, requests }),
                Ok(Err(reason)) => reason,
                Err(_) => "its thread panicked".to_owned(),
            },
            Err(error) => error.to_string(),
        };
        let action = "join the ranks";
        Err(Error::Unavailable { action, reason })
    }

    /// Sends bytes, and writes what comes back to `received`.
    pub(crate) fn exchange(
        &self,
        call: Call,
        send: &[u8],
        received: &mut [u8],
    ) -> Result<(), String> {
        let text = |error: DriverError| error.to_string();
        let (answer, answered) = sync_channel(1);
        let request = Request {
            call,
            send: self.stream.clone_htod(send).map_err(text)?,
            received: received.len(),
            answer,
        };
        let ended = || "the thread of NCCL has ended".to_owned();
        self.requests.send(request).map_err(|_| ended())?;
        let on_gpu = answered.recv().map_err(|_| ended())??;
        self.stream.memcpy_dtoh(&on_gpu, received).map_err(text)?;
        self.stream.synchronize().map_err(text)
    }
}

/// Answers requests until nobody can make any.
fn serve(communicator: &Comm, requests: &Receiver<Request>) {
    for request in requests {
        let answer = compute(communicator, request.call, request.send, request.received);
        // Whoever does not wait any more needs no answer.
        let _ = request.answer.send(answer);
    }
}

fn compute(communicator: &Comm, call: Call, mut send: CudaSlice<u8>, received: usize) -> Answer {
    let allocated = communicator.stream().alloc_zeros::<u8>(received);
    let mut all = allocated.map_err(|error| error.to_string())?;
    let done = match call {
        Call::AllGather => communicator.all_gather(&send, &mut all).map(drop),
        Call::AllToAll => all_to_all(communicator, &send, &mut all),
        Call::Broadcast(root) => {
            let done = communicator.broadcast_in_place(&mut send, root as i32);
            all = send;
            done.map(drop)
        }
        Call::Barrier => Ok(()),
    };
    done.map_err(|error| message(&error))?;
    Ok(all)
}

/// Messages from each rank to each, at once.
fn all_to_all(
    communicator: &Comm,
    send: &CudaSlice<u8>,
    received: &mut CudaSlice<u8>,
) -> Result<(), NcclError> {
    let size = communicator.world_size();
    let part = send.len() / size;
    let exchange = |received: &mut CudaSlice<u8>| {
        for rank in 0..size {
            let place = rank * part..(rank + 1) * part;
            communicator.send(&send.slice(place.clone()), rank as i32)?;
            communicator.recv(&mut received.slice_mut(place), rank as i32)?;
        }
        Ok(())
    };
    group_start()?;
    let exchanged = exchange(received);
    // A group that has begun is ended whatever happens.
    let ended = group_end();
    exchanged?;
    ended.map(drop)
}

/// NCCL's errors have no text of their own.
pub(crate) fn message(error: &NcclError) -> String {
    format!("{:?}", error.0)
}
