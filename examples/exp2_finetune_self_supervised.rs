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

pub(crate) fn run(arguments: Arguments) -> AnyResult<()> {
    let experiment = &arguments.common.experiment;
    let protocol = experiment.protocol(paper::experiment_2())?;
    let protocol = arguments.common.pretrain.over_one_fraction(protocol)?;
    let (blocks, fraction) = (
        protocol.fine_tune_after_block.clone(),
        protocol.most_unlabelled(),
    );
    let mut study = experiment.study("exp2", protocol)?;
    let training = match arguments.supervised {
        true => Training::Supervised,
        false => Training::SelfSupervised,
    };
    let imagenet = networks::start(experiment, &mut study, training)?;

    study.probe(imagenet.name, |_| AnyResult::Ok(imagenet.encoder.frozen()))?;
    for block in blocks {
        let mut protocol = study.protocol().clone();
        protocol.pretrain.encoder = imagenet.encoder.config().clone();
        protocol.pretrain.freeze = Freeze::try_from(block)?;
        let pretrain = arguments.common.pretrain(&protocol);
        let pretrain = pretrain.start_from(imagenet.parameters.clone());
        let (name, folder) = (continued(block), format!("after-block-{block}"));

        study.probe(&name, |repetition| {
            let images = repetition.unlabelled(fraction)?;
            let run = pretrain.clone().seed(Seed(repetition.seed));
            let run = run.run(images, repetition.dir.join(&folder))?;
            AnyResult::Ok(run.encoder)
        })?;
        study.show_pretraining(&name, &folder);
    }
    finish("exp2", &study, Ok)
}

/// What the arm is called.
fn continued(block: i64) -> String {
    match block {
        -1 => "continued, nothing frozen".into(),
        0 => "continued, stem frozen".into(),
        _ => format!("continued, frozen up to block group {block}"),
    }
}
