//! Distillation from end to end on tiny data: the student follows its teacher, runs can be
//! resumed, and bad input is named.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use simclr::data::{PartlyLabelled, SyntheticCores};
use simclr::eval::{ImageClassifier, NetworkClassifier, evaluate_classifier};
use simclr::loss::DistillationLoss;
use simclr::model::{Parameters, Stem};
use simclr::optim::ScheduleConfig;
use simclr::prelude::*;
use simclr::train::{Distill, DistillConfig};
use simclr_testkit::seeds;

fn config(epochs: usize, weight: f64) -> DistillConfig {
    let loss = DistillationLoss {
        temperature: 1.0,
        weight,
    };
    let schedule = ScheduleConfig::default()
        .with_epochs(epochs)
        .with_warmup_epochs(0.0);
    let mut config = DistillConfig::resnet(18)
        .with_image_size(32)
        .with_loss(loss)
        .with_schedule(schedule)
        .with_batch_size(8)
        .with_seed(Seed(seeds::WEIGHTS));
    config.encoder.stem = Stem::ImageNet;
    config
}

fn cores(count: usize) -> SyntheticCores {
    SyntheticCores::new(count, 32, Seed(seeds::INPUTS)).unwrap()
}

/// Eight cores with labels and the others without.
fn partly_labelled(count: usize) -> Arc<dyn Dataset> {
    let cores = cores(count);
    let part = |indices: Vec<usize>| cores.subset(indices).unwrap().shared();
    let (labelled, others) = (part((0..8).collect()), part((8..count).collect()));
    PartlyLabelled::new(labelled, others).shared()
}

/// Says class 3, whatever it sees.
struct Stubborn;

impl ImageClassifier for Stubborn {
    fn classes(&self) -> usize {
        10
    }
    fn logits(&self, images: &Tensor) -> simclr::eval::Result<Tensor> {
        let mut logits = [0f32; 10];
        logits[3] = 8.0;
        let rows = images.dim(0)?;
        Ok(Tensor::new(&logits, &Device::Cpu)?
            .broadcast_left(rows)?
            .contiguous()?)
    }
    fn identity(&self) -> simclr::eval::Result<String> {
        Ok("stubborn".into())
    }
}

#[test]
fn a_student_learns_its_teachers_opinion_and_not_the_labels() {
    let dir = tempfile::tempdir().unwrap();
    let run = Distill::new(config(6, 1.0))
        .run(
            Some(Arc::new(Stubborn)),
            partly_labelled(32),
            dir.path().join("run"),
        )
        .unwrap();
    let result = &run.result;
    assert_eq!((result.images, result.labelled, result.steps), (32, 8, 24));
    assert!(result.last_epoch().agreement.unwrap() > 0.95, "{result:?}");
    assert!(result.epochs[0].total_loss > result.last_epoch().total_loss);

    let policy = Policy::probe(32);
    let report = evaluate_classifier(&run.student, cores(20).shared(), &policy).unwrap();
    // Two of the twenty cores are of class 3.
    assert_eq!((report.samples, report.accuracy), (20, 0.1));
    for file in ["config.json", "manifest.json", "metrics.csv", "result.json"] {
        assert!(run.dir.join(file).is_file(), "{file}");
    }
    let loaded = NetworkClassifier::load(&run.model_file, &Device::Cpu).unwrap();
    assert_eq!(loaded.identity().unwrap(), run.student.identity().unwrap());
    assert_eq!(
        evaluate_classifier(&loaded, cores(20).shared(), &policy).unwrap(),
        report
    );
}

#[test]
fn a_student_of_labels_becomes_the_teacher_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let labelled = cores(8).shared();
    let teacher = Distill::new(config(30, 0.0))
        .run(None, labelled.clone(), dir.path().join("teacher"))
        .unwrap();
    let summary = teacher.result.summary();
    assert!(!summary.contains("agreement"), "{summary}");
    let accuracy = teacher.result.last_epoch().supervised_accuracy.unwrap();
    assert!(accuracy > 0.9, "{:?}", teacher.result.last_epoch());

    // A teacher whose logits are in another order is refused, by the names of both.
    let mut turned = labelled.class_names().to_vec();
    turned.rotate_left(1);
    let other = teacher.student.clone().with_class_names(&turned).unwrap();
    let error = Distill::new(config(12, 0.7)).run(
        Some(Arc::new(other.clone())),
        partly_labelled(24),
        dir.path().join("student"),
    );
    let text = error.unwrap_err().to_string();
    let listed = [labelled.class_names().join(", "), turned.join(", ")];
    assert!(listed.iter().all(|names| text.contains(names)), "{text}");
    let policy = Policy::evaluation(32);
    let error = evaluate_classifier(&other, labelled.clone(), &policy).unwrap_err();
    let text = error.to_string();
    assert!(listed.iter().all(|names| text.contains(names)), "{text}");

    let student = Distill::new(config(12, 0.7))
        .run(
            Some(Arc::new(teacher.student.clone())),
            partly_labelled(24),
            dir.path().join("student"),
        )
        .unwrap();
    let (first, last) = (student.result.epochs[0], student.result.last_epoch());
    assert!(
        last.agreement.unwrap() > first.agreement.unwrap(),
        "{first:?} {last:?}"
    );
    assert!(last.supervised_accuracy.is_some());
}

#[test]
fn a_resumed_distillation_is_the_uninterrupted_one() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, parts) = (dir.path().join("whole"), dir.path().join("parts"));
    let distill = Distill::new(config(2, 0.5));
    for path in [&whole, &parts] {
        distill
            .run(Some(Arc::new(Stubborn)), partly_labelled(16), path)
            .unwrap();
    }
    for file in [
        "result.json",
        "model.safetensors",
        "checkpoints/step-00000004.safetensors",
    ] {
        fs::remove_file(parts.join(file)).unwrap();
    }
    distill
        .run(Some(Arc::new(Stubborn)), partly_labelled(16), &parts)
        .unwrap();
    for file in ["metrics.csv", "model.safetensors"] {
        let (expected, found) = (fs::read(whole.join(file)), fs::read(parts.join(file)));
        assert!(expected.unwrap() == found.unwrap(), "{file} differs");
    }
}

#[test]
fn self_training_starts_from_the_given_network() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(1, 1.0);
    config.schedule.learning_rate = 0.0;
    config.weight_decay = 0.0;
    let specs = config.network(10).parameter_specs().unwrap();
    let start = Parameters::initialize(&specs, 12345, &Device::Cpu).unwrap();
    let run = Distill::new(config)
        .start_from(start.clone())
        .run(
            Some(Arc::new(Stubborn)),
            partly_labelled(16),
            dir.path().join("run"),
        )
        .unwrap();
    let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let student = run.student.model().store().unwrap();
    let mut compared = 0;
    for (name, variable) in start.iter().filter(|(name, _)| !name.contains("moving")) {
        let found = student.iter().find(|(other, _)| *other == name).unwrap().1;
        assert_eq!(
            values(found.as_tensor()),
            values(variable.as_tensor()),
            "{name}"
        );
        compared += 1;
    }
    assert!(compared > 60, "{compared}");
}

#[test]
fn distillations_that_cannot_work_are_named_and_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let message = |config, teacher: Option<Arc<dyn ImageClassifier>>, images| {
        let error = Distill::new(config).run(teacher, images, &run).unwrap_err();
        assert!(!run.exists(), "something was left behind: {error}");
        error.to_string()
    };
    let text = message(config(1, 0.5), None, partly_labelled(16));
    assert!(text.contains("0 without a teacher"), "{text}");
    let text = message(
        config(1, 1.5),
        Some(Arc::new(Stubborn)),
        partly_labelled(16),
    );
    assert!(
        text.contains("between 0 and 1") && text.contains("1.5"),
        "{text}"
    );
    let mut cold = config(1, 0.5);
    cold.loss.temperature = 0.0;
    let text = message(cold, Some(Arc::new(Stubborn)), partly_labelled(16));
    assert!(text.contains("temperature"), "{text}");
    let text = message(
        config(1, 0.5).with_batch_size(64),
        Some(Arc::new(Stubborn)),
        partly_labelled(16),
    );
    assert!(text.contains("64") && text.contains("16"), "{text}");
    let binary = simclr::data::ClassMap::binary("none");
    let mapped = cores(16).mapped(&binary).unwrap().shared();
    let text = message(config(1, 0.5), Some(Arc::new(Stubborn)), mapped);
    assert!(text.contains("2, as the images have, found 10"), "{text}");
}

#[test]
fn another_teacher_does_not_touch_a_run() {
    struct Other;
    impl ImageClassifier for Other {
        fn classes(&self) -> usize {
            10
        }
        fn logits(&self, images: &Tensor) -> simclr::eval::Result<Tensor> {
            Stubborn.logits(images)
        }
        fn identity(&self) -> simclr::eval::Result<String> {
            Ok("other".into())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let distill = Distill::new(config(1, 1.0));
    let run = |teacher: Arc<dyn ImageClassifier>| {
        distill.run(Some(teacher), partly_labelled(16), dir.path())
    };
    run(Arc::new(Stubborn)).unwrap();
    let error = run(Arc::new(Other)).unwrap_err().to_string();
    assert!(
        error.contains("teacher was \"stubborn\", is \"other\""),
        "{error}"
    );
}
