//! NT-Xent, forward and backward. Throughput counts the multiply-adds of its matrix
//! products as two operations each: the upper triangle twice, the gradient once.
//!
//! `products` are those multiply-adds alone, by the same kind of blocks on all cores:
//! what is left of the loss when everything else costs nothing.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use candle_core::{Device, Tensor, Var};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rayon::prelude::*;
use simclr_loss::NtXent;

const WIDTH: usize = 128;
/// Views per block of `products`.
const BLOCK: usize = 256;

fn nt_xent(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("nt_xent");
    group.sample_size(10);
    for images in [256usize, 1024, 4096] {
        let input = Var::randn(0f32, 1.0, (2 * images, WIDTH), &Device::Cpu).unwrap();
        let square = (2 * images * 2 * images * WIDTH) as u64;
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
        let views = input.as_detached_tensor();
        group.throughput(Throughput::Elements(4 * square));
        group.bench_function(BenchmarkId::new("products", images), |b| {
            b.iter(|| products(&views).unwrap());
        });
    }
    group.finish();
}

/// The similarities of each pair of blocks, twice, and their products with either.
fn products(views: &Tensor) -> candle_core::Result<()> {
    let blocks = views.chunk(views.dim(0)?.div_ceil(BLOCK), 0)?;
    let pairs: Vec<(usize, usize)> = (0..blocks.len())
        .flat_map(|i| (i..blocks.len()).map(move |j| (i, j)))
        .collect();
    pairs.par_iter().try_for_each(|&(i, j)| {
        let (first, second) = (&blocks[i], &blocks[j]);
        black_box(first.matmul(&second.t()?)?);
        let weights = first.matmul(&second.t()?)?;
        black_box(weights.matmul(second)?);
        if i != j {
            black_box(weights.t()?.matmul(first)?);
        }
        Ok(())
    })
}

criterion_group!(benches, nt_xent);
criterion_main!(benches);
