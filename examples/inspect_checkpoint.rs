//! Lists what is in a checkpoint: of TensorFlow or PyTorch, or any safetensors file.
//!
//! `cargo run --release --example inspect_checkpoint -- PATH [--verify]`
//!
//! With `--verify` every byte is read, every checksum and digest compared, and values that no
//! network can have (NaN, infinity, a negative variance) are named. Fails if there is damage,
//! also without it as far as the file's tables show.
//!
//! It is the command `simclr inspect`.

use std::process::ExitCode;

fn main() -> ExitCode {
    simclr_cli::run_command("inspect")
}
