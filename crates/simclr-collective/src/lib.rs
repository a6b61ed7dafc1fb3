#![doc = include_str!("../README.md")]

mod call;
mod collective;
mod error;
mod single_process;
mod threads;

pub use call::Call;
pub use collective::{Collective, check_all_gather, check_all_to_all, check_root};
pub use error::{Error, Result};
pub use single_process::SingleProcess;
pub use threads::run_threads;
