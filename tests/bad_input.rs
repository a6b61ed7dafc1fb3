//! What happens to a run when files are damaged or missing: it says which, loses nothing,
//! and goes on once they are repaired.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use candle_core::Device;
use simclr::data::{SyntheticCores, save_png};
use simclr::model::Stem;
use simclr::prelude::*;
use simclr::train::schedule::ScheduleConfig;
use simclr_testkit::seeds;

fn pretrain(epochs: usize) -> Pretrain {
    let mut config = PretrainConfig {
        encoder: ResNetConfig::depth(18),
        schedule: ScheduleConfig {
            epochs,
            warmup_epochs: 0.0,
            ..ScheduleConfig::default()
        },
        batch_size: 8,
        seed: seeds::WEIGHTS,
        ..PretrainConfig::default()
    }
    .with_image_size(32);
    config.encoder.stem = Stem::ImageNet;
    Pretrain::new(config)
}

/// Sixteen cores as files, and the last of them.
fn cores(dir: &Path) -> (ImageFolder, PathBuf) {
    let cores = SyntheticCores::new(16, 32, Seed(seeds::INPUTS)).unwrap();
    fs::create_dir_all(dir).unwrap();
    let path = |index: usize| dir.join(format!("core{index:02}.png"));
    for index in 0..16 {
        save_png(&cores.decode(index).unwrap(), path(index)).unwrap();
    }
    (ImageFolder::unlabelled(dir).unwrap(), path(15))
}

/// All files below a folder, hidden ones included.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

#[test]
fn a_run_goes_on_after_a_damaged_image_is_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let (images, last) = cores(&dir.path().join("cores"));
    let whole = pretrain(2)
        .run(images.shared(), dir.path().join("whole"))
        .unwrap();

    let good = fs::read(&last).unwrap();
    fs::write(&last, &good[..good.len() / 2]).unwrap();
    let run = dir.path().join("run");
    let error = pretrain(2)
        .run(images.shared(), &run)
        .unwrap_err()
        .to_string();
    assert!(error.contains("core15.png"), "{error}");
    // No result, no network, and nothing half-written.
    assert!(!run.join("result.json").exists() && !run.join("model.safetensors").exists());
    let temporary = |path: &PathBuf| path.to_string_lossy().ends_with(".tmp");
    assert!(!files(&run).iter().any(temporary), "{:?}", files(&run));

    fs::write(&last, good).unwrap();
    let repaired = pretrain(2).run(images.shared(), &run).unwrap();
    assert_eq!(repaired.result.steps, whole.result.steps);
    assert!(fs::read(&repaired.model_file).unwrap() == fs::read(&whole.model_file).unwrap());
}

#[test]
fn a_damaged_checkpoint_stops_a_resumed_run_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (images, _) = cores(&dir.path().join("cores"));
    let run = dir.path().join("run");
    pretrain(2).run(images.shared(), &run).unwrap();
    for file in ["result.json", "model.safetensors"] {
        fs::remove_file(run.join(file)).unwrap();
    }
    let newest = run.join("checkpoints/step-00000004.safetensors");
    let bytes = fs::read(&newest).unwrap();
    fs::write(&newest, &bytes[..bytes.len() / 3]).unwrap();
    let metrics = fs::read(run.join("metrics.csv")).unwrap();

    let error = pretrain(2)
        .run(images.shared(), &run)
        .unwrap_err()
        .to_string();
    assert!(error.contains("step-00000004.safetensors"), "{error}");
    assert_eq!(fs::read(run.join("metrics.csv")).unwrap(), metrics);

    // Without it, the run goes on from the checkpoint before.
    fs::remove_file(&newest).unwrap();
    pretrain(2).run(images.shared(), &run).unwrap();
    assert_eq!(fs::read(run.join("metrics.csv")).unwrap(), metrics);
    assert!(fs::read(newest).unwrap() == bytes);
}

#[test]
fn networks_that_are_no_networks_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing.safetensors");
    let error = simclr::checkpoint::load_encoder(&missing, &Device::Cpu).unwrap_err();
    assert!(error.to_string().contains("missing.safetensors"), "{error}");
    for (name, content) in [
        ("empty.safetensors", &b""[..]),
        (
            "text.safetensors",
            b"these are not the weights you are looking for",
        ),
        ("picture.safetensors", b"\x89PNG\r\n\x1a\n"),
    ] {
        let path = dir.path().join(name);
        fs::write(&path, content).unwrap();
        let error = simclr::checkpoint::load_encoder(&path, &Device::Cpu).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
    let error = simclr::train::NetworkClassifier::load(&missing, &Device::Cpu).unwrap_err();
    assert!(error.to_string().contains("missing.safetensors"), "{error}");
}

#[test]
fn a_network_without_classes_is_no_teacher() {
    let dir = tempfile::tempdir().unwrap();
    let (images, _) = cores(&dir.path().join("cores"));
    let run = pretrain(1)
        .run(images.shared(), dir.path().join("run"))
        .unwrap();
    let error = simclr::train::NetworkClassifier::load(&run.model_file, &Device::Cpu).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("model.safetensors") && text.contains("no supervised head"),
        "{text}"
    );
}

#[test]
fn images_too_small_for_the_encoder_are_refused_with_their_size() {
    let dir = tempfile::tempdir().unwrap();
    let (images, _) = cores(&dir.path().join("cores"));
    let encoder = pretrain(1).untrained().unwrap();
    let error = Features::extract(&encoder, images.shared(), &Policy::probe(3)).unwrap_err();
    assert!(error.to_string().contains("3 x 3"), "{error}");
}
