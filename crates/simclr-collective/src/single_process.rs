//! One rank alone.

use crate::collective::{Collective, check_all_gather, check_all_to_all, check_root};
use crate::error::Result;

/// One rank, which has nobody to wait for.
#[derive(Debug, Clone, Copy, Default)]
pub struct SingleProcess;

impl Collective for SingleProcess {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        1
    }

    fn all_gather_bytes(&self, own: &[u8], all: &mut [u8]) -> Result<()> {
        check_all_gather(1, own, all)?;
        all.copy_from_slice(own);
        Ok(())
    }

    fn all_to_all_bytes(&self, send: &[u8], received: &mut [u8]) -> Result<()> {
        check_all_to_all(1, send, received)?;
        received.copy_from_slice(send);
        Ok(())
    }

    fn broadcast_bytes(&self, root: usize, _bytes: &mut [u8]) -> Result<()> {
        check_root(1, root)
    }

    fn barrier(&self) -> Result<()> {
        Ok(())
    }

    /// Does nothing: there is no other rank, and the caller has the error.
    fn abort(&self, _message: &str) {}
}
