//! `simclr finetune`.

use std::path::PathBuf;

use clap::Args;
use simclr_checkpoint::LoadNetwork;
use simclr_classifier::{Classifier, ClassifierConfig};
use simclr_model::{Freeze, SimClr};
use simclr_optim::{AdamConfig, LearningRateScaling, OptimizerConfig, ScheduleConfig};
use simclr_progress::{ProgressMode, Stage};
use simclr_train::{FineTune, LoopConfig};

use super::probe::{SplitArguments, describe};
use crate::device::DeviceArgument;
use crate::folders::check_outside;
use crate::interrupt::pause_handle;
use crate::outputs::check_output_beside_run;
use crate::terminal::{AnyResult, say};

/// Trains a network further on images with labels, and makes a classifier of it.
///
/// An interrupted run goes on where it stopped, if it is started again with the same options.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The network to start from, in our format, such as a run's `model.safetensors`.
    #[arg(long)]
    checkpoint: PathBuf,
    #[command(flatten)]
    split: SplitArguments,
    /// The run's folder.
    #[arg(long)]
    model_dir: PathBuf,
    /// The classifier's file.
    #[arg(long)]
    out: PathBuf,
    /// Side of the images that the network sees, in pixels.
    #[arg(long, default_value_t = 96)]
    image_size: usize,
    /// Images per step.
    #[arg(long, default_value_t = 50)]
    train_batch_size: usize,
    /// Passes over the training images.
    #[arg(long, default_value_t = 30)]
    train_epochs: usize,
    /// Learning rate of Adam.
    #[arg(long, default_value_t = 0.001)]
    learning_rate: f64,
    /// Freeze the stem and the block groups up to this one; -1 freezes nothing.
    #[arg(long, default_value = "-1", allow_hyphen_values = true)]
    fine_tune_after_block: Freeze,
    /// The level of the projection head that the classes are read from; 0 is the encoder.
    #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
    ft_proj_selector: i64,
    #[command(flatten)]
    device: DeviceArgument,
}

impl Arguments {
    pub(crate) fn run(&self, progress: ProgressMode) -> AnyResult {
        let labels = self.split.labels();
        let read = [self.checkpoint.as_path(), labels];
        check_output_beside_run(&self.out, &self.model_dir, read)?;
        if labels.is_dir() {
            check_outside("--model-dir", &self.model_dir, [labels])?;
        }
        let (split, note) = self.split.split()?;
        let device = self.device.open()?;
        let start = SimClr::load(&self.checkpoint, &device)?;
        let schedule = ScheduleConfig::default()
            .with_learning_rate(self.learning_rate)
            .with_scaling(LearningRateScaling::None)
            .with_warmup_epochs(1.0)
            .with_epochs(self.train_epochs);
        let spec = FineTune::network(&start)?;
        let config = spec
            .config()
            .clone()
            .with_optimizer(OptimizerConfig::Adam(AdamConfig::default()))
            .with_schedule(schedule)
            .with_weight_decay(0.0)
            .with_batch_size(self.train_batch_size)
            .with_view_size(self.image_size)
            .with_seed(self.split.seed())
            .with_freeze(self.fine_tune_after_block);
        let policy = config.evaluation.clone();
        let run = FineTune::new(config)
            .start_from(start.store()?)
            .projection_layer(self.ft_proj_selector)
            .device(device.clone())
            .progress(progress)
            .callback(pause_handle())
            .run(&split, &self.model_dir)?;
        say(run.result.summary());
        let config = ClassifierConfig::default()
            .with_policy(policy)
            .with_split_note(note);
        let stage = Stage::new("calibration", Classifier::fitting_steps(&split) as u64);
        let mut progress = progress.start(stage);
        let network = run.classifier;
        let classifier = Classifier::of_network(network, &split, &config, progress.as_mut())?;
        progress.finish("done");
        classifier.save(&self.out)?;
        describe("finetune", &classifier, &self.out);
        Ok(())
    }
}
