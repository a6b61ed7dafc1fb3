//! What the flags of `run.py` ask for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;
use serde_json::json;
use simclr_checkpoint::load_model;
use simclr_data::{Dataset, DatasetExt, ImageFolder, Labels, LoaderConfig, Split, ViewLoader};
use simclr_eval::metrics::ClassificationReport;
use simclr_eval::{NetworkClassifier, classifier_scores};
use simclr_files::write_bytes;
use simclr_model::SimClr;
use simclr_progress::ProgressMode;
use simclr_train::{FineTune, Pretrain};

use super::flags::{Flags, TrainMode};
use super::network::{is_ours, load};
use crate::folders;
use crate::terminal::{AnyResult, complain, say};

/// Trains and evaluates as the flags of `run.py` say.
pub fn run(flags: &Flags, progress: ProgressMode) -> AnyResult {
    let ignored = flags.ignored();
    if !ignored.is_empty() {
        complain(format_args!("ignored: {}", ignored.join(", ")));
    }
    let model_dir = flags.model_dir.as_deref().ok_or("give --model_dir DIR")?;
    folders::check_outside("--model-dir", model_dir, &flags.image_dir)?;
    let device = flags.device.open()?;
    let images = Images::open(flags)?;
    if flags.mode.trains() {
        match flags.train_mode {
            TrainMode::Pretrain => pretrain(flags, &images, model_dir, &device, progress)?,
            TrainMode::Finetune => fine_tune(flags, &images, model_dir, &device, progress)?,
        }
    }
    if flags.mode.evaluates() {
        evaluate(flags, &images, model_dir, &device)?;
    }
    Ok(())
}

/// What to train on, and what to evaluate on.
struct Images {
    train: Arc<dyn Dataset>,
    evaluation: Arc<dyn Dataset>,
    /// What readers of an evaluation should know.
    remark: &'static str,
}

impl Images {
    fn open(flags: &Flags) -> AnyResult<Self> {
        match (&flags.image_dir, flags.dataset.as_deref()) {
            (Some(dir), _) => {
                let labels = if flags.uses_labels() {
                    Labels::ClassFolders
                } else {
                    Labels::Ignored
                };
                let images = ImageFolder::builder(dir).labels(labels).open()?.shared();
                Ok(Self {
                    train: images.clone(),
                    evaluation: images,
                    remark: " (the training images, as in the original: no test figure)",
                })
            }
            (None, Some("cifar10")) => Self::cifar10(flags),
            (None, Some(other)) => Err(format!(
                "give --image_dir DIR; --dataset={other} is not read, only cifar10 is"
            )
            .into()),
            (None, None) => Err("give --image_dir DIR, or --dataset=cifar10 and --data_dir".into()),
        }
    }

    #[cfg(feature = "candle-datasets")]
    fn cifar10(flags: &Flags) -> AnyResult<Self> {
        let dir = flags.data_dir.as_ref();
        let dir =
            dir.ok_or("--dataset=cifar10 needs --data_dir, the folder of its binary files")?;
        let cifar = simclr_data::benchmark::cifar10(dir)?;
        Ok(Self {
            train: cifar.train.shared(),
            evaluation: cifar.test.shared(),
            remark: "",
        })
    }

    #[cfg(not(feature = "candle-datasets"))]
    fn cifar10(_: &Flags) -> AnyResult<Self> {
        Err("--dataset=cifar10 is read by a program with the feature `candle-datasets`".into())
    }
}

fn pretrain(
    flags: &Flags,
    images: &Images,
    model_dir: &Path,
    device: &Device,
    progress: ProgressMode,
) -> AnyResult {
    let load = |path| load(path, device);
    let start = flags.checkpoint.as_deref().map(load).transpose()?;
    let config = flags.on_network(flags.pretrain_config(), start.as_ref())?;
    let mut run = flags.set_up(Pretrain::new(config), device, progress);
    if let Some(network) = start {
        run = run.start_from(network.store()?);
    }
    let run = run.run(images.train.clone(), model_dir)?;
    say(run.result.summary());
    Ok(())
}

fn fine_tune(
    flags: &Flags,
    images: &Images,
    model_dir: &Path,
    device: &Device,
    progress: ProgressMode,
) -> AnyResult {
    let checkpoint = flags.checkpoint.as_ref();
    let checkpoint = checkpoint.ok_or("--train_mode=finetune needs --checkpoint")?;
    if flags.image_dir.is_some() && !flags.uses_labels() {
        return Err(
            "--train_mode=finetune needs labels: give --labels=yep, which takes the class \
                    folders (the default, random labels, teaches nothing)"
                .into(),
        );
    }
    let all = images.train.subset(Vec::from_iter(0..images.train.len()))?;
    let none = images.train.subset(Vec::new())?;
    let split = Split {
        train: all,
        validation: none.clone(),
        test: none,
    };
    let start = if is_ours(checkpoint) {
        in_order_of(flags, checkpoint, device, split.train.class_names())?
    } else {
        load(checkpoint, device)?
    };
    let config = flags.on_network(flags.fine_tune_config(), Some(&start))?;
    let run = flags
        .set_up(FineTune::new(config), device, progress)
        .start_from(start.store()?)
        .run(&split, model_dir)?;
    say(run.result.summary());
    Ok(())
}

/// A network in our format. If its supervised head goes on, its logits are in the order of these
/// classes, as far as its file names its own. A head of another size does not go on.
fn in_order_of(
    flags: &Flags,
    checkpoint: &Path,
    device: &Device,
    classes: &[String],
) -> AnyResult<SimClr> {
    let loaded = load_model(checkpoint, device)?;
    let head = loaded.model.config().supervised_head.as_ref();
    let goes_on = head.is_some_and(|head| head.num_classes == classes.len());
    if flags.zero_init_logits_layer || !goes_on {
        return Ok(loaded.model);
    }
    let network = NetworkClassifier::of_file(checkpoint, loaded)?;
    let network = network.for_classes(classes).map_err(|error| {
        format!("--checkpoint: {error}; --zero_init_logits_layer=True begins with a new head")
    })?;
    Ok(network.into_model())
}

/// Evaluates the supervised head of the run's network.
fn evaluate(flags: &Flags, images: &Images, model_dir: &Path, device: &Device) -> AnyResult {
    let file: PathBuf = model_dir.join("model.safetensors");
    let classifier = match NetworkClassifier::load(&file, device) {
        Err(simclr_eval::Error::NoSupervisedHead { .. }) => {
            say("no evaluation: the network has no supervised head, as there were no labels");
            return Ok(());
        }
        classifier => classifier?,
    };
    let limit = match flags.eval_steps {
        0 => images.evaluation.len(),
        steps => images
            .evaluation
            .len()
            .min(steps.saturating_mul(flags.eval_batch_size.get())),
    };
    let subset = images.evaluation.subset(Vec::from_iter(0..limit))?;
    let labels = subset.labels("an evaluation")?;
    let classifier = classifier.for_classes(subset.class_names())?;
    if let Err(difference) = flags.check_network("--model_dir", classifier.model()) {
        complain(format_args!(
            "warning: {difference}; the network found is evaluated"
        ));
    }
    let policy = flags.fine_tune_config().evaluation;
    let config = LoaderConfig::evaluation(flags.eval_batch_size.get());
    let loader = ViewLoader::new(subset.shared(), policy, config)?;
    let scores = classifier_scores(&classifier, &loader)?;
    let report = ClassificationReport::new(&scores, &labels, subset.class_names())?;
    let figures = json!({
        "eval/label_top_1_accuracy": report.accuracy,
        "eval/label_top_5_accuracy": report.top_5_accuracy,
        "images": report.samples,
    });
    let figures = serde_json::to_vec_pretty(&figures)?;
    write_bytes(&model_dir.join("evaluation.json"), &figures)?;
    say(format_args!(
        "top-1 accuracy {:.2} %, top-5 {:.2} % of {} images{}",
        100.0 * report.accuracy,
        100.0 * report.top_5_accuracy,
        report.samples,
        images.remark
    ));
    Ok(())
}
