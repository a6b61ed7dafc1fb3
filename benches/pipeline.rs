//! The stages of the main job, each by itself: making views, a training step, embedding,
//! probing. Sizes are small, so that the whole takes a minute; `throughput`, the example,
//! measures sizes of real work. Single kernels, losses and image operations are measured in
//! benchmarks of their own.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use candle_core::{Device, Tensor};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use simclr::data::{InMemory, SyntheticCores};
use simclr::eval::probes::{Examples, LinearProbe};
use simclr::model::Stem;
use simclr::optim::{LarsConfig, OptimizerConfig};
use simclr::optim::{ScheduleConfig, WarmupCosine};
use simclr::prelude::*;
use simclr::train::{ContrastiveObjective, Trainer};

const SIZE: usize = 64;
const BATCH: usize = 16;

fn network() -> ResNetConfig {
    ResNetConfig::depth(18).with_stem(Stem::ImageNet)
}

fn images(count: usize) -> Tensor {
    Tensor::rand(0f32, 1.0, (count, SIZE, SIZE, 3), &Device::Cpu).unwrap()
}

/// Views per second of the loader alone, on all cores, from decoded images.
fn views(criterion: &mut Criterion) {
    let cores = SyntheticCores::new(64, 128, Seed(1)).unwrap();
    let cores = InMemory::collect(&cores).unwrap();
    let mut group = criterion.benchmark_group("views");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(2 * 64));
    for (name, policy) in [
        ("paper", Policy::paper(SIZE)),
        ("simclr_v2", Policy::simclr_v2(SIZE)),
    ] {
        let loader = ViewLoader::training(cores.shared(), policy, BATCH, Seed(1)).unwrap();
        group.bench_function(BenchmarkId::new(name, SIZE), |b| {
            b.iter(|| {
                for batch in loader.epochs(0..1).unwrap() {
                    black_box(batch.unwrap());
                }
            });
        });
    }
    group.finish();
}

/// Views per second of pretraining: forward and loss, and the whole step.
fn step(criterion: &mut Criterion) {
    let views = images(2 * BATCH);
    let mut group = criterion.benchmark_group("step");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(2 * BATCH as u64));
    let model = SimClr::initialize(&SimClrConfig::new(network()), 1, &Device::Cpu).unwrap();
    group.bench_function("forward+loss", |b| {
        b.iter(|| {
            let output = model.forward(&views, Mode::Train).unwrap();
            NtXent::default().forward(output.z()).unwrap()
        });
    });
    let schedule = WarmupCosine::new(&ScheduleConfig::default(), 1000, BATCH).unwrap();
    let lars = OptimizerConfig::Lars(LarsConfig::default());
    let objective = ContrastiveObjective::default();
    let mut trainer = Trainer::new(model, objective, &lars, 1e-4, schedule).unwrap();
    group.bench_function("whole", |b| b.iter(|| trainer.step(&views, None).unwrap()));
    group.finish();
}

/// Images per second through a frozen encoder.
fn embed(criterion: &mut Criterion) {
    let images = images(BATCH);
    let encoder = Encoder::initialize(&network(), 1, &Device::Cpu)
        .unwrap()
        .frozen();
    let mut group = criterion.benchmark_group("embed");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(BATCH as u64))
        .bench_function("resnet18", |b| {
            b.iter(|| encoder.features(&images).unwrap())
        });
    group.finish();
}

/// The paper's linear probe on 512 features of 1000 images, an epoch.
fn probe(criterion: &mut Criterion) {
    let (rows, width, classes) = (1000usize, 512, 10u32);
    let values: Vec<f32> = (0..rows * width)
        .map(|i| ((i * 31) % 101) as f32 / 101.0)
        .collect();
    let labels: Vec<u32> = (0..rows as u32).map(|row| row % classes).collect();
    let names: Vec<String> = (0..classes).map(|class| class.to_string()).collect();
    let examples = Examples::new(&values, width, &labels).unwrap();
    let one_epoch = LinearProbe::paper().with_epochs(1);
    let mut group = criterion.benchmark_group("probe");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(rows as u64))
        .bench_function("linear", |b| {
            b.iter(|| one_epoch.fit(examples, examples, examples, &names).unwrap());
        });
    group.finish();
}

criterion_group!(benches, views, step, embed, probe);
criterion_main!(benches);
