//! The original's command lines, as pasted: what `run.py` of SimCLR and the paper's
//! `run_finetune.py` take, with their names, forms and defaults.
//!
//! ```sh
//! cargo run --release --example simclr_run -- --mode=train_then_eval --train_mode=finetune \
//!     --train_batch_size=256 --train_epochs=50 --learning_rate=0.01 --weight_decay=1e-4 \
//!     --use_blur=False --use_tpu=False --num_of_classes=10 --labels="yep" \
//!     --image_dir=images/training --checkpoint=50d_256b_100e_w1_sk0_100/ckpt-7200 \
//!     --model_dir=runs/finetuned
//! ```
//!
//! `simclr_run -- TF2_finetuning.py NETWORK DATA` is the paper's linear probe.
//!
//! A checkpoint may be TensorFlow's: what is not matched in it is an error, not a silence.
//! Differences: random labels are not trained on, and the evaluation of a folder, which the
//! original does on the training images, says so.
//!
//! It is the command `simclr run`.

use std::process::ExitCode;

fn main() -> ExitCode {
    simclr_cli::run_command("run")
}
