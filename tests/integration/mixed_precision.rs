//! Training with feature maps in bfloat16.
#![allow(clippy::unwrap_used)]

use rayon::ThreadPoolBuilder;
use simclr::data::SyntheticCores;
use simclr::kernels::{KernelOptions, Precision};
use simclr::model::{GradientCheckpointing, Stem};
use simclr::prelude::*;
use simclr::train::EpochSummary;
use simclr_testkit::seeds;

fn pretrain(precision: Precision, checkpointing: GradientCheckpointing) -> Vec<EpochSummary> {
    let dir = tempfile::tempdir().unwrap();
    let mut config = PretrainConfig::resnet(18)
        .with_image_size(32)
        .with_batch_size(16);
    config.schedule = config
        .schedule
        .clone()
        .with_epochs(3)
        .with_warmup_epochs(0.0);
    config.encoder.stem = Stem::ImageNet;
    let cores = SyntheticCores::new(64, 32, Seed(seeds::INPUTS)).unwrap();
    let run = Pretrain::new(config).gradient_checkpointing(checkpointing);
    let options = KernelOptions::default().with_precision(precision);
    let run = options.scope(|| run.run(cores, dir.path())).unwrap();
    run.result.epochs
}

#[test]
fn the_loss_falls_as_in_single_precision() {
    let single = pretrain(Precision::Single, GradientCheckpointing::None);
    let mixed = pretrain(Precision::Mixed, GradientCheckpointing::None);
    assert_ne!(single, mixed);
    for (single, mixed) in single.iter().zip(&mixed) {
        let (single, mixed) = (single.contrast_loss.unwrap(), mixed.contrast_loss.unwrap());
        assert!((single - mixed).abs() < 0.02 * single, "{single}, {mixed}");
    }
    assert!(mixed[2].contrast_loss < mixed[0].contrast_loss);
}

#[test]
fn threads_and_gradient_checkpointing_change_no_bit() {
    let with = |threads, checkpointing| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap()
            .install(|| pretrain(Precision::Mixed, checkpointing))
    };
    let expected = with(1, GradientCheckpointing::None);
    assert_eq!(with(3, GradientCheckpointing::None), expected);
    assert_eq!(with(2, GradientCheckpointing::PerBlock), expected);
}
