//! The processes of the world, for a second thread of each.

use std::thread;
use std::time::Duration;

use mpi::Tag;
use mpi::request::{Request, Scope, scope};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, Destination, Source};
use simclr_collective::{Collective, Result, check_all_gather, check_all_to_all, check_root};

use crate::chunks::LONGEST;

/// What tells these messages from others.
const TAG: Tag = 1;

/// How long a message is left alone between two looks at it. MPI waits by looking without a pause, on
/// a core that another thread computes with.
const PAUSE: Duration = Duration::from_micros(50);

/// Operations made of messages from one rank to another, which MPI keeps apart from the
/// collective operations of the world. It may be called while another thread is in one of those.
///
/// A message that is longer than its receiver expects ends all processes.
#[derive(Debug)]
pub(crate) struct Beside {
    pub(crate) rank: usize,
    pub(crate) size: usize,
}

/// Ends all processes, with `message` of a rank.
pub(crate) fn end_all(rank: usize, message: &str) {
    eprintln!("rank {rank}: {message}");
    SimpleCommunicator::world().abort(1);
}

/// Waits until a message has gone or come.
fn wait<'a, D: ?Sized, S: Scope<'a>>(mut request: Request<'a, D, S>) {
    while let Err(pending) = request.test() {
        thread::sleep(PAUSE);
        request = pending;
    }
}

impl Beside {
    /// Sends to the rank `distance` behind this one, and receives as much from the one as far
    /// before it.
    fn shift(&self, distance: usize, sent: &[u8], received: &mut [u8]) {
        let world = SimpleCommunicator::world();
        let at = |rank: usize| world.process_at_rank((rank % self.size) as i32);
        let (to, from) = (self.rank + distance, self.rank + self.size - distance);
        let (to, from) = (at(to), at(from));
        let pieces = sent.chunks(LONGEST).zip(received.chunks_mut(LONGEST));
        for (sent, received) in pieces {
            scope(|scope| {
                let receiving = from.immediate_receive_into_with_tag(scope, received, TAG);
                let sending = to.immediate_send_with_tag(scope, sent, TAG);
                wait(receiving);
                wait(sending);
            });
        }
    }

    /// Sends the part that `of` gives for each rank, and writes what each rank sends here.
    fn exchange<'a>(&self, of: impl Fn(usize) -> &'a [u8], received: &mut [u8]) {
        let part = received.len() / self.size;
        let place = |rank: usize| rank * part..(rank + 1) * part;
        received[place(self.rank)].copy_from_slice(of(self.rank));
        for distance in 1..self.size {
            let to = (self.rank + distance) % self.size;
            let from = (self.rank + self.size - distance) % self.size;
            self.shift(distance, of(to), &mut received[place(from)]);
        }
    }
}

impl Collective for Beside {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn all_gather_bytes(&self, own: &[u8], all: &mut [u8]) -> Result<()> {
        check_all_gather(self.size, own, all)?;
        self.exchange(|_| own, all);
        Ok(())
    }

    fn all_to_all_bytes(&self, send: &[u8], received: &mut [u8]) -> Result<()> {
        check_all_to_all(self.size, send, received)?;
        let part = send.len() / self.size;
        self.exchange(|rank| &send[rank * part..(rank + 1) * part], received);
        Ok(())
    }

    fn broadcast_bytes(&self, root: usize, bytes: &mut [u8]) -> Result<()> {
        check_root(self.size, root)?;
        let mut all = vec![0; self.size * bytes.len()];
        self.exchange(|_| bytes, &mut all);
        bytes.copy_from_slice(&all[root * bytes.len()..][..bytes.len()]);
        Ok(())
    }

    fn barrier(&self) -> Result<()> {
        self.all_gather_bytes(&[0], &mut vec![0; self.size])
    }

    fn abort(&self, message: &str) {
        end_all(self.rank, message);
    }
}
