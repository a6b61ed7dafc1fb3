//! The program's commands: the options of each, and what it does with the libraries.

pub(crate) mod completions;
pub(crate) mod embed;
pub(crate) mod log;
pub(crate) mod predict;
pub(crate) mod pretrain;
pub(crate) mod probe;
pub(crate) mod tiles;
