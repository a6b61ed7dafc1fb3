//! Networks that were trained on something else: read from a file, or, for the tiny
//! preset, made on synthetic textures.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use simclr_checkpoint::LoadNetwork;
use simclr_data::{Dataset, DatasetExt, Fractions, Seed};
use simclr_model::{Encoder, FrozenEncoder, SimClr};
use simclr_study::{Protocol, SeedRun, Study};
use simclr_train::{FineTune, Pretrain};

use super::arguments::{ExperimentArguments, Preset, StudyParts};
use crate::interrupt::pause_handle;
use crate::terminal::AnyResult;

/// Epochs between the checkpoints of short trainings, for which writing them takes longer than
/// the steps.
const RARELY: NonZeroUsize = NonZeroUsize::new(10).unwrap();

/// How a network was trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Training {
    /// Without labels.
    SelfSupervised,
    /// With labels.
    Supervised,
}

impl From<bool> for Training {
    fn from(with_labels: bool) -> Self {
        if with_labels {
            Self::Supervised
        } else {
            Self::SelfSupervised
        }
    }
}

/// Where the network to start from comes from.
pub(crate) struct StartNetwork {
    training: Training,
    /// That of `--checkpoint`, or else the tiny preset's stand-in is to be made.
    given: Option<SimClr>,
}

impl StartNetwork {
    /// Reads the network that `--checkpoint` names.
    ///
    /// # Errors
    /// If the option is missing, and the preset has no stand-in; if the file cannot be read.
    pub(crate) fn read(arguments: &ExperimentArguments, training: Training) -> AnyResult<Self> {
        let given = match (&arguments.checkpoint, arguments.preset) {
            (Some(path), _) => Some(SimClr::load(path, &arguments.device.open()?)?),
            (None, Preset::Tiny) => None,
            (None, _) => {
                arguments.images.check_given()?;
                return Err(missing(training).into());
            }
        };
        Ok(Self { training, given })
    }

    /// The network, if it is not made first.
    pub(crate) fn given(&self) -> Option<&SimClr> {
        self.given.as_ref()
    }

    /// The network, which is made if none was given. The study's report says which it is.
    pub(crate) fn start(
        self,
        arguments: &ExperimentArguments,
        study: &mut Study,
    ) -> AnyResult<Start> {
        let start = match (self.given, &arguments.checkpoint) {
            (Some(network), Some(path)) => Start {
                note: format!("The network to start from is {}.", path.display()),
                name: match self.training {
                    Training::SelfSupervised => "transfer, self-supervised",
                    Training::Supervised => "transfer, supervised",
                },
                network,
            },
            _ => stand_in(arguments, study, self.training)?,
        };
        study.note(start.note.as_str());
        Ok(start)
    }
}

/// A study of methods that start from a network, and the network.
pub(crate) fn study_with_start(
    arguments: &ExperimentArguments,
    name: &str,
    protocol: Protocol,
    training: Training,
    parts: StudyParts<'_>,
) -> AnyResult<(Study, Start)> {
    let start = StartNetwork::read(arguments, training)?;
    let parts = StudyParts {
        start: start.given(),
        ..parts
    };
    let mut study = arguments.study(name, protocol, parts)?;
    let start = start.start(arguments, &mut study)?;
    Ok((study, start))
}

/// A network to start from.
pub(crate) struct Start {
    /// What it is called in the report.
    pub(crate) name: &'static str,
    pub(crate) network: SimClr,
    /// What readers of a report should know about it.
    pub(crate) note: String,
}

impl Start {
    /// The same architecture without any training.
    pub(crate) fn untrained(&self, seed: Seed) -> simclr_train::Result<FrozenEncoder> {
        let config = self.network.encoder().config();
        Ok(Encoder::initialize(config, seed.0, self.network.device())?.frozen())
    }

    /// Probes it, and fine-tunes it as far as the protocol says.
    pub(crate) fn evaluate(&self, study: &mut Study) -> AnyResult {
        self.evaluate_at(study, study.protocol().image_size())
    }

    /// [`evaluate`](Self::evaluate) on images of this size.
    pub(crate) fn evaluate_at(&self, study: &mut Study, image_size: usize) -> AnyResult {
        let network = |_: &SeedRun| AnyResult::Ok(self.network.clone());
        Ok(study.evaluate_network(self.name, image_size, network)?)
    }
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
    study: &Study,
    training: Training,
) -> AnyResult<Start> {
    let textures = arguments.images.source_domain(Seed(arguments.seed))?;
    let (how, name, (file, learned)) = match training {
        Training::SelfSupervised => (
            "without labels",
            "stand-in, self-supervised",
            without_labels(arguments, study, &textures)?,
        ),
        Training::Supervised => (
            "with labels",
            "stand-in, supervised",
            with_labels(arguments, study, &textures)?,
        ),
    };
    let note = format!(
        "The network to start from is a stand-in for one of ImageNet: a small network that was \
         trained {how} on {} pictures of synthetic textures. {learned} Its figures say nothing \
         about ImageNet's.",
        textures.len()
    );
    Ok(Start {
        name,
        network: SimClr::load(file, study.device())?,
        note,
    })
}

/// Self-supervision on textures: the network's file, and what it learned.
fn without_labels(
    arguments: &ExperimentArguments,
    study: &Study,
    textures: &Arc<dyn Dataset>,
) -> AnyResult<(PathBuf, String)> {
    let mut config = study.protocol().pretrain.clone();
    config.linear_classifier = false;
    config.seed = Seed(arguments.seed);
    let schedule = &mut config.schedule;
    schedule.learning_rate = 0.075;
    schedule.warmup_epochs = 1.0;
    schedule.epochs = 6;
    let run = Pretrain::new(config)
        .device(study.device().clone())
        .progress(arguments.progress)
        .checkpoint_epochs(RARELY)
        .callback(pause_handle())
        .run(textures.clone(), study.dir().join("stand-in"))?;
    let (first, last) = (run.result.first_epoch(), run.result.last_epoch());
    let measured = |figure: Option<f64>| figure.ok_or("the stand-in has no contrastive figures");
    let learned = format!(
        "Its contrastive loss fell from {:.2} to {:.2}, and it finds the other view of an image in \
         {:.1} % of the cases.",
        measured(first.contrast_loss)?,
        measured(last.contrast_loss)?,
        100.0 * measured(last.contrast_accuracy)?
    );
    Ok((run.model_file, learned))
}

/// Training with the textures' labels: the network's file, and what it learned.
fn with_labels(
    arguments: &ExperimentArguments,
    study: &Study,
    textures: &Arc<dyn Dataset>,
) -> AnyResult<(PathBuf, String)> {
    let mut config = study.protocol().supervised.clone();
    config.encoder = study.protocol().pretrain.encoder.clone();
    config.schedule.epochs = 16;
    config.seed = Seed(arguments.seed);
    let parts = Fractions {
        train: 0.9,
        validation: 0.0,
    };
    let run = FineTune::new(config)
        .device(study.device().clone())
        .progress(arguments.progress)
        .checkpoint_epochs(RARELY)
        .callback(pause_handle())
        .run(
            &textures.split(parts, Seed(arguments.seed))?,
            study.dir().join("stand-in"),
        )?;
    let test = run.result.test.ok_or("the stand-in was not tested")?;
    let learned = format!(
        "It tells their {} kinds apart in {:.1} % of {} pictures that it did not see (chance: \
         {:.1} %).",
        test.class_names.len(),
        100.0 * test.accuracy,
        test.samples,
        100.0 / test.class_names.len() as f64
    );
    Ok((run.model_file, learned))
}
