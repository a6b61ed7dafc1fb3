//! The ops that pass over a map once: batch norm, ReLU, pooling; and dense layers.
//!
//! Throughput is in elements of the input, for dense layers in floating-point operations.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use candle_core::{DType, Device, Tensor, Var};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use simclr_kernels::{
    Activation, Backend, BatchNormParameters, BatchStats, Conv2dConfig, DivisorRule, FeatureMap,
    KernelOptions, Padding, Precision, dense,
};

const SHAPE: (usize, usize, usize, usize) = (8, 56, 56, 64);
const ELEMENTS: u64 = 8 * 56 * 56 * 64;

fn random(shape: impl Into<candle_core::Shape>) -> Tensor {
    Tensor::rand(-1f32, 1f32, shape, &Device::Cpu).unwrap()
}

/// Measures an op on maps, forward, and backward from the mean of its result.
fn both(criterion: &mut Criterion, name: &str, op: impl Fn(&FeatureMap) -> FeatureMap) {
    let mut group = criterion.benchmark_group(name);
    group
        .sample_size(20)
        .throughput(Throughput::Elements(ELEMENTS));
    let x = Var::from_tensor(&random(SHAPE)).unwrap();
    let map = FeatureMap::new(&x.as_detached_tensor(), Backend::Fused).unwrap();
    group.bench_function("forward", |b| b.iter(|| black_box(op(&map))));
    let mixed = KernelOptions::default().with_precision(Precision::Mixed);
    if mixed.validate().is_ok() {
        // Maps in bfloat16 are results of convolutions; this one changes nothing else.
        let identity = Tensor::eye(64, DType::F32, &Device::Cpu).unwrap();
        let identity = identity.reshape((1, 1, 64, 64)).unwrap();
        let map = mixed.scope(|| FeatureMap::new(&x.as_detached_tensor(), Backend::Fused));
        let map = map
            .unwrap()
            .conv2d(&identity, Conv2dConfig::same())
            .unwrap();
        group.bench_function("forward, mixed", |b| b.iter(|| black_box(op(&map))));
    }
    let tracked = FeatureMap::new(x.as_tensor(), Backend::Fused).unwrap();
    let loss = op(&tracked).global_average_pool().unwrap();
    group.bench_function("backward", |b| {
        b.iter(|| black_box(loss.backward().unwrap()))
    });
    group.finish();
}

fn batch_norms(criterion: &mut Criterion) {
    let (gamma, beta) = (random(64), random(64));
    let norm = BatchNormParameters {
        gamma: &gamma,
        beta: &beta,
        epsilon: 1e-5,
    };
    let moving = BatchStats {
        mean: random(64),
        variance: (random(64) + 1.5).unwrap(),
    };
    let residual = FeatureMap::new(&random(SHAPE), Backend::Fused).unwrap();
    both(criterion, "batch norm + ReLU, training", |x| {
        x.batch_norm_training(norm, Activation::Relu, None)
            .unwrap()
            .0
    });
    both(criterion, "batch norm + residual + ReLU, training", |x| {
        x.batch_norm_training(norm, Activation::Relu, Some(&residual))
            .unwrap()
            .0
    });
    both(criterion, "batch norm + ReLU, inference", |x| {
        x.batch_norm_inference(norm, &moving, Activation::Relu, None)
            .unwrap()
    });
}

fn pointwise_and_pools(criterion: &mut Criterion) {
    both(criterion, "ReLU", |x| x.relu().unwrap());
    both(criterion, "max-pool 3x3/2", |x| {
        x.max_pool2d((3, 3), (2, 2), Padding::Same).unwrap()
    });
    both(criterion, "average pool 2x2/2", |x| {
        x.average_pool2d((2, 2), (2, 2), Padding::Same, DivisorRule::ExcludePadding)
            .unwrap()
    });
    let mut group = criterion.benchmark_group("global average pool");
    group.throughput(Throughput::Elements(ELEMENTS));
    let map = FeatureMap::new(&random(SHAPE), Backend::Fused).unwrap();
    group.bench_function("forward", |b| {
        b.iter(|| black_box(map.global_average_pool().unwrap()));
    });
    group.finish();
}

fn dense_layers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dense 256 x 2048 x 2048");
    group
        .sample_size(10)
        .throughput(Throughput::Elements(2 * 256 * 2048 * 2048));
    let x = random((256, 2048));
    let kernel = Var::from_tensor(&random((2048, 2048))).unwrap();
    group.bench_function("forward", |b| {
        b.iter(|| black_box(dense(&x, &kernel.as_detached_tensor(), None).unwrap()));
    });
    let loss = dense(&x, kernel.as_tensor(), None)
        .unwrap()
        .sum_all()
        .unwrap();
    group.bench_function("kernel gradient", |b| {
        b.iter(|| black_box(loss.backward().unwrap()));
    });
    group.finish();
}

criterion_group!(benches, batch_norms, pointwise_and_pools, dense_layers);
criterion_main!(benches);
