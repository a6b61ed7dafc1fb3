//! One step of each optimizer over the variables of a ResNet-50, about 25 million
//! numbers. Throughput counts what a single pass must at least read and write: weight,
//! gradient and slots read, weight and slots written.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;

use candle_core::{Device, Tensor, Var};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use simclr_optim::{
    AdamConfig, LarsConfig, MomentumForm, NamedVariable, OptimizerConfig, SgdConfig,
};

/// Shapes as in a ResNet-50: kernels of convolutions, and two vectors beside each.
fn variables() -> Vec<NamedVariable> {
    let mut shapes = vec![vec![7, 7, 3, 64]];
    let mut input = 64;
    for (width, blocks) in [(64, 3), (128, 4), (256, 6), (512, 3)] {
        for block in 0..blocks {
            if block == 0 {
                shapes.push(vec![1, 1, input, 4 * width]);
            }
            shapes.push(vec![1, 1, input, width]);
            shapes.push(vec![3, 3, width, width]);
            shapes.push(vec![1, 1, width, 4 * width]);
            input = 4 * width;
        }
    }
    let vectors = shapes.iter().map(|shape| vec![shape[3]]);
    let vectors: Vec<_> = vectors.clone().chain(vectors).collect();
    shapes.extend(vectors);
    let variable = |(i, shape): (usize, Vec<usize>)| NamedVariable {
        name: format!("variable{i}"),
        variable: Var::randn(0f32, 1.0, shape, &Device::Cpu).unwrap(),
    };
    shapes.into_iter().enumerate().map(variable).collect()
}

fn optimizers(criterion: &mut Criterion) {
    let variables = variables();
    let gradients: BTreeMap<String, Tensor> = variables
        .iter()
        .map(|named| {
            let gradient = named.variable.as_tensor().randn_like(0.0, 0.01).unwrap();
            (named.name.clone(), gradient)
        })
        .collect();
    let elements: usize = variables.iter().map(|v| v.variable.elem_count()).sum();
    let lars = LarsConfig::default().with_weight_decay(1e-4);
    let popular = lars.clone().with_momentum_form(MomentumForm::Popular);
    let mut group = criterion.benchmark_group("optimizer");
    group.sample_size(20);
    for (name, config, slots) in [
        ("lars", OptimizerConfig::Lars(lars), 1),
        ("lars_popular", OptimizerConfig::Lars(popular), 1),
        ("sgd", OptimizerConfig::Momentum(SgdConfig::default()), 1),
        ("adam", OptimizerConfig::Adam(AdamConfig::default()), 2),
    ] {
        let mut optimizer = config.build(variables.clone()).unwrap();
        optimizer.step(&gradients, 1e-6).unwrap();
        group.throughput(Throughput::Bytes((elements * 4 * (3 + 2 * slots)) as u64));
        group.bench_function(name, |b| {
            b.iter(|| optimizer.step(&gradients, 1e-6).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, optimizers);
criterion_main!(benches);
