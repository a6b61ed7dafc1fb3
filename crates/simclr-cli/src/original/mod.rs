//! The original's command lines, as pasted: what `run.py` of SimCLR and the paper's
//! `run_finetune.py` take, with their names, forms and defaults.
//!
//! ```sh
//! simclr run --mode=train_then_eval --train_mode=finetune \
//!     --train_batch_size=256 --train_epochs=50 --learning_rate=0.01 --weight_decay=1e-4 \
//!     --use_blur=False --use_tpu=False --num_of_classes=10 --labels="yep" \
//!     --image_dir=images/training --checkpoint=50d_256b_100e_w1_sk0_100/ckpt-7200 \
//!     --model_dir=runs/finetuned
//! ```
//!
//! `simclr run TF2_finetuning.py NETWORK DATA` is the paper's linear probe.
//!
//! A checkpoint may be TensorFlow's: what is not matched in it is an error, not a silence.
//! Differences: random labels are not trained on, and the evaluation of a folder, which the
//! original does on the training images, says so.

mod flags;
mod network;
mod probe_script;
mod run;

use clap::Parser;
pub use flags::{Flags, arguments};
use probe_script::ProbeScript;
pub use run::run;
use simclr_progress::ProgressMode;

use crate::terminal::AnyResult;

/// Runs the script that the words name, `run.py` where they name none. Words that are no flags of it
/// are a [`clap::Error`], and so is the help that they ask for.
pub fn run_words(words: Vec<String>, progress: ProgressMode) -> AnyResult {
    match probe_script::words(&words) {
        Some(words) => probe_script::run(&ProbeScript::try_parse_from(words)?),
        None => run(&Flags::try_parse_from(arguments(words))?, progress),
    }
}
