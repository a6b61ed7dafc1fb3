//! The integration tests of the crate, in one program.

mod common;
mod depth_guidance;
mod gradient_cache;
mod open_loop;
mod ranks;
mod ranks_traffic;
mod tensorboard;
mod trainer;
