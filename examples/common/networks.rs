//! Networks that were trained on something else: read from a file, or, for the tiny
//! preset, made on synthetic textures.
#![allow(dead_code)] // Each example uses a part of it.

use std::num::NonZeroUsize;

use candle_core::Device;
use simclr::checkpoint::{CheckpointFile, load_encoder};
use simclr::model::Parameters;
use simclr::prelude::*;
use simclr::train::FineTune;
use simclr::train::study::Study;

use super::experiment::{AnyResult, ExperimentArguments, Preset};

/// Epochs between the checkpoints of short trainings, for which writing them takes longer than
/// the steps.
pub(crate) const RARELY: NonZeroUsize = NonZeroUsize::new(10).unwrap();

/// How a network was trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Training {
    /// Without labels.
    SelfSupervised,
    /// With labels.
    Supervised,
}

/// A network to start from.
pub(crate) struct Start {
    /// What it is called in the report.
    pub(crate) name: &'static str,
    pub(crate) encoder: Encoder,
    /// All its parameters, heads included.
    pub(crate) parameters: Parameters,
}

impl Start {
    /// The same architecture without any training.
    pub(crate) fn untrained(&self, seed: u64) -> simclr::train::Result<FrozenEncoder> {
        let config = self.encoder.config();
        Ok(Encoder::initialize(config, seed, &Device::Cpu)?.frozen())
    }
}

/// The network that `--checkpoint` names, or the tiny preset's stand-in.
pub(crate) fn start(
    arguments: &ExperimentArguments,
    study: &mut Study,
    training: Training,
) -> AnyResult<Start> {
    match (&arguments.checkpoint, arguments.preset) {
        (Some(path), _) => {
            let file = CheckpointFile::load(path, &Device::Cpu)?;
            let variables = file.tensors.iter().filter(|(name, _)| is_parameter(name));
            let variables = variables
                .map(|(name, tensor)| Ok((name.clone(), candle_core::Var::from_tensor(tensor)?)));
            let variables = variables.collect::<candle_core::Result<Vec<_>>>()?;
            study.note(format!("The network to start from is {}.", path.display()));
            Ok(Start {
                name: match training {
                    Training::SelfSupervised => "transfer, self-supervised",
                    Training::Supervised => "transfer, supervised",
                },
                encoder: load_encoder(path, &Device::Cpu)?,
                parameters: Parameters::from_variables(variables)?,
            })
        }
        (None, Preset::Tiny) => stand_in(arguments, study, training),
        (None, Preset::Paper) => Err(missing(training).into()),
    }
}

fn is_parameter(name: &str) -> bool {
    let parts = ["encoder.", "projection_head.", "supervised_head."];
    let is_state = |name: &str| name.ends_with(".momentum") || name.starts_with("optimizer.");
    parts.iter().any(|part| name.starts_with(part)) && !is_state(name)
}

fn missing(training: Training) -> &'static str {
    match training {
        Training::SelfSupervised => {
            "give --checkpoint FILE: get SimCLRv2's ImageNet network with `gsutil -m cp -r \
             gs://simclr-checkpoints/simclrv2/pretrained/r50_1x_sk0 .` and convert it with \
             `cargo run --release --example import_checkpoint -- --from r50_1x_sk0 --out \
             r50_1x_sk0.safetensors` (or take --preset tiny, which makes a stand-in)"
        }
        Training::Supervised => {
            "give --checkpoint FILE: get a supervised ImageNet network, SimCLRv2's with `gsutil -m \
             cp -r gs://simclr-checkpoints/simclrv2/supervised/r50_1x_sk0 .` or any ResNet-50 of \
             torchvision or timm, and convert it with `cargo run --release --example \
             import_checkpoint -- --from r50_1x_sk0 --out supervised.safetensors` (or take \
             --preset tiny, which makes a stand-in)"
        }
    }
}

/// A small network that is trained on synthetic textures, in a minute or so.
fn stand_in(
    arguments: &ExperimentArguments,
    study: &mut Study,
    training: Training,
) -> AnyResult<Start> {
    let textures = arguments.source_domain()?;
    let config = study.protocol().pretrain.clone();
    let mut schedule = config.schedule.clone();
    (
        schedule.learning_rate,
        schedule.warmup_epochs,
        schedule.epochs,
    ) = (0.075, 1.0, 6);
    let dir = study.dir().join("stand-in");
    let (how, name, file) = match training {
        Training::SelfSupervised => {
            let config = PretrainConfig {
                schedule,
                linear_classifier: false,
                seed: arguments.seed,
                ..config
            };
            let run = Pretrain::new(config)
                .progress(arguments.progress())
                .checkpoint_epochs(RARELY);
            let run = run.run(textures.clone(), dir)?;
            (
                "without labels",
                "stand-in, self-supervised",
                run.model_file,
            )
        }
        Training::Supervised => {
            let mut config = study.protocol().fine_tune.clone();
            config.encoder = study.protocol().pretrain.encoder.clone();
            config.seed = arguments.seed;
            let all: Vec<usize> = (0..textures.len()).collect();
            let split = Split {
                train: textures.subset(all)?,
                validation: textures.subset([])?,
                test: textures.subset([])?,
            };
            let run = FineTune::new(config)
                .progress(arguments.progress())
                .checkpoint_epochs(RARELY);
            let run = run.run(&split, dir)?;
            ("with labels", "stand-in, supervised", run.model_file)
        }
    };
    study.note(format!(
        "The network to start from is a stand-in for one of ImageNet: a small network that was \
         trained {how} on {} pictures of synthetic textures. Its figures say nothing about \
         ImageNet's.",
        textures.len()
    ));
    let network = simclr::checkpoint::load_model(file, &Device::Cpu)?.model;
    Ok(Start {
        name,
        encoder: network.encoder().clone(),
        parameters: network.store()?,
    })
}
