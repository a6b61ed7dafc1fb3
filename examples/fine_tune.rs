//! SimCLRv2's second step: a pretrained network is fine-tuned with labels, whole or after one
//! of its block groups, and compared with probes on its frozen features and with training from
//! scratch, at every number of labels.
//!
//! `cargo run --release --example fine_tune -- --image-dir cores/ --checkpoint runs/exp3/seed-1/pretrain/model.safetensors`
//!
//! The network may have learned with or without labels, on other images or on the task's own.
//! In the last case it must not have seen the test images: experiments 3 and 6 fine-tune the
//! networks that they pretrain if `--fine-tune` is given. The settings are those of the paper's
//! README; `--preset tiny` alone runs on synthetic cores, with a stand-in.

use std::process::ExitCode;

use clap::Parser;
use simclr::study::paper;

#[path = "../crates/simclr-cli/src/experiments/arguments.rs"]
mod experiment;
#[path = "../crates/simclr-cli/src/experiments/networks.rs"]
mod networks;

use experiment::{AnyResult, ExperimentArguments, Options, exit, finish, in_parts};
use networks::Training;

/// The options of this example.
#[derive(Debug, Clone, Parser)]
pub(crate) struct Arguments {
    /// The network to start from was trained with labels.
    #[arg(long)]
    supervised: bool,
    /// Leave out the network that is trained with the labels from scratch.
    #[arg(long)]
    without_scratch: bool,
    #[command(flatten)]
    common: ExperimentArguments,
}

impl Options for Arguments {
    fn experiment(&mut self) -> &mut ExperimentArguments {
        &mut self.common
    }
}

fn main() -> ExitCode {
    exit(|| run(experiment::parse("Fine-tunes a network with labels.")))
}

pub(crate) fn run(arguments: Arguments) -> AnyResult {
    in_parts("fine-tune", arguments, evaluate)
}

fn evaluate(arguments: Arguments) -> AnyResult {
    let experiment = &arguments.common;
    experiment.images.refuse_unlabelled()?;
    let protocol = experiment.protocol(paper::fine_tuning_study())?;
    let mut study = experiment.study("fine-tune", protocol)?;
    let start = networks::start(experiment, &mut study, Training::from(arguments.supervised))?;

    study.probe_untrained(|run| start.untrained(run.seed))?;
    start.evaluate(&mut study)?;
    if !arguments.without_scratch {
        study.supervised("supervised from scratch")?;
    }
    finish("fine_tune", &study, Ok)
}
