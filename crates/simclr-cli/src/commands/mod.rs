//! One module per command: its options, and what it does.

pub(crate) mod bench;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod embed;
pub(crate) mod experiment;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod finetune;
pub(crate) mod import;
pub(crate) mod inspect;
#[cfg(feature = "label")]
pub(crate) mod label;
pub(crate) mod labels;
pub(crate) mod log;
pub(crate) mod predict;
pub(crate) mod pretrain;
pub(crate) mod probe;
pub(crate) mod run;
pub(crate) mod select;
pub(crate) mod tiles;
