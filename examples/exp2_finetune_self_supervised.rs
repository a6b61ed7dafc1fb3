//! Experiment 2: self-supervision goes on from an ImageNet network with the task's own
//! images. The stem and the first block groups are frozen, the others learn by NT-Xent;
//! then a linear head learns on the features.
//!
//! `cargo run --release --example exp2_finetune_self_supervised -- --image-dir cores/ --checkpoint r50_1x_sk0.safetensors --fine-tune-after-block 2`
//!
//! Every default is the paper's: without `--fine-tune-after-block`, all of -1 (nothing is
//! frozen), 0 (the stem is), 1, 2 and 3 are tried. `--preset tiny` alone runs on synthetic
//! cores, with a stand-in for the ImageNet network.

use std::process::ExitCode;

use clap::Parser;
use simclr::prelude::*;
use simclr::study::paper;

#[path = "common/experiment.rs"]
mod experiment;
#[path = "common/networks.rs"]
mod networks;
#[path = "common/pretrain_arguments.rs"]
mod pretrain_arguments;

use experiment::{AnyResult, exit, finish};
use networks::Training;
use pretrain_arguments::SelfSupervisionArguments;

/// The options of this experiment.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// The network to start from was trained with labels.
    #[arg(long)]
    supervised: bool,
    #[command(flatten)]
    common: SelfSupervisionArguments,
}

fn main() -> ExitCode {
    exit(|| {
        run(experiment::parse(
            "Goes on with self-supervision on task images, and probes before and after.",
        ))
    })
}

pub(crate) fn run(arguments: Arguments) -> AnyResult {
    let experiment = &arguments.common.experiment;
    let protocol = experiment.protocol(paper::experiment_2())?;
    let protocol = arguments.common.pretrain.over_one_fraction(protocol)?;
    let mut study = experiment.study("exp2", protocol.clone())?;
    let imagenet = networks::start(experiment, &mut study, Training::from(arguments.supervised))?;

    study.probe_untrained(|run| imagenet.untrained(run.seed))?;
    study.probe(imagenet.name, |_| AnyResult::Ok(imagenet.encoder.frozen()))?;
    let fraction = protocol.largest_unlabelled_fraction();
    for freeze in protocol.freeze {
        let mut config = protocol.pretrain.clone();
        config.encoder = imagenet.encoder.config().clone();
        config.freeze = freeze;
        let pretrain = arguments.common.pretrain(config);
        let pretrain = pretrain.start_from(imagenet.parameters.clone());
        let (name, folder) = match freeze {
            Freeze::AfterBlock(0) => ("stem frozen".to_owned(), "after-block-0".to_owned()),
            Freeze::AfterBlock(group) => (
                format!("frozen up to block group {group}"),
                format!("after-block-{group}"),
            ),
            _ => ("nothing frozen".to_owned(), "after-block--1".to_owned()),
        };
        study.pretrain(format!("continued, {name}"), &pretrain, fraction, &folder)?;
    }
    finish("exp2", &study, Ok)
}
