//! What ranks compare before they exchange bytes.

use bytemuck::cast_slice_mut;

use crate::error::{Error, Result};

/// A call of a rank. An implementation whose transport does not compare what ranks call does it
/// with [`check_same`](Self::check_same) at the beginning of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// An all-gather.
    AllGather,
    /// An all-to-all.
    AllToAll,
    /// A broadcast from a root.
    Broadcast(usize),
    /// A barrier.
    Barrier,
}

/// What ranks call, by their numbers in messages.
const NAMES: [&str; 4] = ["all-gather", "all-to-all", "broadcast", "barrier"];

/// How many bytes [`Call::check_same`] gathers from each rank.
const LENGTH: usize = 3 * size_of::<u64>();

impl Call {
    /// The name of the operation.
    pub fn name(self) -> &'static str {
        NAMES[self.number()]
    }

    fn number(self) -> usize {
        match self {
            Self::AllGather => 0,
            Self::AllToAll => 1,
            Self::Broadcast(_) => 2,
            Self::Barrier => 3,
        }
    }

    /// Fails on all of `size` ranks unless they call the same with a message of the same length.
    /// `all_gather` gets the bytes of this rank, and writes those of all ranks in rank order.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for the first rank whose call is not that of rank 0; that of `all_gather`.
    pub fn check_same(
        self,
        length: usize,
        size: usize,
        all_gather: impl FnOnce(&[u8; LENGTH], &mut [u8]) -> Result<()>,
    ) -> Result<()> {
        let root = match self {
            Self::Broadcast(root) => root,
            _ => 0,
        };
        let own = [self.number(), length, root].map(|number| number as u64);
        let own: [u8; LENGTH] = bytemuck::cast(own);
        let mut all = vec![[0u64; 3]; size];
        all_gather(&own, cast_slice_mut(&mut all))?;
        let first = all.first().copied().unwrap_or_default();
        match (0..).zip(&all).find(|(_, call)| **call != first) {
            None => Ok(()),
            Some((rank, other)) => Err(Error::Mismatch {
                rank,
                found: describe(*other),
                expected: describe(first),
            }),
        }
    }
}

fn describe([number, length, root]: [u64; 3]) -> String {
    let name = NAMES
        .get(number as usize)
        .copied()
        .unwrap_or("unknown call");
    match number {
        2 => format!("{name} of {length} bytes from rank {root}"),
        3 => name.to_owned(),
        _ => format!("{name} of {length} bytes"),
    }
}
