//! Ranks as threads: the sum of a bucket of gradients, and runs whose operations take longer.
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use simclr::collective::run_threads;
use simclr::data::InMemory;
use simclr::model::Stem;
use simclr::prelude::*;
use simclr_testkit::MeteredRank;

fn sums(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("all_reduce");
    const NUMBERS: usize = 25_000_000 / size_of::<f32>();
    group
        .throughput(Throughput::Bytes(25_000_000))
        .sample_size(10);
    for ranks in [2, 4] {
        group.bench_function(BenchmarkId::from_parameter(ranks), |bencher| {
            bencher.iter(|| {
                run_threads(ranks, |ranks| {
                    let mut values = vec![1f32; NUMBERS];
                    ranks.all_reduce(&mut values).unwrap();
                    values[0]
                })
            });
        });
    }
}

/// Four steps of two ranks: what an operation takes longer, the step takes longer as often as it
/// has operations that nothing hides. Gradients are sent while the backward pass runs, or after it.
fn latency(criterion: &mut Criterion) {
    let cores = SyntheticCores::new(32, 32, Seed(1)).unwrap();
    let cores = InMemory::collect(&cores).unwrap();
    let config = PretrainConfig::resnet(18)
        .with_image_size(16)
        .with_batch_size(8);
    let encoder = config.encoder.clone().with_stem(Stem::Cifar);
    let pretrain = Pretrain::new(config.with_encoder(encoder)).steps(4);
    let mut group = criterion.benchmark_group("latency");
    group.sample_size(10);
    for (name, milliseconds) in [("during", 0), ("during", 4), ("during", 50), ("after", 50)] {
        let latency = Duration::from_millis(milliseconds);
        group.bench_function(BenchmarkId::new(name, milliseconds), |bencher| {
            bencher.iter(|| {
                let dir = tempfile::tempdir().unwrap();
                run_threads(2, |ranks| {
                    let ranks = MeteredRank::new(ranks, latency);
                    let ranks = if name == "after" {
                        ranks.alone()
                    } else {
                        ranks
                    };
                    let ranks = Arc::new(ranks);
                    let pretrain = pretrain.clone().ranks(ranks.clone());
                    pretrain.run(cores.clone(), dir.path().join("run")).unwrap();
                    let of_kinds = ranks.traffic();
                    of_kinds
                        .values()
                        .map(|traffic| traffic.operations)
                        .sum::<usize>()
                })
            });
        });
    }
}

criterion_group!(benches, sums, latency);
criterion_main!(benches);
