//! Training on several ranks, each with its part of every batch.

pub(crate) mod agreement;
pub(crate) mod follower;
pub(crate) mod leader;
pub(crate) mod objective;
pub(crate) mod reduction;
pub(crate) mod state;
