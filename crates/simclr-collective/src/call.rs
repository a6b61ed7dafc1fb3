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

/// How many bytes [`Call::check_same`] gathers from each rank.
const LENGTH: usize = 3 * size_of::<u64>();

impl Call {
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
        let (kind, root) = match self {
            Self::AllGather => (0, 0),
            Self::AllToAll => (1, 0),
            Self::Broadcast(root) => (2, root as u64),
            Self::Barrier => (3, 0),
        };
        let own: [u8; LENGTH] = bytemuck::cast([kind, length as u64, root]);
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

fn describe([kind, length, root]: [u64; 3]) -> String {
    match kind {
        0 => format!("all-gather of {length} bytes"),
        1 => format!("all-to-all of {length} bytes"),
        2 => format!("broadcast of {length} bytes from rank {root}"),
        _ => "barrier".to_owned(),
    }
}
