//! Run folders: what a training run leaves behind, and what it needs to go on
//! after an interruption.
//!
//! Every file is complete or absent: it is written under a temporary name,
//! synchronised and renamed. The one exception is `metrics.csv`, which grows
//! row by row and is cut back to the checkpoint when a run goes on.

mod atomic;
mod checkpoints;
mod configuration;
mod folder;
mod lock;
mod manifest;
mod metrics_log;
mod metrics_table;
mod progress;

pub use atomic::{IntoFileError, write_atomically};
pub(crate) use atomic::{read_json, write_json};
pub use checkpoints::{CheckpointFile, Checkpoints};
pub use folder::{RunFolder, RunRecord};
pub use manifest::{DatasetFacts, Manifest, RunFacts, Session};
pub use metrics_log::MetricsLog;
pub use metrics_table::MetricsTable;
pub use progress::{Progress, ProgressMode, Silent, Stage, StepUpdate};
pub(crate) use simclr_checkpoint::remove_leftovers;
