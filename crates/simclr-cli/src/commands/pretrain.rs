//! `simclr pretrain`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use candle_core::Device;
use clap::{Args, ValueEnum};
use simclr_checkpoint::LoadNetwork;
use simclr_data::{Dataset, DepthGuidance, Seed};
use simclr_model::{Freeze, GradientCheckpointing, SimClr, Stem};
use simclr_optim::LearningRateScaling;
use simclr_progress::ProgressMode;
use simclr_train::{LoopConfig, Pretrain, PretrainConfig, PretrainRun};

use crate::device::DeviceArgument;
use crate::folders::check_outside;
use crate::images;
use crate::interrupt::pause_handle;
use crate::options::metres;
use crate::terminal::{AnyResult, say};

/// Time between checkpoints.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(600);

/// Trains an encoder on images without labels.
///
/// An interrupted run goes on where it stopped, if it is started again with the same options.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Folders of images, or tables such as the `tiles.csv` of `simclr tiles`; labels are not needed,
    /// and not used.
    #[arg(required = true)]
    images: Vec<PathBuf>,
    /// The run's folder; its `model.safetensors` is the encoder.
    #[arg(long)]
    model_dir: PathBuf,
    /// Depth of the ResNet: 18, 34, 50, 101, 152 or 200.
    #[arg(long, default_value_t = 18)]
    resnet_depth: usize,
    /// The network's first layers: those for large images, or those for small ones.
    #[arg(long, value_enum, default_value = "imagenet")]
    stem: StemName,
    /// Side of the images that the network sees, in pixels.
    #[arg(long, default_value_t = 96)]
    image_size: usize,
    /// Images per step, each with two views.
    #[arg(long, default_value_t = 128)]
    train_batch_size: usize,
    /// Passes over the images.
    #[arg(long, default_value_t = 100)]
    train_epochs: usize,
    /// Learning rate before it is multiplied by the square root of the batch.
    #[arg(long, default_value_t = 0.075)]
    learning_rate: f64,
    /// Temperature of NT-Xent.
    #[arg(long, default_value_t = 0.2)]
    temperature: f64,
    /// Strength of the colour jitter.
    #[arg(long)]
    color_jitter_strength: Option<f64>,
    /// Flip and turn views in every direction: for rocks that have no up.
    #[arg(long)]
    rock_symmetries: bool,
    /// What the second view of an image is of: the same image, or one of those within --radius of
    /// depth, the same included.
    #[arg(
        long,
        value_enum,
        default_value = "image",
        requires_if("depth", "radius")
    )]
    positives: Positives,
    /// How far away in depth the second view's image may be: a number with m, cm or mm.
    #[arg(long, value_parser = metres, value_name = "LENGTH", requires = "positives")]
    radius: Option<f64>,
    /// Views of images that are nearer in depth are no negatives of each other.
    #[arg(long, value_parser = metres, value_name = "LENGTH")]
    mask_negatives: Option<f64>,
    /// Go on from this network, in our format, instead of from random weights; the ResNet is its.
    #[arg(long, conflicts_with_all = ["resnet_depth", "stem"])]
    checkpoint: Option<PathBuf>,
    /// Freeze the stem and the block groups up to this one; -1 freezes nothing.
    #[arg(long, default_value = "-1", allow_hyphen_values = true)]
    fine_tune_after_block: Freeze,
    /// Embed so many images at a time, in the memory for them, whatever the batch: exact loss,
    /// batch norm's statistics over these images, a second forward pass.
    #[arg(long, value_name = "IMAGES")]
    gradient_cache: Option<usize>,
    /// Keep only the inputs of the network's blocks for the backward pass, and compute the rest
    /// again: less memory, more time, the same results.
    #[arg(long)]
    gradient_checkpointing: bool,
    /// Take the statistics of batch norms over the images of all processes, and not over those of
    /// each.
    #[cfg(feature = "mpi")]
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    global_bn: bool,
    /// Seed of everything.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    device: DeviceArgument,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Positives {
    /// Two views of each image.
    Image,
    /// A view of an image and one of a neighbour in depth: needs a table with depths.
    Depth,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StemName {
    /// A 7x7 convolution of stride 2 and a max-pool.
    Imagenet,
    /// A 3x3 convolution.
    Cifar,
}

impl Arguments {
    #[cfg(not(feature = "mpi"))]
    pub(crate) fn run(&self, progress: ProgressMode) -> AnyResult {
        let (pretrain, images) = self.prepare(self.device.open()?)?;
        describe(&pretrain.progress(progress).run(images, &self.model_dir)?);
        Ok(())
    }

    /// On each of the processes that `mpirun` has started.
    #[cfg(feature = "mpi")]
    pub(crate) fn run(&self, progress: ProgressMode) -> AnyResult {
        let (ranks, device) = crate::ranks::join(self.device)?;
        // What fails before training has to end the other ranks as well.
        let prepared = self.prepare(device);
        let (pretrain, images) = prepared.inspect_err(|error| ranks.abort(&error.to_string()))?;
        let is_first = ranks.rank() == 0;
        let run = pretrain
            .global_batch_norm(self.global_bn)
            .ranks(ranks)
            .progress(if is_first {
                progress
            } else {
                ProgressMode::Silent
            })
            .run(images, &self.model_dir)?;
        if is_first {
            describe(&run);
        }
        Ok(())
    }

    /// The run, and the images that it is about.
    fn prepare(&self, device: Device) -> AnyResult<(Pretrain, Arc<dyn Dataset>)> {
        if self.radius.is_some() && self.positives == Positives::Image {
            return Err("--radius is for --positives depth".into());
        }
        check_outside(
            "--model-dir",
            &self.model_dir,
            self.images.iter().filter(|path| path.is_dir()),
        )?;
        let images = images::unlabelled(&self.images)?;
        let load = |path: &PathBuf| SimClr::load(path, &device);
        let start = self.checkpoint.as_ref().map(load).transpose()?;
        let mut config = PretrainConfig::resnet(self.resnet_depth)
            .with_image_size(self.image_size)
            .with_batch_size(self.train_batch_size)
            .with_freeze(self.fine_tune_after_block)
            .with_seed(Seed(self.seed))
            .with_linear_classifier(false)
            .with_gradient_cache(self.gradient_cache)
            .with_depth_guidance(
                DepthGuidance::default()
                    .with_positive_radius(self.radius)
                    .with_negative_distance(self.mask_negatives),
            );
        config.loss.temperature = self.temperature;
        config.encoder.stem = match self.stem {
            StemName::Imagenet => Stem::ImageNet,
            StemName::Cifar => Stem::Cifar,
        };
        if let Some(network) = &start {
            config.encoder = network.encoder().config().clone();
        }
        if let Some(strength) = self.color_jitter_strength {
            config.policy = config.policy.clone().with_color_jitter_strength(strength);
        }
        let warmup = (self.train_epochs as f64 / 10.0).min(10.0);
        config.schedule = config
            .schedule
            .clone()
            .with_learning_rate(self.learning_rate)
            .with_scaling(LearningRateScaling::Sqrt)
            .with_warmup_epochs(warmup)
            .with_epochs(self.train_epochs);
        if self.rock_symmetries {
            config.policy = config.policy.clone().with_rock_symmetries();
        }
        let mut run = Pretrain::new(config)
            .device(device.clone())
            .callback(pause_handle())
            .checkpoint_interval(CHECKPOINT_INTERVAL);
        if self.gradient_checkpointing {
            run = run.gradient_checkpointing(GradientCheckpointing::PerBlock);
        }
        if let Some(network) = &start {
            run = run.start_from(network.store()?);
        }
        Ok((run, images))
    }
}

/// Prints what came of a run.
fn describe(run: &PretrainRun) {
    let last = run.result.last_epoch();
    let figures = last.contrast_loss.zip(last.contrast_accuracy);
    let figures = figures.map(|(loss, accuracy)| {
        let percent = 100.0 * accuracy;
        format!("contrastive loss {loss:.2}, the other view found in {percent:.1} % of the cases ")
    });
    let file = run.model_file.display();
    say(format_args!(
        "pretrain: {}-> {file}",
        figures.unwrap_or_default()
    ));
}
