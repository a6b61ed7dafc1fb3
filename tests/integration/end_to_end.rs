//! Small runs from images to report files: pretraining, resuming, and bad input.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use simclr::augment::Crop;
use simclr::augment::ops::RandomCrop;
use simclr::data::{InMemory, SyntheticCores, save_png};
use simclr::model::Stem;
use simclr::prelude::*;
use simclr_testkit::seeds;

/// A network and a run that take a second or two.
fn tiny(epochs: usize) -> PretrainConfig {
    let mut config = PretrainConfig::resnet(18)
        .with_image_size(32)
        .with_batch_size(8)
        .with_seed(Seed(seeds::WEIGHTS));
    config.schedule = config
        .schedule
        .clone()
        .with_epochs(epochs)
        .with_warmup_epochs(0.0);
    config.encoder.stem = Stem::ImageNet;
    config
}

fn cores(count: usize) -> Arc<dyn Dataset> {
    SyntheticCores::new(count, 32, Seed(seeds::INPUTS))
        .unwrap()
        .shared()
}

fn write_cores(dir: &Path, count: usize) {
    let cores = SyntheticCores::new(count, 32, Seed(seeds::INPUTS)).unwrap();
    for index in 0..count {
        let path = dir.join(cores.name(index)).with_extension("png");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        save_png(&cores.decode(index).unwrap(), path).unwrap();
    }
}

#[test]
fn a_run_leaves_everything_it_promises_and_its_network_can_be_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let run = Pretrain::new(tiny(2))
        .run(cores(20), dir.path().join("run"))
        .unwrap();
    // Batches go on across the border of epochs: 2 x 20 images in batches of 8.
    assert_eq!(run.result.steps, 5);
    assert!(
        run.result
            .last_epoch()
            .contrast_loss
            .is_some_and(f64::is_finite)
    );
    for file in [
        "config.json",
        "manifest.json",
        "metrics.csv",
        "result.json",
        "model.safetensors",
    ] {
        assert!(run.dir.join(file).is_file(), "{file}");
    }
    let encoder = Encoder::load(&run.model_file, &Device::Cpu)
        .unwrap()
        .frozen();
    let policy = Policy::probe(32);
    let loaded = Features::extract(&encoder, cores(4), &policy).unwrap();
    let kept = Features::extract(&run.encoder, cores(4), &policy).unwrap();
    assert_eq!(loaded, kept);
    assert_eq!((loaded.len(), loaded.size), (4, 512));
}

/// What all this is for.
#[test]
fn features_learned_without_labels_are_ahead_of_the_fair_baseline() {
    let dir = tempfile::tempdir().unwrap();
    let cores = SyntheticCores::new(800, 64, Seed(seeds::INPUTS)).unwrap();
    let cores = InMemory::collect(&cores).unwrap();
    let fractions = Fractions {
        train: 0.5,
        validation: 0.1,
    };
    let split = cores.split(fractions, Seed(seeds::INPUTS)).unwrap();
    let seen = [split.train.indices(), split.validation.indices()].concat();
    let seen = cores.subset(seen).unwrap();
    let mut config = PretrainConfig::resnet(18)
        .with_image_size(32)
        .with_batch_size(40)
        .with_seed(Seed(seeds::WEIGHTS))
        .with_small_batches(8);
    config.encoder.stem = Stem::ImageNet;
    config.policy.crop = Crop::Random(RandomCrop::default().with_area((0.3, 1.0)));
    let pretrain = Pretrain::new(config);
    let run = pretrain.run(seen.shared(), dir.path().join("run")).unwrap();

    let policy = Policy::probe(40);
    let untrained = pretrain.untrained().unwrap();
    let untrained = Features::calibrate(&untrained, seen.shared(), &policy).unwrap();
    let [untrained, learned] = [&untrained, &run.encoder].map(|encoder| {
        let features = Features::of_split(encoder, &split, &policy).unwrap();
        let results = ProbeSuite::default().evaluate(&features).unwrap();
        let tests = [
            &results.linear.test,
            &results.logistic.test,
            &results.nearest,
        ];
        tests.map(|test| test.accuracy)
    });
    // By all three probes. Of 320 test images, 3 points are a standard error.
    for (learned, untrained) in learned.iter().zip(untrained) {
        assert!(learned - untrained > 0.03, "{learned} after {untrained}");
    }
}

#[test]
fn a_resumed_run_is_the_uninterrupted_one() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, parts) = (dir.path().join("whole"), dir.path().join("parts"));
    let pretrain = Pretrain::new(tiny(2));
    pretrain.run(cores(16), &whole).unwrap();

    // The state after the first of two epochs, as an interruption leaves it.
    pretrain.run(cores(16), &parts).unwrap();
    fs::remove_file(parts.join("result.json")).unwrap();
    fs::remove_file(parts.join("model.safetensors")).unwrap();
    fs::remove_file(parts.join("checkpoints/step-00000004.safetensors")).unwrap();
    pretrain.run(cores(16), &parts).unwrap();

    for file in ["metrics.csv", "model.safetensors"] {
        let (expected, found) = (fs::read(whole.join(file)), fs::read(parts.join(file)));
        assert!(expected.unwrap() == found.unwrap(), "{file} differs");
    }
}

#[test]
fn another_configuration_does_not_touch_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let run = Pretrain::new(tiny(1)).run(cores(16), dir.path()).unwrap();
    let before = fs::read(run.dir.join("metrics.csv")).unwrap();
    let mut other = tiny(1);
    other.loss.temperature = 0.25;
    let error = Pretrain::new(other)
        .run(cores(16), dir.path())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("loss.temperature was 0.5, is 0.25"),
        "{error}"
    );
    assert_eq!(fs::read(run.dir.join("metrics.csv")).unwrap(), before);
}

#[test]
fn frozen_groups_stay_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = tiny(1);
    config.freeze = Freeze::AfterBlock(2);
    let pretrain = Pretrain::new(config);
    let before = pretrain.untrained().unwrap();
    let after = pretrain.run(cores(16), dir.path()).unwrap().encoder;
    for (before, after) in before.parameters().iter().zip(after.parameters()) {
        let values = |p: &simclr::model::Parameter| {
            p.variable.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        let name = &before.spec.name;
        let frozen = ["stem", "block_group1", "block_group2"]
            .iter()
            .any(|part| name.contains(part));
        let changed = values(before) != values(after);
        // The gamma of a block's last batch norm starts at zero, and with it the
        // gradients of what stands before: those may stay where they are.
        assert!(!(frozen && changed), "{name} was frozen, and changed");
        if name.contains("moving_mean") && !frozen {
            assert!(changed, "{name} was not frozen, and did not change");
        }
    }
}

#[test]
fn settings_that_cannot_work_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let message = |config: PretrainConfig, images: usize| {
        let error = Pretrain::new(config).run(cores(images), dir.path().join("run"));
        let text = error.unwrap_err().to_string();
        assert!(
            !dir.path().join("run").exists(),
            "something was left behind: {text}"
        );
        text
    };
    let error = message(tiny(1).with_batch_size(64), 16);
    assert!(error.contains("64") && error.contains("16"), "{error}");

    let mut config = tiny(1);
    config.loss.temperature = 0.0;
    let error = message(config, 16);
    assert!(error.contains("temperature"), "{error}");

    let error = message(tiny(1).with_image_size(1), 16);
    assert!(
        error.contains("1 x 1") && error.contains("at least 5 x 5"),
        "{error}"
    );
}

#[test]
fn images_that_cannot_be_read_are_named_or_left_out_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let (images, run) = (dir.path().join("images"), dir.path().join("run"));
    write_cores(&images, 20);
    let broken = images.join("crack/broken.png");
    fs::write(&broken, b"not a picture").unwrap();

    let folder = ImageFolder::labelled(&images);
    let error = match folder {
        Err(error) => error.to_string(),
        // Two epochs: every image has its turn.
        Ok(folder) => Pretrain::new(tiny(2))
            .run(folder.shared(), &run)
            .unwrap_err()
            .to_string(),
    };
    assert!(error.contains("broken.png"), "{error}");

    let folder = ImageFolder::builder(&images)
        .skip_unreadable(true)
        .open()
        .unwrap();
    assert_eq!((folder.len(), folder.report().unreadable.len()), (20, 1));
    let clean = dir.path().join("clean");
    assert_eq!(
        Pretrain::new(tiny(1))
            .run(folder.shared(), clean)
            .unwrap()
            .result
            .images,
        20
    );
}

#[test]
fn a_checkpoint_of_another_architecture_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let small = Pretrain::new(tiny(1))
        .run(cores(16), dir.path().join("small"))
        .unwrap();
    let start = simclr::checkpoint::load_model(&small.model_file, &Device::Cpu)
        .unwrap()
        .model;
    let mut config = tiny(1);
    config.encoder = config.encoder.clone().with_se_ratio(0.25);
    let run = dir.path().join("other");
    let error = Pretrain::new(config)
        .start_from(start.store().unwrap())
        .run(cores(16), &run)
        .unwrap_err()
        .to_string();
    assert!(error.contains("squeeze_excitation"), "{error}");
    assert!(!run.exists());

    let truncated = dir.path().join("truncated.safetensors");
    let bytes = fs::read(&small.model_file).unwrap();
    fs::write(&truncated, &bytes[..bytes.len() / 2]).unwrap();
    let error = simclr::checkpoint::load_model(&truncated, &Device::Cpu)
        .unwrap_err()
        .to_string();
    assert!(error.contains("truncated.safetensors"), "{error}");
}
