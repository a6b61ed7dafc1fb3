//! Converts a checkpoint of somebody else's into ours.
//!
//! `cargo run --release --example import_checkpoint -- --from r50_1x_sk0/ --out model.safetensors`
//!
//! Reads TensorFlow checkpoints of SimCLR (name-based, object-based, SavedModel) and ResNets
//! with torchvision's or timm's names (`.safetensors`, or what PyTorch saves). Prints what became of every
//! variable; fails, and writes nothing, if any is missing or damaged.
//!
//! It is the command `simclr import`.

use std::process::ExitCode;

fn main() -> ExitCode {
    simclr_cli::run_command("import")
}
