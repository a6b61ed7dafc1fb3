//! The representations of a folder of images, as safetensors.
//!
//! `cargo run --release --example embed -- --checkpoint runs/cores/model.safetensors \
//!     --image-dir cores/ --out features.safetensors`
//!
//! Writes `features` [n, d] f32 and `labels` [n] i64 (-1 where there is none), with
//! the images' paths and the classes as JSON lists in the metadata.
//!
//! It is the command `simclr embed`.

use std::process::ExitCode;

fn main() -> ExitCode {
    simclr_cli::run_command("embed")
}
