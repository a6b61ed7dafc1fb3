//! What optimizers call what they keep for a variable.

use std::collections::BTreeMap;

use candle_core::Tensor;

/// The recordings' word (that of TensorFlow's checkpoints) and ours: LARS and TensorFlow 1's
/// momentum optimizer, TensorFlow 2's SGD, and Adam of both versions.
const SLOTS: [(&str, &str); 6] = [
    ("Momentum", "momentum"),
    ("momentum", "velocity"),
    ("m", "first_moment"),
    ("v", "second_moment"),
    ("Adam", "first_moment"),
    ("Adam_1", "second_moment"),
];

/// Our word for one of TensorFlow's.
pub(crate) fn our_slot(theirs: &str) -> Option<&'static str> {
    let slot = SLOTS.iter().find(|slot| slot.0 == theirs);
    slot.map(|slot| slot.1)
}

/// An optimizer's slots for the variable that we call `name`, with TensorFlow 2's words for them.
pub(crate) fn slots_of<'a>(
    state: &'a BTreeMap<String, Tensor>,
    name: &'a str,
) -> impl Iterator<Item = (&'static str, &'a Tensor)> {
    let slot = move |(theirs, ours): &(&'static str, &str)| {
        Some((*theirs, state.get(&format!("{name}.{ours}"))?))
    };
    SLOTS.iter().take(4).filter_map(slot)
}
