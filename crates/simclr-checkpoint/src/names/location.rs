//! What a name says about where in the network a variable belongs.

/// What a variable of a checkpoint is, apart from its location in the network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Collection {
    /// A parameter or a moving statistic.
    Weights,
    /// The moving average of a parameter.
    MovingAverage,
    /// What an optimizer keeps for a parameter, by our name for it.
    Slot(&'static str),
}

/// A variable's location, and what it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) collection: Collection,
    pub(super) location: Location,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) part: Part,
    /// Sorts the layers of a part into the order of their construction.
    pub(super) unit: Vec<u64>,
    pub(super) kind: Kind,
    pub(super) leaf: &'static str,
}

/// A part of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Encoder,
    /// With `nl` or `l`, where the name tells.
    ProjectionHead(Option<&'static str>),
    SupervisedHead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A convolution or a dense layer.
    Layer,
    BatchNorm,
}

/// What a layer holds: the last part of a parameter's name.
pub(super) const LEAVES: [&str; 6] = [
    "kernel",
    "bias",
    "gamma",
    "beta",
    "moving_mean",
    "moving_variance",
];

/// The last part of a parameter's name.
pub(super) fn leaf(segment: &str) -> Option<&'static str> {
    LEAVES.into_iter().find(|leaf| *leaf == segment)
}

/// What an optimizer calls what it keeps.
pub(super) fn collection(word: &str) -> Option<Collection> {
    Some(match word {
        "Momentum" => Collection::Slot("momentum"),
        "momentum" => Collection::Slot("velocity"),
        "Adam" | "m" => Collection::Slot("first_moment"),
        "Adam_1" | "v" => Collection::Slot("second_moment"),
        "ExponentialMovingAverage" | "average" => Collection::MovingAverage,
        _ => return None,
    })
}

/// Splits `conv2d_3` into `conv2d` and 3; without a number, it is the first.
pub(super) fn numbered(segment: &str) -> (&str, u64) {
    let split = segment.rsplit_once('_');
    let number = split.and_then(|(stem, digits)| {
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.parse().ok().filter(|_| plain)?;
        Some((stem, number))
    });
    number.unwrap_or((segment, 0))
}
