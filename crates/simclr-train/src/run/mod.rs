//! Run folders: what a training run leaves behind, and what it needs to go on
//! after an interruption.
//!
//! Every file is complete or absent: it is written under a temporary name,
//! synchronised and renamed. The one exception is `metrics.csv`, which grows
//! row by row and is cut back to the checkpoint when a run goes on.

mod checkpoints;
mod configuration;
mod folder;
mod lock;
mod manifest;
mod metrics_log;
mod metrics_table;
mod notices;
mod record;

pub use checkpoints::{CheckpointFile, Checkpoints};
pub(crate) use configuration::differences;
pub(crate) use folder::MODEL;
pub use folder::{RunFolder, RunRecord};
pub use manifest::{Manifest, RunFacts, Session, arithmetic};
pub use metrics_log::{MetricsLog, MetricsPosition};
pub use metrics_table::MetricsTable;
pub use notices::{Notice, Notices};
pub(crate) use record::RESULT;
pub use record::read_record;
