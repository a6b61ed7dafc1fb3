//! The random streams that this crate draws from.

use rand::seq::SliceRandom;
use simclr_augment::{Purpose, Stream};

use crate::Seed;

/// Streams of this crate beside those that `simclr_augment` names: each kind of
/// draw has its own, so that a split never depends on the order of an epoch.
pub(crate) const SPLIT: Purpose = Purpose::Custom(1);
/// Which images a budget keeps.
pub(crate) const BUDGET: Purpose = Purpose::Custom(2);
/// How a synthetic image looks.
pub(crate) const SYNTHETIC: Purpose = Purpose::Custom(3);
/// How a synthetic texture looks.
pub(crate) const TEXTURE: Purpose = Purpose::Custom(5);
/// Which part of a split a group goes to.
pub(crate) const GROUPS: Purpose = Purpose::Custom(4);

/// How a synthetic section looks.
pub(crate) const SECTION: Purpose = Purpose::Custom(6);

/// How the sediment of a synthetic hole looks at some depth.
pub(crate) const DRIFT: Purpose = Purpose::Custom(8);

/// Which neighbour a view is of.
pub(crate) const NEIGHBOUR: Purpose = Purpose::Custom(7);

/// `items` in a random order that depends on (seed, epoch, part, purpose) alone.
pub(crate) fn shuffled(
    mut items: Vec<usize>,
    seed: Seed,
    epoch: u64,
    part: u64,
    purpose: Purpose,
) -> Vec<usize> {
    let stream = Stream::new(seed).epoch(epoch).sample(part);
    items.shuffle(&mut stream.rng(purpose));
    items
}
