//! NT-Xent, forward and backward. Throughput counts the multiply-adds of its matrix
//! products as two operations each: the upper triangle twice, the gradient once.
#![allow(missing_docs, clippy::unwrap_used)]

use candle_core::{Device, Var};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use simclr_loss::NtXent;

fn nt_xent(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("nt_xent");
    group.sample_size(10);
    for images in [256usize, 1024, 4096] {
        let width = 128;
        let input = Var::randn(0f32, 1.0, (2 * images, width), &Device::Cpu).unwrap();
        let square = (2 * images * 2 * images * width) as u64;
        for temperature in [0.1, 0.01] {
            let loss = NtXent {
                temperature,
                ..NtXent::default()
            };
            let id = |pass: &str| BenchmarkId::new(format!("{pass} T={temperature}"), images);
            group.throughput(Throughput::Elements(square));
            group.bench_function(id("forward"), |b| {
                b.iter(|| loss.forward(&input).unwrap());
            });
            group.throughput(Throughput::Elements(4 * square));
            group.bench_function(id("forward+backward"), |b| {
                b.iter(|| loss.forward(&input).unwrap().loss.backward().unwrap());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, nt_xent);
criterion_main!(benches);
