//! Pretraining on several processes that MPI has started together, each with its part of every
//! batch.
//!
//! ```sh
//! cargo build --release --features mpi --example pretrain_mpi
//! mpirun -n 4 target/release/examples/pretrain_mpi --image-dir cores/ --model-dir runs/cores
//! ```

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use candle_core::Device;
use clap::Parser;
use simclr::collective::{Collective, run_threads};
use simclr::prelude::*;
use simclr::train::PretrainRun;
use simclr_cli::device::DeviceArgument;
use simclr_cli::interrupt::{exit_paused, pause_handle};
use simclr_cli::terminal::{AnyResult, say};

/// Pretrains an encoder without labels on all processes of an MPI program.
#[derive(Debug, Parser)]
struct Arguments {
    /// The run folder, which rank 0 writes. An interrupted run goes on where it stopped, with any
    /// number of ranks.
    #[arg(long, default_value = "runs/pretrain_mpi")]
    model_dir: PathBuf,
    /// A folder with images, which every rank can read.
    #[arg(long)]
    image_dir: Option<PathBuf>,
    /// How many synthetic cores are photographed, where no folder is given.
    #[arg(long, default_value_t = 1200)]
    synthetic_images: usize,
    /// Settings as JSON, over which the other options are put.
    #[arg(long, default_value = "{}")]
    settings: String,
    /// Depth of the ResNet.
    #[arg(long)]
    resnet_depth: Option<usize>,
    /// Side of the views in pixels.
    #[arg(long, default_value_t = 32)]
    image_size: usize,
    /// Images per step, those of all ranks together.
    #[arg(long)]
    train_batch_size: Option<usize>,
    /// Passes over the images.
    #[arg(long)]
    train_epochs: Option<usize>,
    /// Steps, whatever the number of passes.
    #[arg(long)]
    train_steps: Option<usize>,
    /// Seed of everything.
    #[arg(long)]
    seed: Option<u64>,
    /// Take the statistics of batch norms over the batches of all ranks.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    global_bn: bool,
    /// So many ranks as threads of one process, for comparison, in place of MPI's.
    #[arg(long)]
    threads_as_ranks: Option<usize>,
    #[command(flatten)]
    device: DeviceArgument,
}

fn main() -> ExitCode {
    exit_paused(|| run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> AnyResult {
    if let Some(ranks) = arguments.threads_as_ranks {
        let device = arguments.device.open()?;
        let runs = run_threads(ranks, |ranks| pretrain(arguments, ranks, &device));
        return runs.into_iter().try_for_each(|run| run.map(drop));
    }
    let (ranks, device) = simclr_cli::ranks::join(arguments.device)?;
    let run = pretrain(arguments, Arc::clone(&ranks), &device)?;
    if ranks.rank() == 0 {
        let threads = rayon::current_num_threads();
        say(format_args!(
            "{} ranks of {threads} threads: {}",
            ranks.size(),
            run.result.summary()
        ));
        say(run.model_file.display());
    }
    Ok(())
}

/// One rank's part.
fn pretrain(
    arguments: &Arguments,
    ranks: Arc<dyn Collective>,
    device: &Device,
) -> AnyResult<PretrainRun> {
    // What fails before training has to end the other ranks as well.
    let prepared = prepare(arguments, Arc::clone(&ranks), device);
    let (pretrain, images) = prepared.inspect_err(|error| ranks.abort(&error.to_string()))?;
    Ok(pretrain.run(images, &arguments.model_dir)?)
}

fn prepare(
    arguments: &Arguments,
    ranks: Arc<dyn Collective>,
    device: &Device,
) -> AnyResult<(Pretrain, Arc<dyn Dataset>)> {
    let mut config = PretrainConfig::from_json(&arguments.settings)?;
    if let Some(depth) = arguments.resnet_depth {
        config.encoder.depth = depth;
    }
    if let Some(images) = arguments.train_batch_size {
        config.batch_size = images;
    }
    if let Some(seed) = arguments.seed {
        config.seed = Seed(seed);
    }
    let images = match &arguments.image_dir {
        Some(dir) => ImageFolder::unlabelled(dir)?.shared(),
        None => {
            let (images, size) = (arguments.synthetic_images, 2 * arguments.image_size);
            SyntheticCores::new(images, size, config.seed)?.shared()
        }
    };
    let mut pretrain = Pretrain::new(config)
        .device(device.clone())
        .image_size(arguments.image_size)
        .global_batch_norm(arguments.global_bn)
        .callback(pause_handle());
    if ranks.rank() == 0 {
        pretrain = pretrain.progress(ProgressMode::Auto);
    }
    if let Some(epochs) = arguments.train_epochs {
        pretrain = pretrain.epochs(epochs);
    }
    if let Some(steps) = arguments.train_steps {
        pretrain = pretrain.steps(steps);
    }
    Ok((pretrain.ranks(ranks), images))
}
