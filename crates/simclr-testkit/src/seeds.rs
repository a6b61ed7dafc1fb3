//! Named seeds, so that a test says which randomness it stands on.

/// The seed of tests that need any fixed randomness.
pub const DEFAULT: u64 = 0x5EED_0001;
/// The seed of initial weights.
pub const WEIGHTS: u64 = 0x5EED_0002;
/// The seed of input values.
pub const INPUTS: u64 = 0x5EED_0003;
/// The seed of splits and folds.
pub const SPLITS: u64 = 0x5EED_0004;
/// The seed of augmentations.
pub const AUGMENTATIONS: u64 = 0x5EED_0005;
