//! Experiment 2: self-supervision goes on from an ImageNet network with the task's own
//! images. The stem and the first block groups are frozen, the others learn by NT-Xent;
//! then a linear head learns on the features.
//!
//! `cargo run --release --example exp2_finetune_self_supervised -- --image-dir cores/ --checkpoint r50_1x_sk0.safetensors --fine-tune-after-block 2`
//!
//! Every default is that of the paper's job scripts: without `--fine-tune-after-block`, block
//! groups 1 to 4 are frozen one after the other, with the original's batch norm (`1:original`).
//! `--preset readme` takes the settings of its README, `--preset recommended` ours, and
//! `--preset tiny` alone runs on synthetic cores, with a stand-in for the ImageNet network.

use std::process::ExitCode;

use clap::Parser;
use simclr::study::{Protocol, paper};

#[path = "../crates/simclr-cli/src/experiments/arguments.rs"]
mod experiment;
#[path = "../crates/simclr-cli/src/experiments/networks.rs"]
mod networks;
#[path = "../crates/simclr-cli/src/experiments/pretrain_arguments.rs"]
mod pretrain_arguments;

use experiment::{AnyResult, ExperimentArguments, Options, Preset, exit, finish, in_parts};
use networks::Training;
use pretrain_arguments::SelfSupervisionArguments;

/// The options of this experiment.
#[derive(Debug, Clone, Parser)]
pub(crate) struct Arguments {
    /// The network to start from was trained with labels.
    #[arg(long)]
    supervised: bool,
    /// Also start from random weights, with the same blocks frozen: what the published code
    /// very probably did.
    #[arg(long)]
    random_start: bool,
    #[command(flatten)]
    common: SelfSupervisionArguments,
}

impl Options for Arguments {
    fn experiment(&mut self) -> &mut ExperimentArguments {
        &mut self.common.experiment
    }
}

fn main() -> ExitCode {
    exit(|| {
        run(experiment::parse(
            "Goes on with self-supervision on task images, and probes before and after.",
        ))
    })
}

/// The preset's settings with the options put over them.
pub(crate) fn protocol(arguments: &Arguments) -> AnyResult<Protocol> {
    let experiment = &arguments.common.experiment;
    let protocol = experiment.protocol_of_preset(match experiment.preset {
        Preset::Readme => paper::experiment_2_readme(),
        Preset::Recommended => paper::experiment_2_recommended(),
        Preset::Paper | Preset::Tiny => paper::experiment_2(),
    })?;
    arguments.common.pretrain.over_one_fraction(protocol)
}

pub(crate) fn run(arguments: Arguments) -> AnyResult {
    in_parts("exp2", arguments, evaluate)
}

fn evaluate(arguments: Arguments) -> AnyResult {
    let experiment = &arguments.common.experiment;
    let protocol = protocol(&arguments)?;
    let mut study = experiment.pretraining_study("exp2", protocol.clone())?;
    let imagenet = networks::start(experiment, &mut study, Training::from(arguments.supervised))?;

    study.probe_untrained(|run| imagenet.untrained(run.seed))?;
    imagenet.evaluate(&mut study)?;
    let fraction = protocol.largest_unlabelled_fraction();
    for freeze in protocol.freeze {
        let mut config = protocol.pretrain.clone();
        config.encoder = imagenet.network.encoder().config().clone();
        config.freeze = freeze;
        let random = arguments.common.pretrain(config);
        let continued = random.clone().start_from(imagenet.network.store()?);
        let folder = format!("after-block-{}", freeze.to_string().replace(':', "-"));
        let what = freeze.description();
        study.pretrain(&format!("continued, {what}"), &continued, fraction, &folder)?;
        if arguments.random_start {
            let name = format!("random start, {what}");
            study.pretrain(&name, &random, fraction, &format!("random-{folder}"))?;
        }
    }
    finish("exp2", &study, Ok)
}
