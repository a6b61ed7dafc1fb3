//! Ranks whose operations are counted and delayed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use simclr_collective::{Collective, Result};

/// How many operations of a kind there were, and how many bytes the rank gave in them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Operations.
    pub operations: usize,
    /// Bytes.
    pub bytes: usize,
}

/// A rank whose operations are counted, each of which takes some time longer.
#[derive(Debug)]
pub struct MeteredRank {
    inner: Arc<dyn Collective>,
    latency: Duration,
    traffic: Arc<Mutex<BTreeMap<&'static str, Traffic>>>,
    has_beside: bool,
}

impl MeteredRank {
    /// The rank `inner`, each of whose operations takes `latency` longer.
    pub fn new(inner: Arc<dyn Collective>, latency: Duration) -> Self {
        Self {
            inner,
            latency,
            traffic: Arc::default(),
            has_beside: true,
        }
    }

    /// The same rank for one thread alone: with nothing [beside](Collective::beside) it.
    pub fn alone(self) -> Self {
        Self {
            has_beside: false,
            ..self
        }
    }

    /// What was counted, by operation: `all-gather`, `all-to-all`, `broadcast` and `barrier`.
    pub fn traffic(&self) -> BTreeMap<&'static str, Traffic> {
        self.traffic
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn count(&self, kind: &'static str, bytes: usize) {
        thread::sleep(self.latency);
        let mut traffic = self.traffic.lock().unwrap_or_else(PoisonError::into_inner);
        let traffic = traffic.entry(kind).or_default();
        traffic.operations += 1;
        traffic.bytes += bytes;
    }
}

impl Collective for MeteredRank {
    fn rank(&self) -> usize {
        self.inner.rank()
    }

    fn size(&self) -> usize {
        self.inner.size()
    }

    fn all_gather_bytes(&self, own: &[u8], all: &mut [u8]) -> Result<()> {
        self.count("all-gather", own.len());
        self.inner.all_gather_bytes(own, all)
    }

    fn all_to_all_bytes(&self, send: &[u8], received: &mut [u8]) -> Result<()> {
        self.count("all-to-all", send.len());
        self.inner.all_to_all_bytes(send, received)
    }

    fn broadcast_bytes(&self, root: usize, bytes: &mut [u8]) -> Result<()> {
        self.count("broadcast", bytes.len());
        self.inner.broadcast_bytes(root, bytes)
    }

    fn barrier(&self) -> Result<()> {
        self.count("barrier", 0);
        self.inner.barrier()
    }

    fn beside(&self) -> Option<Arc<dyn Collective>> {
        let inner = self.inner.beside().filter(|_| self.has_beside)?;
        Some(Arc::new(Self {
            inner,
            latency: self.latency,
            traffic: Arc::clone(&self.traffic),
            has_beside: false,
        }))
    }

    fn abort(&self, message: &str) {
        self.inner.abort(message);
    }
}
