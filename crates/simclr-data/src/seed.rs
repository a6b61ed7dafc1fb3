//! Seeds.

use serde::{Deserialize, Serialize};

/// The seed of a split, of a set of synthetic images or of an order of images.
///
/// A type of its own so that a call reads `split(fractions, Seed(1))`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seed(pub u64);
