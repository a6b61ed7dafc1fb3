//! Writes a network as an ONNX file, for onnxruntime and other programs.
//!
//! `cargo run --release --example export_onnx -- --checkpoint runs/cores/model.safetensors \
//!     --image-size 224 --out model.onnx`
//!
//! The graph takes images in [0, 1] of this one size, any number at a time, and gives
//! `representation` and, if the network has such heads, `projection` and `logits`.
//!
//! It is the command `simclr export`.

use std::process::ExitCode;

fn main() -> ExitCode {
    simclr_cli::run_command("export")
}
