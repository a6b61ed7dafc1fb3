//! NT-Xent, forward and backward. Throughput counts the multiply-adds of its matrix
//! products as two operations each: the upper triangle twice, the gradient once.
//!
//! `products` are those multiply-adds alone, by the same kind of blocks on all cores:
//! what is left of the loss when everything else costs nothing.
#![allow(missing_docs, clippy::unwrap_used)]

use candle_core::{Device, Var};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rayon::prelude::*;
use simclr_kernels::linalg::{MatrixMut, MatrixRef, gemm};
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
        let views = input.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        group.throughput(Throughput::Elements(4 * square));
        group.bench_function(BenchmarkId::new("products", images), |b| {
            b.iter(|| products(&views));
        });
    }
    group.finish();
}

/// The similarities of each pair of blocks, twice, and their products with either.
fn products(views: &[f32]) {
    let blocks: Vec<&[f32]> = views.chunks(BLOCK * WIDTH).collect();
    let pairs: Vec<(usize, usize)> = (0..blocks.len())
        .flat_map(|i| (i..blocks.len()).map(move |j| (i, j)))
        .collect();
    let room = || {
        (
            vec![0.0; BLOCK * BLOCK],
            vec![0.0; BLOCK * WIDTH],
            vec![0.0; BLOCK * WIDTH],
        )
    };
    pairs.par_iter().for_each_init(room, |room, &(i, j)| {
        let (tile, first, second) = room;
        let matrix = |block: usize| MatrixRef::row_major(blocks[block], BLOCK, WIDTH);
        for _ in 0..2 {
            let tile = MatrixMut::row_major(tile, BLOCK, BLOCK);
            gemm(1.0, matrix(i), matrix(j).transposed(), 0.0, tile);
        }
        let weights = MatrixRef::row_major(tile, BLOCK, BLOCK);
        let gradient = MatrixMut::row_major(first, BLOCK, WIDTH);
        gemm(1.0, weights, matrix(j), 1.0, gradient);
        if i != j {
            let gradient = MatrixMut::row_major(second, BLOCK, WIDTH);
            gemm(1.0, weights.transposed(), matrix(i), 1.0, gradient);
        }
    });
}

criterion_group!(benches, nt_xent);
criterion_main!(benches);
