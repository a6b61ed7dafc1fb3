//! Experiment 3: self-supervision from scratch on task images, then linear probes.
//!
//! `cargo run --release --example exp3_pretrain_task_images -- --image-dir cores/ --model-dir runs/exp3`
//!
//! Every default is the paper's. The images' labels are used by the probes alone (and by
//! the linear classifier that learns alongside on stopped gradients); images set aside
//! for testing take no part in pretraining.

use std::path::PathBuf;

use clap::Parser;
use simclr::prelude::*;
use simclr::train::Judge;

mod common;
#[path = "common/pretrain_arguments.rs"]
mod pretrain_arguments;

/// Pretrains on task images and probes the encoder.
#[derive(Debug, Parser)]
struct Arguments {
    /// A folder with a folder of images per class.
    #[arg(long)]
    image_dir: PathBuf,
    /// Test images, in folders of the same classes; part of `--image-dir` if not given.
    #[arg(long)]
    test_dir: Option<PathBuf>,
    /// The run folder. An interrupted run goes on where it stopped.
    #[arg(long)]
    model_dir: PathBuf,
    /// Share of each class that the probes learn from.
    #[arg(long, default_value_t = 0.7)]
    train_fraction: f64,
    /// Share of each class that the probes are tuned with.
    #[arg(long, default_value_t = 0.2)]
    validation_fraction: f64,
    /// Leave out images that cannot be read, and list them.
    #[arg(long)]
    skip_unreadable: bool,
    #[command(flatten)]
    pretrain: pretrain_arguments::PretrainArguments,
}

fn main() -> common::AnyResult<()> {
    let arguments = Arguments::parse();
    let pretrain = arguments.pretrain.pretrain()?;
    let split = arguments.split()?;
    let (train, validation) = (split.train.indices(), split.validation.indices());
    let unlabelled = Subset::new(split.train.parent().clone(), [train, validation].concat())?;

    let run = pretrain.run(unlabelled.shared(), &arguments.model_dir)?;
    let question = "Does self-supervision on the task's own images give better features than an \
                    untrained network has?";
    let (untrained, pretrained, report) = common::compare_and_report(
        "Experiment 3: self-supervision on task images",
        question,
        &pretrain,
        &run,
        &split,
        &Judge::default(),
    )?;
    println!("{}", run.result.summary());
    println!(
        "exp3: untrained {:.1} % -> pretrained {:.1} % (logistic regression, {} test images), report: {}",
        100.0 * untrained.logistic.test.accuracy,
        100.0 * pretrained.logistic.test.accuracy,
        split.test.len(),
        report.display()
    );
    Ok(())
}

impl Arguments {
    fn split(&self) -> common::AnyResult<Split<Subset>> {
        let images = self.folder(&self.image_dir)?;
        let (train, validation) = (self.train_fraction, self.validation_fraction);
        let mut split = images.split(Fractions { train, validation }, Seed(self.pretrain.seed))?;
        if let Some(dir) = &self.test_dir {
            // What was left over of the image folder joins the training part.
            let train = [split.train.indices(), split.test.indices()].concat();
            split.train = images.subset(train)?;
            let test = self.folder(dir)?;
            if test.class_names() != images.class_names() {
                let (found, expected) = (test.class_names(), images.class_names());
                return Err(format!(
                    "{}: classes {found:?}, expected {expected:?}",
                    dir.display()
                )
                .into());
            }
            split.test = test.subset((0..test.len()).collect::<Vec<_>>())?;
        }
        Ok(split)
    }

    fn folder(&self, dir: &PathBuf) -> common::AnyResult<ImageFolder> {
        let folder = ImageFolder::builder(dir)
            .labels(simclr::data::Labels::Classes)
            .skip_unreadable(self.skip_unreadable)
            .open()?;
        if !folder.report().is_clean() {
            eprintln!("{}", folder.report());
        }
        Ok(folder)
    }
}
