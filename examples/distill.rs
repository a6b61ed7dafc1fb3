//! SimCLRv2's third step: the predictions of a fine-tuned teacher on unlabelled images train
//! a smaller student. It is compared with the same student, trained for as many steps on the
//! few labels alone.
//!
//! `cargo run --release --example distill` runs on synthetic cores; `--image-dir DIR` on
//! class folders, of whose training images only `--label-fraction` keep their labels.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use candle_core::Device;
use clap::{Parser, ValueEnum};
use simclr::data::{InMemory, Labels, PartlyLabelled, SyntheticCores};
use simclr::eval::metrics::ClassificationReport;
use simclr::eval::{NetworkClassifier, evaluate_classifier};
use simclr::loss::DistillationLoss;
use simclr::model::Stem;
use simclr::optim::LearningRateScaling;
use simclr::prelude::*;
use simclr::report::{Cell, Report, Table};
use simclr::train::run::RunRecord;
use simclr_cli::device::DeviceArgument;
use simclr_cli::folders;
use simclr_cli::interrupt::{exit_paused, pause_handle};
use simclr_cli::options::FolderArguments;
use simclr_cli::terminal::{OutputArguments, say};

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum Preset {
    /// ResNet-50 teaches ResNet-18: 224 px, batches of 256, 100 epochs.
    Paper,
    /// ResNet-34 teaches ResNet-18: 32 px, batches of 50, a few epochs.
    Tiny,
}

/// Distils a teacher that has seen few labels into a smaller student.
#[derive(Debug, Parser)]
struct Arguments {
    /// Sizes and lengths of the runs.
    #[arg(long, value_enum, default_value = "tiny")]
    preset: Preset,
    /// Class folders. Default: synthetic cores.
    #[arg(long)]
    image_dir: Option<PathBuf>,
    #[command(flatten)]
    folder: FolderArguments,
    /// How many synthetic cores are photographed.
    #[arg(long, default_value_t = 2000)]
    synthetic_images: usize,
    /// The part of the training images that keep their labels.
    #[arg(long, default_value_t = 0.1)]
    label_fraction: f64,
    /// A network with a supervised head for these classes, in our safetensors format.
    /// Default: one is pretrained on all training images and fine-tuned on the labels.
    #[arg(long)]
    teacher: Option<PathBuf>,
    /// Temperature of teacher and student.
    #[arg(long, default_value_t = 1.0)]
    temperature: f64,
    /// Weight of the teacher; the labels have the rest.
    #[arg(long, default_value_t = 0.9)]
    weight: f64,
    /// Epochs of the pretraining and of the distillation. Default: the preset's.
    #[arg(long)]
    train_epochs: Option<usize>,
    /// The run folders and the report. Interrupted runs go on where they stopped.
    #[arg(long, default_value = "runs/distill")]
    model_dir: PathBuf,
    /// Seed of everything.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    device: DeviceArgument,
    #[command(flatten)]
    output: OutputArguments,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    arguments.output.set_log_format();
    exit_paused(|| run(&arguments))
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error + Send + Sync>> {
    folders::check_outside("--model-dir", &arguments.model_dir, &arguments.image_dir)?;
    let seed = Seed(arguments.seed);
    let images = match &arguments.image_dir {
        Some(dir) => {
            let folder = arguments.folder.builder(dir).labels(Labels::ClassFolders);
            folder.open()?.shared()
        }
        None => {
            let cores = SyntheticCores::new(arguments.synthetic_images, 64, seed)?;
            InMemory::collect(&cores)?.shared()
        }
    };
    let fractions = Fractions {
        train: 0.7,
        validation: 0.0,
    };
    let split = images.split(fractions, seed)?;
    let labelled = split.train.label_budget(arguments.label_fraction, seed)?;
    let is_hidden = |index: &usize| !labelled.indices().contains(index);
    let hidden: Vec<usize> = (0..split.train.len()).filter(is_hidden).collect();
    let all = PartlyLabelled::new(labelled.shared(), split.train.subset(hidden)?.shared());

    let device = arguments.device.open()?;
    let teacher = arguments.teacher(&labelled, &all, &device)?;
    let student = arguments.training(18);
    let loss = DistillationLoss {
        temperature: arguments.temperature,
        weight: arguments.weight,
    };
    let distilled = Distill::new(student.clone().with_loss(loss))
        .device(device.clone())
        .progress(arguments.output.progress())
        .callback(pause_handle())
        .run(
            Some(Arc::new(teacher.clone())),
            all.shared(),
            arguments.model_dir.join("student"),
        )?;
    // As many steps as the distilled student has had.
    let epochs = (student.schedule.epochs * all.len()).div_ceil(labelled.len());
    let alone = on_labels(&student, epochs, &labelled, &device)
        .progress(arguments.output.progress())
        .run(
            None,
            labelled.shared(),
            arguments.model_dir.join("labels-only"),
        )?;

    let policy = Policy::probe(student.policy.size.0);
    let tested = |classifier: &NetworkClassifier| {
        evaluate_classifier(classifier, split.test.shared(), &policy)
    };
    let networks = [
        ("teacher", &teacher, tested(&teacher)?),
        (
            "student, distilled",
            &distilled.student,
            tested(&distilled.student)?,
        ),
        (
            "student, labels only",
            &alone.student,
            tested(&alone.student)?,
        ),
    ];
    let table = comparison(&networks, labelled.len(), all.len());
    say(&table);
    let report = Report::new(
        "Distillation",
        "Does a student learn more from a teacher's predictions on unlabelled images than from \
         the few labels that the teacher itself was trained with?",
    )
    .section("Result")
    .table(table)
    .section("The distilled student")
    .classification(
        "distilled",
        "distilled student, test images",
        &networks[1].2,
    )?
    .run(&RunRecord::read(&distilled.dir)?)?
    .write(&arguments.model_dir)?;
    say(format_args!(
        "distill: teacher {:.1} %, student distilled {:.1} %, student on labels only {:.1} % \
         ({} labels, {} test images), report: {}",
        100.0 * networks[0].2.accuracy,
        100.0 * networks[1].2.accuracy,
        100.0 * networks[2].2.accuracy,
        labelled.len(),
        split.test.len(),
        report.display()
    ));
    Ok(())
}

impl Arguments {
    /// The given teacher, or one that is pretrained without labels and then fine-tuned on
    /// the few there are.
    fn teacher(
        &self,
        labelled: &Subset,
        all: &PartlyLabelled,
        device: &Device,
    ) -> Result<NetworkClassifier, Box<dyn Error + Send + Sync>> {
        if let Some(file) = &self.teacher {
            let teacher = NetworkClassifier::load(file, device)?;
            return Ok(teacher.for_classes(labelled.class_names())?);
        }
        let training = self.training(if self.preset == Preset::Tiny { 34 } else { 50 });
        let policy = Policy::paper(training.policy.size.0);
        let mut config = PretrainConfig::default()
            .with_encoder(training.encoder.clone())
            .with_policy(policy)
            .with_schedule(training.schedule.clone())
            .with_batch_size(training.batch_size)
            .with_linear_classifier(false)
            .with_seed(Seed(self.seed));
        if self.preset == Preset::Tiny {
            config.policy = config.policy.clone().with_flip_up_down(0.5);
            config.loss.temperature = 0.2;
        }
        let pretrained = Pretrain::new(config)
            .device(device.clone())
            .progress(self.output.progress())
            .callback(pause_handle())
            .run(all.shared(), self.model_dir.join("teacher-pretrained"))?;
        let network = simclr::checkpoint::load_model(pretrained.model_file, device)?;
        let epochs = 3 * training.schedule.epochs;
        let fine_tuned = on_labels(&training, epochs, labelled, device)
            .progress(self.output.progress())
            .start_from(network.model.store()?)
            .run(None, labelled.shared(), self.model_dir.join("teacher"))?;
        Ok(fine_tuned.student)
    }

    /// How any of the networks is trained, given its depth.
    fn training(&self, depth: usize) -> DistillConfig {
        let mut config = DistillConfig::resnet(depth).with_seed(Seed(self.seed));
        if self.preset == Preset::Tiny {
            let schedule = config.schedule.clone();
            let schedule = schedule
                .with_learning_rate(0.075)
                .with_scaling(LearningRateScaling::Sqrt)
                .with_warmup_epochs(1.0)
                .with_epochs(8);
            config = config
                .with_image_size(32)
                .with_batch_size(50)
                .with_schedule(schedule);
        }
        // The ImageNet stem is coarser than the CIFAR one, and sixteen times as fast.
        config.encoder.stem = Stem::ImageNet;
        config.schedule.epochs = self.train_epochs.unwrap_or(config.schedule.epochs);
        config
    }
}

/// The same training on labels alone, without a teacher.
fn on_labels(
    training: &DistillConfig,
    epochs: usize,
    labelled: &Subset,
    device: &Device,
) -> Distill {
    let mut config = training.clone();
    config.loss.weight = 0.0;
    config.batch_size = config.batch_size.min(labelled.len());
    config.schedule.epochs = epochs;
    Distill::new(config)
        .device(device.clone())
        .callback(pause_handle())
}

/// One row per network: its size, what it learned from, and its figures on the test images.
fn comparison(
    networks: &[(&str, &NetworkClassifier, ClassificationReport)],
    labels: usize,
    images: usize,
) -> Table {
    let caption = format!(
        "Figures on the test images. Labels: {labels} of {images} training images have one."
    );
    let columns = ["network", "ResNet", "accuracy", "weighted F1", "macro F1"];
    let table = Table::new("comparison", caption).columns(columns);
    networks.iter().fold(table, |table, (name, network, test)| {
        table.row([
            Cell::Text((*name).to_owned()),
            Cell::Count(network.model().config().encoder.depth as u64),
            Cell::share(test.accuracy),
            Cell::share(test.weighted_f1),
            Cell::share(test.macro_f1),
        ])
    })
}
