//! The main job on synthetic sediment cores: pretrain a small encoder without labels,
//! then compare the probes on it with the same probes on the untrained encoder.
//!
//! `cargo run --release --example quickstart`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use simclr::augment::Crop;
use simclr::augment::ops::RandomCrop;
use simclr::data::{InMemory, SyntheticCores};
use simclr::eval::analysis::{Repeat, Summary};
use simclr::eval::probes::LinearProbe;
use simclr::eval::{ProbeSuite, comparison_table};
use simclr::model::Stem;
use simclr::prelude::*;
use simclr::report::Report;
use simclr::study::view_grid;
use simclr::train::run::RunRecord;
use simclr_cli::device::DeviceArgument;
use simclr_cli::interrupt::{exit_paused, pause_handle};
use simclr_cli::terminal::{AnyResult, say};

/// Pretrains a small encoder on synthetic sediment cores and probes it.
#[derive(Debug, Parser)]
struct Arguments {
    /// The run folder. An interrupted run goes on where it stopped.
    #[arg(long, default_value = "runs/quickstart")]
    model_dir: PathBuf,
    /// How many cores are photographed.
    #[arg(long, default_value_t = 2000)]
    images: usize,
    /// Side of the images in pixels.
    #[arg(long, default_value_t = 32)]
    image_size: usize,
    /// Passes over the images.
    #[arg(long, default_value_t = 19)]
    train_epochs: usize,
    /// Images per step.
    #[arg(long, default_value_t = 50)]
    train_batch_size: usize,
    /// Write event files for TensorBoard into the run folder.
    #[cfg(feature = "tensorboard")]
    #[arg(long)]
    tensorboard: bool,
    /// Seed of everything.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    device: DeviceArgument,
}

fn main() -> ExitCode {
    exit_paused(|| run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> AnyResult {
    let cores = SyntheticCores::new(
        arguments.images,
        2 * arguments.image_size,
        Seed(arguments.seed),
    )?;
    // Drawn once, and looked at often.
    let cores = InMemory::collect(&cores)?;
    let split = cores.split(
        Fractions {
            train: 0.5,
            validation: 0.1,
        },
        Seed(arguments.seed),
    )?;
    let (train, validation) = (split.train.indices(), split.validation.indices());
    let unlabelled = cores.subset([train, validation].concat())?;

    let pretrain = arguments.pretrain().device(arguments.device.open()?);
    let run = pretrain.run(unlabelled.shared(), &arguments.model_dir)?;
    let probes = ProbeSuite::default().with_linear(LinearProbe::paper().with_epochs(100));
    // Views are enlarged crops. Whole images are looked at a quarter larger, so that the network
    // meets textures at the size that it knows (Touvron et al. 2019).
    let policy = Policy::probe(arguments.image_size * 5 / 4);
    let evaluate = |encoder: &FrozenEncoder| -> AnyResult<_> {
        Ok(probes.evaluate(&Features::of_split(encoder, &split, &policy)?)?)
    };
    let plain = pretrain.untrained()?;
    // The fair baseline: training adapts batch norm to the images even without learning.
    let calibrated = Features::calibrate(&plain, unlabelled.shared(), &policy)?;
    let [plain, untrained] = [evaluate(&plain)?, evaluate(&calibrated)?];
    let pretrained = evaluate(&run.encoder)?;

    let table = comparison_table(&[
        ("untrained, plain", &plain),
        ("untrained, calibrated", &untrained),
        ("pretrained", &pretrained),
    ]);
    say(&table);
    // As the network sees them, but large enough for people.
    let size = 128;
    let policy = pretrain.config().policy.clone();
    let policy = policy.with_size(size, size).with_squash(size, size);
    let large = SyntheticCores::new(arguments.images, size, Seed(arguments.seed))?;
    let views = view_grid(&large, &policy, Seed(arguments.seed))?;
    let question = "Do features learned without labels tell drilling disturbances apart?";
    let (name, what) = ("logistic", "logistic regression, test images");
    let test = &pretrained.logistic.test;
    let (low, high) = Summary::of_shares(&[Repeat::of(test)])?
        .interval
        .ok_or("there is one test image")?;
    let [plain, calibrated] =
        [&plain, &untrained].map(|results| 100.0 * results.logistic.test.accuracy);
    let [after, low, high] = [test.accuracy, low, high].map(|share| 100.0 * share);
    let chance = 100.0 / test.class_names.len() as f64;
    let report = Report::new("Quickstart: synthetic sediment cores", question)
        .finding(format!(
            "After pretraining without labels, logistic regression on the features is right on \
             {after:.1} % of the {} test images (95 % confidence interval {low:.1} to {high:.1}). \
             On those of the untrained network it is right on {calibrated:.1} % with calibrated \
             batch norms, and on {plain:.1} % without. Chance is {chance:.0} %.",
            test.samples
        ))
        .section("Result")
        .table(table)
        .section("Views")
        .figure(
            "views",
            views,
            "Each row: a core of a class, then five views of it as the network sees them, but larger.",
        )
        .section("Logistic regression on the pretrained encoder")
        .classification(name, what, test)?
        .run(&RunRecord::read(&run.dir)?)?
        .write(&run.dir)?;
    say(format_args!(
        "quickstart: untrained {calibrated:.1} % (plain {plain:.1} %) -> pretrained {after:.1} % \
         ({low:.1} to {high:.1}; chance {chance:.0} %; logistic regression, {} test images), \
         report: {}",
        test.samples,
        report.display()
    ));
    Ok(())
}

impl Arguments {
    /// A small network.
    fn pretrain(&self) -> Pretrain {
        let mut config = PretrainConfig::resnet(18)
            .with_image_size(self.image_size)
            .with_batch_size(self.train_batch_size)
            .with_seed(Seed(self.seed))
            .with_small_batches(self.train_epochs);
        // In few steps a network learns more from views that show a third of the core or more.
        let crop = Crop::Random(RandomCrop::default().with_area((0.3, 1.0)));
        let policy = config.policy.clone();
        config.policy = policy.with_crop(crop).with_flip_up_down(0.5);
        // The ImageNet stem is coarser than the CIFAR one, and sixteen times as fast.
        config.encoder.stem = Stem::ImageNet;
        let pretrain = Pretrain::new(config)
            .progress(ProgressMode::Auto)
            .callback(pause_handle());
        #[cfg(feature = "tensorboard")]
        if self.tensorboard {
            return pretrain.callback(simclr::train::TensorBoard::default());
        }
        pretrain
    }
}
