//! The estimate of a run's memory against what it takes. A test of its own process, because the
//! peak is the process's.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use simclr_data::{Seed, SyntheticCores};
use simclr_train::{Error, LoopConfig, MemoryEstimate, Pretrain, PretrainConfig};

/// The most memory that this process has had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() << 10
}

#[test]
fn a_run_takes_what_was_estimated_and_one_that_cannot_fit_is_refused_before_it_takes_anything() {
    let images = || SyntheticCores::new(64, 96, Seed(1)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let config = PretrainConfig::resnet(18)
        .with_image_size(96)
        .with_batch_size(32);

    let huge = config
        .clone()
        .with_encoder(config.encoder.clone().with_width_multiplier(64));
    let before = peak();
    let folder = dir.path().join("huge");
    let error = Pretrain::new(huge).run(images(), &folder).unwrap_err();
    assert!(matches!(error, Error::Memory { .. }), "{error}");
    assert!(!folder.exists() && peak() - before < 64 << 20);

    let run = Pretrain::new(config).steps(2);
    let estimate: MemoryEstimate = run.memory_estimate(&images()).unwrap();
    run.run(images(), dir.path().join("run")).unwrap();
    let (estimate, peak) = (estimate.total() as f64, peak() as f64);
    assert!((estimate / peak - 1.0).abs() < 0.15, "{estimate} {peak}");
}
