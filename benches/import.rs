//! Importing a ResNet-50 of TensorFlow against copying its file.
//!
//! Both write to the same folder and leave it to the operating system when the bytes reach the
//! disk. On Linux `std::fs::copy` is one call of `copy_file_range`, within the kernel; a file
//! system that can share blocks between files (btrfs, XFS) then copies nothing at all, and the
//! comparison means nothing there.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../crates/simclr-checkpoint/tests/integration/support.rs"]
mod support;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use simclr_checkpoint::import;
use simclr_model::{ProjectionHeadConfig, ResNetConfig, SimClrConfig};

fn bench(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let config = SimClrConfig::new(ResNetConfig::depth(50))
        .with_projection_head(ProjectionHeadConfig::none())
        .with_classes(1000);
    let prefix = folder.path().join("model.ckpt-1");
    support::write_network(&prefix, &config);
    let data = support::append(&prefix, ".data-00000-of-00001");
    let out = folder.path().join("out");
    let mut group = criterion.benchmark_group("import");
    group.throughput(Throughput::Bytes(data.metadata().unwrap().len()));
    group.sample_size(20);
    let remove = || drop(std::fs::remove_file(&out));
    group.bench_function("copy", |bencher| {
        let run = |()| std::fs::copy(&data, &out).unwrap();
        bencher.iter_batched(remove, run, BatchSize::PerIteration);
    });
    group.bench_function("resnet50", |bencher| {
        let run = |()| import(&prefix).unwrap().save(&out).unwrap();
        bencher.iter_batched(remove, run, BatchSize::PerIteration);
    });
    group.finish();
    criterion.bench_function("import/open", |bencher| {
        bencher.iter(|| import(&prefix).unwrap());
    });
}

criterion_group!(benches, bench);
criterion_main!(benches);
