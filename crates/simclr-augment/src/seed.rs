use serde::{Deserialize, Serialize};

/// The seed of views, splits, orders, initial weights or synthetic images.
///
/// A type of its own so that a call reads `Stream::new(Seed(1))`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seed(pub u64);
