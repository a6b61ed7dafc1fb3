//! A run is continued with what it was begun with, and refused by name with anything else.
#![allow(clippy::unwrap_used)]

use std::fs;

use candle_core::Device;
use simclr::data::{SyntheticCores, save_png};
use simclr::kernels::{KernelOptions, Precision, SimdLevel};
use simclr::model::{SimClr, Stem};
use simclr::prelude::*;
use simclr_testkit::seeds;

fn pretrain() -> Pretrain {
    let mut config = PretrainConfig::resnet(18)
        .with_image_size(32)
        .with_batch_size(8);
    config.schedule = config
        .schedule
        .clone()
        .with_epochs(1)
        .with_warmup_epochs(0.0);
    config.encoder.stem = Stem::ImageNet;
    Pretrain::new(config)
}

fn cores() -> SyntheticCores {
    SyntheticCores::new(16, 32, Seed(seeds::INPUTS)).unwrap()
}

#[test]
fn another_network_to_start_from_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let run = |seed: Option<u64>| {
        let mut pretrain = pretrain();
        if let Some(seed) = seed {
            let network = pretrain.config().network(0);
            let network = SimClr::initialize(&network, seed, &Device::Cpu).unwrap();
            pretrain = pretrain.start_from(network.store().unwrap());
        }
        pretrain.run(cores(), dir.path())
    };
    let first = run(Some(1)).unwrap();
    for other in [Some(2), None] {
        let error = run(other).unwrap_err().to_string();
        assert!(error.contains("start was"), "{error}");
    }
    assert_eq!(run(Some(1)).unwrap().result, first.result);
}

#[test]
fn another_precision_or_instruction_set_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let run = |options: KernelOptions| options.scope(|| pretrain().run(cores(), dir.path()));
    let portable = KernelOptions::default().with_simd_level(SimdLevel::Portable);
    run(portable).unwrap();
    let error = run(portable.with_precision(Precision::BFloat16))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("SIMCLR_PRECISION") && error.contains("portable, single"),
        "{error}"
    );
    let best = SimdLevel::current().unwrap();
    if best != SimdLevel::Portable {
        let error = run(KernelOptions::default().with_simd_level(best))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("SIMCLR_SIMD") && error.contains(&best.to_string()),
            "{error}"
        );
    }
    run(portable).unwrap();
}

#[test]
fn images_that_change_are_refused_at_the_start_and_noticed_later() {
    let dir = tempfile::tempdir().unwrap();
    let images = dir.path().join("cores");
    fs::create_dir(&images).unwrap();
    let path = |index: usize| images.join(format!("{index:02}.png"));
    for index in 0..16 {
        save_png(&cores().decode(index).unwrap(), path(index)).unwrap();
    }
    let run = || {
        pretrain().run(
            ImageFolder::unlabelled(&images).unwrap(),
            dir.path().join("run"),
        )
    };
    run().unwrap();
    let (first, second) = (fs::read(path(0)).unwrap(), fs::read(path(1)).unwrap());
    fs::write(path(0), &second).unwrap();
    let error = run().unwrap_err().to_string();
    assert!(error.contains("dataset digest.unlabelled was"), "{error}");
    fs::write(path(0), first).unwrap();
    run().unwrap();

    let folder = ImageFolder::unlabelled(&images).unwrap();
    folder.content_digest(0).unwrap();
    fs::write(path(0), second).unwrap();
    let error = folder.decode(0).unwrap_err().to_string();
    assert!(
        error.contains("00.png: has changed since the work began"),
        "{error}"
    );
}
