//! Convolutions of ResNet-18 and -50 at 224 px: forward, input's and kernel's gradient.
//!
//! Throughput is in floating-point operations: two per multiply-add of the direct sum,
//! whatever the method. Set `SIMCLR_CONVOLUTION=direct`, `SIMCLR_SIMD=avx2` or
//! `SIMCLR_BFLOAT16=portable` to compare.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use candle_core::{Device, Tensor, Var};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use simclr_kernels::{Backend, Conv2dConfig, FeatureMap, KernelOptions, Precision};

const BATCH: usize = 8;

/// Side of the map, kernel, stride, inputs, outputs.
type Shape = (usize, usize, usize, usize, usize);

const RESNET_18: [Shape; 8] = [
    (224, 7, 2, 3, 64),
    (56, 3, 1, 64, 64),
    (56, 3, 2, 64, 128),
    (28, 3, 1, 128, 128),
    (28, 3, 2, 128, 256),
    (14, 3, 1, 256, 256),
    (14, 3, 2, 256, 512),
    (7, 3, 1, 512, 512),
];

/// Those that ResNet-18 has not.
const RESNET_50: [Shape; 10] = [
    (56, 1, 1, 64, 64),
    (56, 1, 1, 64, 256),
    (56, 1, 1, 256, 64),
    (56, 1, 2, 256, 512),
    (28, 1, 1, 512, 128),
    (28, 1, 1, 128, 512),
    (14, 1, 1, 1024, 256),
    (14, 1, 1, 256, 1024),
    (7, 1, 1, 2048, 512),
    (7, 1, 1, 512, 2048),
];

struct Case {
    x: Tensor,
    kernel: Tensor,
    config: Conv2dConfig,
    operations: u64,
}

impl Case {
    fn new((side, size, stride, inputs, outputs): Shape) -> Self {
        let config = Conv2dConfig::original(size, stride);
        let random = |shape: (usize, usize, usize, usize)| {
            Tensor::rand(-1f32, 1f32, shape, &Device::Cpu).unwrap()
        };
        let pixels = BATCH * side.div_ceil(stride).pow(2);
        Self {
            x: random((BATCH, side, side, inputs)),
            kernel: random((size, size, inputs, outputs)),
            config,
            operations: (2 * pixels * size * size * inputs * outputs) as u64,
        }
    }

    fn map(&self, x: &Tensor) -> FeatureMap {
        FeatureMap::new(x, Backend::Fused).unwrap()
    }

    fn forward(&self) -> FeatureMap {
        let map = self.map(&self.x);
        map.conv2d_with_stats(&self.kernel, self.config).unwrap()
    }

    /// What a backward pass starts from; gradients flow to what is a variable.
    fn loss(&self, x: &Tensor, kernel: &Tensor) -> Tensor {
        let y = self.map(x).conv2d(kernel, self.config).unwrap();
        y.global_average_pool().unwrap()
    }
}

fn convolutions(criterion: &mut Criterion, name: &str, shapes: &[Shape]) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10);
    for &shape in shapes {
        let (side, size, stride, inputs, outputs) = shape;
        let case = Case::new(shape);
        group.throughput(Throughput::Elements(case.operations));
        let label = format!("{side}px {size}x{size}/{stride} {inputs}-{outputs}");
        group.bench_function(BenchmarkId::new("forward", &label), |b| {
            b.iter(|| black_box(case.forward()));
        });
        if inputs > 3 {
            let x = Var::from_tensor(&case.x).unwrap();
            let loss = case.loss(x.as_tensor(), &case.kernel);
            group.bench_function(BenchmarkId::new("input gradient", &label), |b| {
                b.iter(|| black_box(loss.backward().unwrap()));
            });
        }
        let kernel = Var::from_tensor(&case.kernel).unwrap();
        let loss = case.loss(&case.x, kernel.as_tensor());
        group.bench_function(BenchmarkId::new("kernel gradient", &label), |b| {
            b.iter(|| black_box(loss.backward().unwrap()));
        });
    }
    group.finish();
}

fn resnet_18(criterion: &mut Criterion) {
    convolutions(criterion, "convolution/resnet18", &RESNET_18);
}

fn resnet_50(criterion: &mut Criterion) {
    convolutions(criterion, "convolution/resnet50", &RESNET_50);
}

/// The same in bfloat16, and of numbers that are sums of bfloat16 numbers, by the first of the
/// kernels that the processor has.
fn bfloat16(criterion: &mut Criterion) {
    for precision in [
        Precision::BFloat16,
        Precision::BFloat16x3,
        Precision::BFloat16x6,
    ] {
        let options = KernelOptions::default().with_precision(precision);
        options.scope(|| {
            let group = |network| format!("convolution/{precision}/{network}");
            convolutions(criterion, &group("resnet18"), &RESNET_18);
            convolutions(criterion, &group("resnet50"), &RESNET_50);
        });
    }
}

/// A pointwise convolution is one matrix product: our inner loops against candle's, which
/// are those of the `gemm` crate, each on one thread.
fn against_gemm(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("product on one thread");
    group.sample_size(10);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    for (side, inputs, outputs) in [
        (56, 64, 256),
        (28, 512, 128),
        (14, 256, 1024),
        (7, 2048, 512),
    ] {
        let case = Case::new((side, 1, 1, inputs, outputs));
        group.throughput(Throughput::Elements(case.operations));
        let label = format!("{side}px {inputs}-{outputs}");
        group.bench_function(BenchmarkId::new("ours", &label), |b| {
            let map = case.map(&case.x);
            pool.install(|| b.iter(|| black_box(map.conv2d(&case.kernel, case.config).unwrap())));
        });
        let x = case.x.flatten(0, 2).unwrap();
        let kernel = case.kernel.flatten(0, 2).unwrap();
        group.bench_function(BenchmarkId::new("candle (gemm crate)", &label), |b| {
            pool.install(|| b.iter(|| black_box(x.matmul(&kernel).unwrap())));
        });
    }
    group.finish();
}

criterion_group!(benches, resnet_18, resnet_50, bfloat16, against_gemm);
criterion_main!(benches);
