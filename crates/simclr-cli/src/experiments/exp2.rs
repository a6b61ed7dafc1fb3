//! Experiment 2: self-supervision goes on from an ImageNet network with the task's own
//! images. The stem and the first block groups are frozen, the others learn by NT-Xent;
//! then a linear head learns on the features.
//!
//! `simclr experiment 2 --image-dir cores/ --checkpoint r50_1x_sk0.safetensors --fine-tune-after-block 2`
//!
//! Every default is that of the paper's job scripts: without `--fine-tune-after-block`, block
//! groups 1 to 4 are frozen one after the other, with the original's batch norm (`1:original`).
//! `--preset readme` takes the settings of its README, `--preset recommended` ours, and
//! `--preset tiny` alone runs on synthetic cores, with a stand-in for the ImageNet network.

use clap::Parser;
use simclr_progress::ProgressMode;
use simclr_study::{Protocol, paper};

use super::arguments::{ExperimentArguments, Options, Preset, StudyParts, finish, in_parts};
use super::networks::{Training, study_with_start};
use super::pretrain_arguments::SelfSupervisionArguments;
use crate::terminal::AnyResult;

/// The options of this experiment.
#[derive(Debug, Clone, Parser)]
pub struct Arguments {
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

/// The preset's settings with the options put over them.
pub fn protocol(arguments: &Arguments) -> AnyResult<Protocol> {
    let experiment = &arguments.common.experiment;
    let protocol = experiment.protocol_of_preset(match experiment.preset {
        Preset::Readme => paper::experiment_2_readme(),
        Preset::Recommended => paper::experiment_2_recommended(),
        Preset::Paper | Preset::Tiny => paper::experiment_2(),
    })?;
    arguments.common.pretrain.over_one_fraction(protocol)
}

/// Evaluates the experiment's methods, and writes its report.
pub fn run(arguments: Arguments, progress: ProgressMode) -> AnyResult {
    in_parts("exp2", arguments, progress, evaluate)
}

fn evaluate(arguments: Arguments) -> AnyResult {
    let experiment = &arguments.common.experiment;
    let protocol = protocol(&arguments)?;
    if experiment.checkpoint.is_some() {
        arguments.common.pretrain.refuse_architecture()?;
    }
    let training = Training::from(arguments.supervised);
    let parts = StudyParts {
        self_supervision: true,
        ..StudyParts::default()
    };
    let (mut study, imagenet) =
        study_with_start(experiment, "exp2", protocol.clone(), training, parts)?;

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
