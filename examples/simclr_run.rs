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

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use candle_core::Device;
use clap::Parser;
use serde_json::json;
use simclr::checkpoint::import;
use simclr::data::{Labels, LoaderConfig};
use simclr::eval::metrics::ClassificationReport;
use simclr::eval::{NetworkClassifier, classifier_scores};
use simclr::prelude::*;
use simclr_cli::interrupt::{exit_paused, pause_handle};
pub(crate) use simclr_cli::terminal::AnyResult;
use simclr_cli::terminal::{complain, say};

#[path = "../crates/simclr-cli/src/folders.rs"]
mod folders;
#[path = "../crates/simclr-cli/src/original/flags.rs"]
mod original_flags;
#[path = "../crates/simclr-cli/src/original/probe_script.rs"]
mod probe_script;

use original_flags::TrainMode;
pub(crate) use original_flags::{Flags, arguments};
use probe_script::ProbeScript;

fn main() -> ExitCode {
    exit_paused(|| run_words(std::env::args().collect()))
}

/// Runs the script that the words name, `run.py` where they name none.
pub(crate) fn run_words(words: Vec<String>) -> AnyResult {
    match probe_script::words(&words) {
        Some(words) => probe_script::run(&ProbeScript::parse_from(words)),
        None => run(&Flags::parse_from(arguments(words))),
    }
}

pub(crate) fn run(flags: &Flags) -> AnyResult {
    let ignored = flags.ignored();
    if !ignored.is_empty() {
        complain(format_args!("ignored: {}", ignored.join(", ")));
    }
    let model_dir = flags.model_dir.as_deref().ok_or("give --model_dir DIR")?;
    folders::check_outside(model_dir, &flags.image_dir)?;
    let images = Images::open(flags)?;
    if flags.mode.trains() {
        match flags.train_mode {
            TrainMode::Pretrain => pretrain(flags, &images, model_dir)?,
            TrainMode::Finetune => fine_tune(flags, &images, model_dir)?,
        }
    }
    if flags.mode.evaluates() {
        evaluate(flags, &images, model_dir)?;
    }
    Ok(())
}

/// What to train on, and what to evaluate on.
struct Images {
    train: Arc<dyn Dataset>,
    evaluation: Arc<dyn Dataset>,
    /// What readers of an evaluation should know.
    remark: &'static str,
}

impl Images {
    fn open(flags: &Flags) -> AnyResult<Self> {
        match (&flags.image_dir, flags.dataset.as_str()) {
            (Some(dir), _) => {
                let labels = if flags.uses_labels() {
                    Labels::ClassFolders
                } else {
                    Labels::Ignored
                };
                let images = ImageFolder::builder(dir).labels(labels).open()?.shared();
                Ok(Self {
                    train: images.clone(),
                    evaluation: images,
                    remark: " (the training images, as in the original: no test figure)",
                })
            }
            (None, "cifar10") => Self::cifar10(flags),
            (None, other) => Err(format!(
                "give --image_dir DIR; --dataset={other} is not read, only cifar10 is"
            )
            .into()),
        }
    }

    #[cfg(feature = "candle-datasets")]
    fn cifar10(flags: &Flags) -> AnyResult<Self> {
        let dir = flags.data_dir.as_ref();
        let dir =
            dir.ok_or("--dataset=cifar10 needs --data_dir, the folder of its binary files")?;
        let cifar = simclr::data::benchmark::cifar10(dir)?;
        Ok(Self {
            train: cifar.train.shared(),
            evaluation: cifar.test.shared(),
            remark: "",
        })
    }

    #[cfg(not(feature = "candle-datasets"))]
    fn cifar10(_: &Flags) -> AnyResult<Self> {
        Err("--dataset=cifar10 is read with `cargo run --features candle-datasets`".into())
    }
}

fn pretrain(flags: &Flags, images: &Images, model_dir: &Path) -> AnyResult {
    let start = flags.checkpoint.as_deref().map(load).transpose()?;
    let config = flags.on_network(flags.pretrain_config(), start.as_ref())?;
    let mut run = flags
        .with_checkpoints(Pretrain::new(config))
        .gradient_checkpointing(flags.checkpointing())
        .progress(ProgressMode::Auto)
        .callback(pause_handle());
    if let Some(network) = start {
        run = run.start_from(network.store()?);
    }
    let run = run.run(images.train.clone(), model_dir)?;
    say(run.result.summary());
    Ok(())
}

fn fine_tune(flags: &Flags, images: &Images, model_dir: &Path) -> AnyResult {
    let checkpoint = flags.checkpoint.as_ref();
    let checkpoint = checkpoint.ok_or("--train_mode=finetune needs --checkpoint")?;
    if flags.image_dir.is_some() && !flags.uses_labels() {
        return Err(
            "--train_mode=finetune needs labels: give --labels=yep, which takes the class \
                    folders (the default, random labels, teaches nothing)"
                .into(),
        );
    }
    let all = images.train.subset(Vec::from_iter(0..images.train.len()))?;
    let none = images.train.subset(Vec::new())?;
    let split = Split {
        train: all,
        validation: none.clone(),
        test: none,
    };
    let start = load(checkpoint)?;
    let config = flags.on_network(flags.fine_tune_config(), Some(&start))?;
    let run = flags
        .with_checkpoints(FineTune::new(config))
        .start_from(start.store()?)
        .gradient_checkpointing(flags.checkpointing())
        .progress(ProgressMode::Auto)
        .callback(pause_handle())
        .run(&split, model_dir)?;
    say(run.result.summary());
    Ok(())
}

/// A network in our format, or one to be imported.
fn load(path: &Path) -> AnyResult<SimClr> {
    let is_ours = path.extension().is_some_and(|kind| kind == "safetensors") && path.is_file();
    if is_ours {
        return Ok(SimClr::load(path, &Device::Cpu)?);
    }
    let imported = import(path)?;
    say(imported.report.to_string().trim_end());
    Ok(imported.model(&Device::Cpu)?)
}

/// Evaluates the supervised head of the run's network.
fn evaluate(flags: &Flags, images: &Images, model_dir: &Path) -> AnyResult {
    let file: PathBuf = model_dir.join("model.safetensors");
    let network = SimClr::load(&file, &Device::Cpu)?;
    if network.config().supervised_head.is_none() {
        say("no evaluation: the network has no supervised head, as there were no labels");
        return Ok(());
    }
    let classifier = NetworkClassifier::new(network)?;
    let limit = match flags.eval_steps {
        0 => images.evaluation.len(),
        steps => images
            .evaluation
            .len()
            .min(steps.saturating_mul(flags.eval_batch_size)),
    };
    let subset = images.evaluation.subset(Vec::from_iter(0..limit))?;
    let labels = subset.labels("an evaluation")?;
    let policy = flags.fine_tune_config().evaluation;
    let config = LoaderConfig::evaluation(flags.eval_batch_size);
    let loader = ViewLoader::new(subset.shared(), policy, config)?;
    let scores = classifier_scores(&classifier, &loader)?;
    let report = ClassificationReport::new(&scores, &labels, subset.class_names())?;
    let figures = json!({
        "eval/label_top_1_accuracy": report.accuracy,
        "eval/label_top_5_accuracy": report.top_5_accuracy,
        "images": report.samples,
    });
    let path = model_dir.join("evaluation.json");
    std::fs::write(&path, serde_json::to_string_pretty(&figures)?)
        .map_err(|error| format!("{}: {error}", path.display()))?;
    say(format_args!(
        "top-1 accuracy {:.2} %, top-5 {:.2} % of {} images{}",
        100.0 * report.accuracy,
        100.0 * report.top_5_accuracy,
        report.samples,
        images.remark
    ));
    Ok(())
}
