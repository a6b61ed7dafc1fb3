//! The training loop with parts of the caller's own: stopping, pausing, counting steps.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use crate::common::After;
use candle_core::{Device, Tensor};
use simclr_augment::{Augmentation, Policy};
use simclr_data::{Dataset, DecodedImage, Seed, SyntheticCores};
use simclr_model::SimClr;
use simclr_optim::OptimizerConfig;
use simclr_train::{
    Callback, Control, EpochMetrics, Error, LoopConfig, Loss, Objective, PauseHandle, Pretrain,
    PretrainConfig, Result, StopWhen, TrainingBatch,
};

/// Four steps an epoch.
fn cores() -> SyntheticCores {
    SyntheticCores::new(16, 32, Seed(1)).unwrap()
}

fn pretrain(epochs: usize) -> Pretrain {
    let config = PretrainConfig::resnet(18)
        .with_image_size(32)
        .with_batch_size(4);
    Pretrain::new(config).epochs(epochs).seed(Seed(3))
}

fn file(dir: &Path, name: &str) -> Vec<u8> {
    std::fs::read(dir.join(name)).unwrap()
}

#[test]
fn a_run_that_was_paused_within_an_epoch_ends_like_one_that_was_not() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, paused) = (dir.path().join("whole"), dir.path().join("paused"));
    let expected = pretrain(2).run(cores(), &whole).unwrap();
    let error = pretrain(2)
        .callback(After(6, Control::Pause))
        .run(cores(), &paused)
        .unwrap_err();
    assert!(matches!(error, Error::Paused { step: 6, .. }), "{error}");
    let run = pretrain(2).run(cores(), &paused).unwrap();
    assert_eq!(run.result.epochs, expected.result.epochs);
    for name in ["metrics.csv", "model.safetensors"] {
        assert_eq!(file(&whole, name), file(&paused, name), "{name}");
    }
}

#[test]
fn a_pause_can_be_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let handle = PauseHandle::default();
    let pretrain = pretrain(1).callback(handle.clone());
    handle.pause();
    for steps in [1, 2] {
        let error = pretrain.run(cores(), dir.path()).unwrap_err();
        assert!(matches!(error, Error::Paused { step, .. } if step == steps));
    }
    handle.resume();
    assert!(!handle.is_paused());
    let run = pretrain.run(cores(), dir.path()).unwrap();
    assert_eq!(run.result.steps, 4);
}

#[test]
fn a_run_that_was_stopped_is_finished_and_not_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    for (name, callback_step, epochs) in [("epoch", None, 1), ("step", Some(6), 2)] {
        let folder = dir.path().join(name);
        let pretrain = match callback_step {
            Some(step) => pretrain(5).callback(After(step, Control::Stop)),
            None => pretrain(5).callback(StopWhen(|metrics: &EpochMetrics| {
                metrics.get("contrast_loss").is_some() && metrics.steps == 4
            })),
        };
        let run = pretrain.run(cores(), &folder).unwrap();
        assert!(run.result.stopped_early);
        assert_eq!(run.result.steps, callback_step.unwrap_or(4));
        assert_eq!(run.result.epochs.len(), epochs);
        let network = file(&folder, "model.safetensors");
        let again = self::pretrain(5).run(cores(), &folder).unwrap();
        assert_eq!(again.result, run.result);
        assert_eq!(file(&folder, "model.safetensors"), network);
    }
}

#[test]
fn the_number_of_steps_comes_before_the_number_of_epochs() {
    let dir = tempfile::tempdir().unwrap();
    for (epochs, steps, expected_epochs) in [(100, 5, 2), (0, 3, 1)] {
        let run = pretrain(epochs)
            .steps(steps)
            .run(cores(), dir.path().join(steps.to_string()))
            .unwrap();
        assert_eq!(run.result.steps, steps as u64);
        assert_eq!(run.result.epochs.len(), expected_epochs);
        assert!(!run.result.stopped_early);
    }
    let error = pretrain(0)
        .run(cores(), dir.path().join("none"))
        .unwrap_err();
    assert!(error.to_string().contains("epochs"), "{error}");
    assert!(!dir.path().join("none").exists());
}

/// Fails on its second step with an error of its own.
#[derive(Debug)]
struct Failing {
    scale: f64,
}

#[derive(Debug, thiserror::Error)]
#[error("the oracle is silent")]
struct Silent;

impl Objective for Failing {
    fn metrics(&self) -> Vec<&'static str> {
        vec!["oracle"]
    }

    fn loss(&self, model: &SimClr, batch: &TrainingBatch<'_>) -> Result<Loss> {
        if self.scale < 0.0 {
            return Err(Error::Foreign(Box::new(Silent)));
        }
        let output = model.forward(batch.views, simclr_model::Mode::Train)?;
        let term = (output.projection.sqr()?.mean_all()? * self.scale)?;
        Ok(Loss::default()
            .with_metric("oracle", self.scale)
            .with_term(term))
    }
}

#[test]
fn parts_may_be_chosen_at_run_time() {
    let dir = tempfile::tempdir().unwrap();
    let objective: Box<dyn Objective> = Box::new(Failing { scale: 0.5 });
    let callback: Box<dyn Callback> = Box::new(After(2, Control::Stop));
    let augmentation: Box<dyn Augmentation> = Box::new(Policy::paper(32));
    let run = pretrain(1)
        .objective(objective)
        .optimizer(|variables| OptimizerConfig::default().build(variables))
        .augmentation(augmentation)
        .callback(callback)
        .run(cores(), dir.path())
        .unwrap();
    assert_eq!(run.result.steps, 2);
}

#[test]
fn an_own_objective_has_its_columns_its_errors_and_is_part_of_the_identity() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("own");
    let run = pretrain(1)
        .objective(Failing { scale: 0.5 })
        .run(cores(), &folder)
        .unwrap();
    assert_eq!(run.result.last_epoch().contrast_loss, None);
    assert!(run.result.summary().starts_with("loss "));
    let metrics = String::from_utf8(file(&folder, "metrics.csv")).unwrap();
    assert!(
        metrics.starts_with(
            "step,epoch,learning_rate,total_loss,oracle,weight_decay,effective_rank\n"
        )
    );
    let error = pretrain(1)
        .objective(Failing { scale: 0.25 })
        .run(cores(), &folder)
        .unwrap_err();
    assert!(error.to_string().contains("own_objective"), "{error}");
    let folder = dir.path().join("failing");
    let error = pretrain(1)
        .objective(Failing { scale: -1.0 })
        .run(cores(), folder)
        .unwrap_err();
    assert_eq!(error.to_string(), "the oracle is silent");
}

#[test]
fn a_loss_without_terms_is_refused() {
    #[derive(Debug)]
    struct Nothing;
    impl Objective for Nothing {
        fn metrics(&self) -> Vec<&'static str> {
            Vec::new()
        }
        fn loss(&self, _: &SimClr, _: &TrainingBatch<'_>) -> Result<Loss> {
            Ok(Loss::default())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    for weight_decay in [0.0, 1e-4] {
        let mut config = pretrain(1).config().clone();
        config.weight_decay = weight_decay;
        let pretrain = Pretrain::new(config).objective(Nothing);
        let run = pretrain.run(cores(), dir.path().join(weight_decay.to_string()));
        let error = run.unwrap_err().to_string();
        assert!(error.contains("at least one term"), "{error}");
    }
    // Labels of which some are missing make no tensor.
    let views = Tensor::zeros((1, 1, 1, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
    let batch = |labels| TrainingBatch::new(&views, labels);
    assert!(batch(&[Some(1), None]).all_labels().unwrap().is_none());
    let labels = batch(&[Some(1), Some(0)]).all_labels().unwrap().unwrap();
    assert_eq!(labels.to_vec1::<u32>().unwrap(), [1, 0]);
}

/// Cores of one class, some of which are labelled or decoded wrongly.
struct Faulty {
    classes: Vec<String>,
    labels: fn(usize) -> u32,
    is_broken: fn(usize) -> bool,
}

impl Dataset for Faulty {
    fn len(&self) -> usize {
        16
    }

    fn decode(&self, index: usize) -> simclr_data::Result<DecodedImage> {
        assert!(!(self.is_broken)(index), "tile {index} is torn");
        cores().decode(index)
    }

    fn class_names(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> Option<u32> {
        Some((self.labels)(index))
    }
}

#[test]
fn labels_without_a_class_and_panics_of_an_own_data_set_are_errors_before_the_first_step() {
    let dir = tempfile::tempdir().unwrap();
    let faulty = |labels, is_broken| Faulty {
        classes: vec!["granite".to_owned()],
        labels,
        is_broken,
    };
    for (images, expected) in [
        (
            faulty(|index| if index == 5 { 9 } else { 0 }, |_| false),
            "image 'image 5' has label 9, but there are 1 classes",
        ),
        (
            faulty(|_| 0, |index| index == 3),
            "'image 3' (image with index 3): the data set panicked while it was read: tile 3 is torn",
        ),
        (
            faulty(
                |index| {
                    assert!(index != 7, "nobody has labelled tile {index}");
                    0
                },
                |_| false,
            ),
            "image with index 7: the data set panicked while it was read: nobody has labelled tile 7",
        ),
    ] {
        let run = dir.path().join("run");
        let error = pretrain(1).run(images, &run).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(!run.exists());
    }
    // Where there are no classes, labels are nobody's.
    let mut images = faulty(|_| 9, |_| false);
    images.classes.clear();
    pretrain(1)
        .steps(1)
        .run(images, dir.path().join("run"))
        .unwrap();
}
