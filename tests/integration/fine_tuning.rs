//! Fine-tuning and supervised training from end to end on tiny data: the labels are learned,
//! the best epoch is the result, runs can be resumed, and bad input is named.
#![allow(clippy::unwrap_used)]

use std::fs;

use candle_core::{Device, Tensor};
use simclr::augment::DecodedImage;
use simclr::data::{InMemory, SyntheticCores};
use simclr::eval::{ImageClassifier, NetworkClassifier, evaluate_classifier};
use simclr::model::{Parameters, ResNetConfig, Stem};
use simclr::optim::{LearningRateScaling, ScheduleConfig};
use simclr::optim::{OptimizerConfig, SgdConfig};
use simclr::prelude::*;
use simclr::train::run::RunRecord;
use simclr::train::{FineTune, FineTuneConfig, HeadInit};
use simclr_testkit::seeds;

/// A small network and steps that are large enough to learn something in a few epochs.
fn config(epochs: usize) -> FineTuneConfig {
    let schedule = ScheduleConfig::default()
        .with_learning_rate(0.02)
        .with_scaling(LearningRateScaling::None)
        .with_warmup_epochs(0.0)
        .with_epochs(epochs);
    let mut config = FineTuneConfig::resnet(18)
        .with_image_size(32)
        .with_optimizer(OptimizerConfig::Momentum(SgdConfig::default()))
        .with_schedule(schedule)
        .with_batch_size(8)
        .with_seed(Seed(seeds::WEIGHTS));
    config.encoder.stem = Stem::ImageNet;
    config
}

/// Images of two classes: dark ones and bright ones.
fn shades() -> Split<Subset> {
    let image = |index: usize| {
        let shade = if index.is_multiple_of(2) { 40 } else { 200 };
        let pixels = (0..32 * 32 * 3).map(|i| shade + ((i * 7 + index * 13) % 32) as u8);
        DecodedImage::new(32, 32, pixels.collect()).unwrap()
    };
    let images = (0..40).map(image).collect();
    let labels = (0..40).map(|index| index % 2).collect();
    let classes = vec!["dark".to_owned(), "bright".to_owned()];
    let set = InMemory::labelled(images, labels, classes).unwrap();
    set.split(
        Fractions {
            train: 0.5,
            validation: 0.2,
        },
        Seed(1),
    )
    .unwrap()
}

fn cores() -> Split<Subset> {
    let cores = SyntheticCores::new(60, 32, Seed(seeds::INPUTS)).unwrap();
    let part = |range: std::ops::Range<usize>| cores.subset(range.collect::<Vec<_>>()).unwrap();
    Split {
        train: part(0..20),
        validation: part(20..40),
        test: part(40..60),
    }
}

fn parameters(model: &SimClr) -> Vec<(String, Vec<f32>)> {
    let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1().unwrap();
    let store = model.store().unwrap();
    let named = store.iter();
    named
        .map(|(name, v)| (name.to_owned(), values(v)))
        .collect()
}

fn changed(before: &SimClr, after: &SimClr) -> Vec<String> {
    let (before, after) = (parameters(before), parameters(after));
    assert_eq!(before.len(), after.len());
    let pairs = before.into_iter().zip(after);
    pairs.filter(|(a, b)| a != b).map(|(a, _)| a.0).collect()
}

#[test]
fn labels_are_learned_and_the_run_leaves_what_it_promises() {
    let dir = tempfile::tempdir().unwrap();
    let split = shades();
    let run = FineTune::new(config(6))
        .run(&split, dir.path().join("run"))
        .unwrap();
    let result = &run.result;
    assert_eq!((result.images.train, result.images.test), (20, 12));
    // Batches go on across the border of epochs: 6 x 20 images in batches of 8.
    assert_eq!((result.steps, result.epochs.len()), (15, 6));
    assert!(result.last_epoch().train_loss < result.epochs[0].train_loss);
    assert!(result.test.as_ref().unwrap().accuracy > 0.9, "{result}");
    assert_eq!(result.test_scores.len(), 12 * 2);
    for file in [
        "config.json",
        "manifest.json",
        "metrics.csv",
        "result.json",
        "model.safetensors",
        "checkpoints/step-00000015.safetensors",
    ] {
        assert!(run.dir.join(file).is_file(), "{file}");
    }
    // What is on disk is what is in memory, and gives the reported figures.
    let loaded = NetworkClassifier::load(&run.model_file, &Device::Cpu).unwrap();
    assert_eq!(
        loaded.identity().unwrap(),
        run.classifier.identity().unwrap()
    );
    // The file says what the logits are of.
    let classes = split.train.class_names();
    assert_eq!(loaded.class_names(), Some(classes));
    assert_eq!(run.classifier.class_names(), Some(classes));
    let policy = &config(6).evaluation;
    let again = evaluate_classifier(&loaded, split.test.shared(), policy).unwrap();
    assert_eq!(Some(again), result.test);
    // A finished run is read back.
    let again = FineTune::new(config(6))
        .run(&split, dir.path().join("run"))
        .unwrap();
    assert_eq!(&again.result, result);
}

#[test]
fn the_best_validation_epoch_is_the_result_and_not_the_last() {
    let dir = tempfile::tempdir().unwrap();
    // The validation images are labelled the wrong way round: what is learned hurts there,
    // so an early epoch must be the best.
    let mut split = shades();
    let wrong: Vec<DecodedImage> = (0..split.validation.len())
        .map(|index| split.validation.decode(index).unwrap())
        .collect();
    let labels = (0..wrong.len()).map(|i| 1 - split.validation.label(i).unwrap());
    let classes = split.validation.class_names().to_vec();
    let wrong = InMemory::labelled(wrong, labels.collect(), classes).unwrap();
    split.validation = wrong.subset((0..wrong.len()).collect::<Vec<_>>()).unwrap();

    let run = FineTune::new(config(6))
        .run(&split, dir.path().join("run"))
        .unwrap();
    let result = &run.result;
    let accuracies: Vec<f64> = result
        .epochs
        .iter()
        .map(|epoch| epoch.validation_accuracy.unwrap())
        .collect();
    let highest = accuracies.iter().copied().fold(0.0, f64::max);
    let first = accuracies.iter().position(|&a| a == highest).unwrap();
    assert_eq!(result.best_epoch, first + 1, "{accuracies:?}");
    assert!(result.best_epoch < 6, "{accuracies:?}");
    assert_eq!(result.validation.as_ref().unwrap().accuracy, highest);
    let policy = &config(6).evaluation;
    let found = evaluate_classifier(&run.classifier, split.validation.shared(), policy).unwrap();
    assert_eq!(found.accuracy, highest);
}

#[test]
fn a_resumed_fine_tuning_is_the_uninterrupted_one() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, parts) = (dir.path().join("whole"), dir.path().join("parts"));
    let expected = FineTune::new(config(4)).run(&cores(), &whole).unwrap();
    FineTune::new(config(4)).run(&cores(), &parts).unwrap();
    // As if the process had been killed after the second epoch's checkpoint.
    for file in [
        "result.json",
        "checkpoints/step-00000007.safetensors",
        "checkpoints/step-00000010.safetensors",
    ] {
        fs::remove_file(parts.join(file)).unwrap();
    }
    let resumed = FineTune::new(config(4)).run(&cores(), &parts).unwrap();
    for file in ["metrics.csv", "model.safetensors"] {
        let (expected, found) = (fs::read(whole.join(file)), fs::read(parts.join(file)));
        assert!(expected.unwrap() == found.unwrap(), "{file} differs");
    }
    assert_eq!(resumed.result.test_scores, expected.result.test_scores);
    assert_eq!(resumed.result.best_epoch, expected.result.best_epoch);
}

#[test]
fn what_is_frozen_stays_and_the_rest_moves() {
    let dir = tempfile::tempdir().unwrap();
    let start = SimClr::initialize(&config(1).network(10), 77, &Device::Cpu).unwrap();
    let fine_tune = |name: &str, freeze, level| {
        let tuned = config(1)
            .with_encoder(start.config().encoder.clone())
            .with_freeze(freeze);
        let run = FineTune::new(tuned)
            .start_from(start.store().unwrap())
            .projection_layer(level)
            .run(&cores(), dir.path().join(name))
            .unwrap();
        changed(&start, run.classifier.model())
    };
    let moved = fine_tune("head", Freeze::AfterBlock(4), 0);
    let encoder = moved.iter().filter(|name| name.starts_with("encoder."));
    assert_eq!(encoder.count(), 0, "{moved:?}");
    assert!(
        moved
            .iter()
            .any(|name| name == "supervised_head.dense.kernel"),
        "{moved:?}"
    );
    let dense = |moved: &[String], layer: usize| {
        let name = format!("projection_head.layer{layer}.dense.kernel");
        moved.contains(&name)
    };

    // Momentum lets the penalty alone move kernels, but there is none here.
    let moved = fine_tune("layer", Freeze::AfterBlock(3), 1);
    let (frozen, free): (Vec<&String>, Vec<&String>) = moved
        .iter()
        .filter(|name| name.starts_with("encoder."))
        .partition(|name| !name.contains("block_group4"));
    assert!(frozen.is_empty() && free.len() > 10, "{moved:?}");
    assert!(dense(&moved, 0) && !dense(&moved, 1), "{moved:?}");

    let moved = fine_tune("whole", Freeze::None, 0);
    assert!(
        moved.iter().any(|name| name == "encoder.stem.conv.kernel"),
        "{moved:?}"
    );
}

#[test]
fn heads_start_from_zero_at_random_or_from_the_given_network() {
    let dir = tempfile::tempdir().unwrap();
    let start = SimClr::initialize(&config(1).network(2), 77, &Device::Cpu).unwrap();
    let bias = start.store().unwrap();
    let bias = bias.get("supervised_head.dense.bias").unwrap().clone();
    bias.set(&Tensor::new(&[3f32, -3.0], &Device::Cpu).unwrap())
        .unwrap();
    let first_loss = |head: HeadInit| {
        let run = dir.path().join(format!("{head:?}"));
        FineTune::new(config(1).with_head(head))
            .start_from(start.store().unwrap())
            .run(&shades(), &run)
            .unwrap();
        let metrics = RunRecord::read(&run).unwrap().metrics.unwrap();
        metrics.series("supervised_loss").unwrap()[0].1
    };
    // Nothing is known: the loss is that of a coin.
    assert!((first_loss(HeadInit::Zero) - 2f64.ln()).abs() < 1e-6);
    assert!((first_loss(HeadInit::Random) - 2f64.ln()).abs() > 1e-6);
    // One of two is expected with a logit that is 6 higher: (0 + 6) / 2 on average.
    assert!(first_loss(HeadInit::Given) > 2.0);
}

#[test]
fn supervised_training_is_the_same_loop_without_a_network_to_start_from() {
    let preset = FineTune::supervised(50);
    let config = preset.config();
    assert_eq!(config.head, HeadInit::Random);
    assert_eq!((config.batch_size, config.schedule.epochs), (256, 100));
    assert_eq!(
        (config.weight_decay, config.schedule.warmup_epochs),
        (1e-4, 10.0)
    );

    // Without parts to validate and test on, the last network is the result.
    let dir = tempfile::tempdir().unwrap();
    let nothing = |split: &Split<Subset>| split.train.subset(Vec::new()).unwrap();
    let mut split = shades();
    (split.validation, split.test) = (nothing(&split), nothing(&split));
    let mut supervised = FineTune::supervised(18)
        .image_size(32)
        .batch_size(10)
        .epochs(2);
    assert_eq!(supervised.config().encoder.stem, Stem::Cifar);
    let mut coarse = supervised.config().clone();
    coarse.encoder.stem = Stem::ImageNet;
    supervised = FineTune::new(coarse);
    let run = supervised.run(&split, dir.path().join("run")).unwrap();
    assert_eq!((run.result.best_epoch, run.result.steps), (2, 4));
    assert_eq!((&run.result.validation, &run.result.test), (&None, &None));
    assert!(run.result.test_scores.is_empty());
}

#[test]
fn a_network_keeps_its_stem_whatever_the_image_size() {
    let encoder = ResNetConfig::depth(18).with_stem(Stem::ImageNet);
    let model = SimClr::initialize(&SimClrConfig::new(encoder), 1, &Device::Cpu).unwrap();
    let fine_tune = FineTune::network(&model).unwrap().image_size(32);
    assert_eq!(fine_tune.config().encoder.stem, Stem::ImageNet);
    assert_eq!(fine_tune.config().policy.size, (32, 32));
    assert_eq!(fine_tune.config().evaluation.squash, Some((32, 32)));
}

#[test]
fn fine_tunings_that_cannot_work_are_named_and_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let message = |fine_tune: FineTune, split: &Split<Subset>| {
        let error = fine_tune.run(split, &run).unwrap_err();
        assert!(!run.exists(), "something was left behind: {error}");
        error.to_string()
    };
    let text = message(FineTune::new(config(1)).batch_size(64), &shades());
    assert!(text.contains("64") && text.contains("20"), "{text}");
    let text = message(FineTune::new(config(1)).batch_size(0), &shades());
    assert!(text.contains("batch size"), "{text}");
    let text = message(FineTune::new(config(1)).image_size(3), &shades());
    assert!(text.contains("3 x 3"), "{text}");
    let text = message(
        FineTune::new(config(1)).freeze(Freeze::AfterBlock(5)),
        &shades(),
    );
    assert!(
        text.contains("fine_tune_after_block") && text.contains('5'),
        "{text}"
    );
    let text = message(FineTune::new(config(1)).projection_layer(7), &shades());
    assert!(
        text.contains("ft_proj_selector") && text.contains('7'),
        "{text}"
    );

    let mut other_classes = shades();
    other_classes.test = cores().test;
    let text = message(FineTune::new(config(1)), &other_classes);
    assert!(
        text.contains("classes of the test images") && text.contains("dark, bright"),
        "{text}"
    );

    let image = DecodedImage::new(32, 32, vec![9; 32 * 32 * 3]).unwrap();
    let unlabelled = InMemory::unlabelled(vec![image; 16]);
    let all = unlabelled.subset((0..16).collect::<Vec<_>>()).unwrap();
    let unlabelled = Split {
        train: all.clone(),
        validation: all.clone(),
        test: all,
    };
    let text = message(FineTune::new(config(1)), &unlabelled);
    assert!(text.contains("images with classes"), "{text}");

    let deeper = ResNetConfig::depth(34).with_stem(Stem::ImageNet);
    let deeper = SimClr::initialize(&SimClrConfig::new(deeper), 1, &Device::Cpu).unwrap();
    let fine_tune = FineTune::new(config(1)).start_from(deeper.store().unwrap());
    let text = message(fine_tune, &shades());
    assert!(text.contains("encoder.block_group1.block2"), "{text}");
}

#[test]
fn another_network_to_start_from_does_not_touch_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let run = |seed: u64| {
        let specs = config(1).network(2).parameter_specs().unwrap();
        let start = Parameters::initialize(&specs, seed, &Device::Cpu).unwrap();
        FineTune::new(config(1))
            .start_from(start)
            .run(&shades(), dir.path())
    };
    run(5).unwrap();
    let metrics = fs::read(dir.path().join("metrics.csv")).unwrap();
    let error = run(6).unwrap_err().to_string();
    assert!(error.contains("start was"), "{error}");
    assert_eq!(fs::read(dir.path().join("metrics.csv")).unwrap(), metrics);
}

#[test]
fn a_network_that_is_not_the_best_epochs_is_trained_again() {
    let dir = tempfile::tempdir().unwrap();
    let expected = FineTune::new(config(2)).run(&shades(), dir.path()).unwrap();
    let good = fs::read(&expected.model_file).unwrap();
    let model = SimClr::initialize(&config(2).network(2), 1, &Device::Cpu).unwrap();
    simclr::checkpoint::save_model(&expected.model_file, &model, Default::default()).unwrap();
    let run = FineTune::new(config(2)).run(&shades(), dir.path()).unwrap();
    assert_eq!(run.result, expected.result);
    assert!(fs::read(&run.model_file).unwrap() == good);
}
