//! What the record of a run holds beside its configuration, in `config.json`, because it decides the
//! result too.

pub(crate) const BATCH_NORM: &str = "batch_norm";
pub(crate) const OWN_AUGMENTATION: &str = "own_augmentation";
pub(crate) const OWN_OBJECTIVE: &str = "own_objective";
pub(crate) const OWN_OPTIMIZER: &str = "own_optimizer";
pub(crate) const POSITIONS: &str = "positions";
pub(crate) const START: &str = "start";
pub(crate) const TEACHER: &str = "teacher";

/// All of them.
pub(crate) const ALL: [&str; 7] = [
    BATCH_NORM,
    OWN_AUGMENTATION,
    OWN_OBJECTIVE,
    OWN_OPTIMIZER,
    POSITIONS,
    START,
    TEACHER,
];
