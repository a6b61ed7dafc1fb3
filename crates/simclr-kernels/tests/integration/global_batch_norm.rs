//! Batch norm over several ranks against batch norm of the whole batch on one.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use candle_core::{Device, Tensor, Var};
use simclr_collective::{Collective, SingleProcess, run_threads};
use simclr_kernels::{
    Activation, Backend, BatchNormParameters, Conv2dConfig, FeatureMap, backward, candle_core,
    with_global_batch_norm,
};
use simclr_testkit::{Tolerance, formula_values};

const IMAGES: usize = 6;
const CHANNELS: usize = 5;

fn tensor(name: &str, shape: &[usize], low: f64, high: f64) -> Tensor {
    let values = formula_values(name, shape.iter().product(), low, high);
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn variable(name: &str, shape: &[usize], low: f64, high: f64) -> Var {
    Var::from_tensor(&tensor(name, shape, low, high)).unwrap()
}

/// Results that a rank has for its images, and those that remain to be added up over ranks.
type Results = (Vec<Vec<f32>>, Vec<Vec<f32>>);

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The image of all three forms of a batch norm: after a convolution that takes its statistics,
/// before a convolution that normalises, and with a residual.
fn network(x: &FeatureMap, kernels: &[Var; 2], gamma: &Tensor, beta: &Tensor) -> FeatureMap {
    let norm = BatchNormParameters {
        gamma,
        beta,
        epsilon: 1e-5,
    };
    let same = Conv2dConfig::same();
    let y = x.conv2d_with_stats(&kernels[0], same).unwrap();
    let (y, _) = y.batch_norm_relu_conv2d(norm, &kernels[1], same).unwrap();
    let (y, _) = y
        .batch_norm_training(norm, Activation::Relu, Some(x))
        .unwrap();
    y
}

/// A rank's part of the images through the network, forward and backward.
fn rank(ranks: &Arc<dyn Collective>, backend: Backend, checkpointed: bool) -> Results {
    let images = IMAGES / ranks.size();
    let own = |tensor: Tensor| tensor.narrow(0, ranks.rank() * images, images).unwrap();
    let shape = [IMAGES, 4, 4, CHANNELS];
    // Far from zero, and different from image to image.
    let x = Var::from_tensor(&own(tensor("x", &shape, 3.0, 5.0))).unwrap();
    let weights = own(tensor("weights", &shape, -1.0, 1.0));
    let kernels =
        ["first", "second"].map(|name| variable(name, &[3, 3, CHANNELS, CHANNELS], -0.3, 0.3));
    let gamma = variable("gamma", &[CHANNELS], 0.5, 1.5);
    let beta = variable("beta", &[CHANNELS], -0.1, 0.1);
    let (y, stats) = with_global_batch_norm(Arc::clone(ranks), || {
        let map = FeatureMap::new(&x, backend).unwrap();
        let norm = BatchNormParameters {
            gamma: &gamma,
            beta: &beta,
            epsilon: 1e-5,
        };
        let (_, stats) = map
            .batch_norm_training(norm, Activation::Identity, None)
            .unwrap();
        if !checkpointed {
            return (network(&map, &kernels, &gamma, &beta), stats);
        }
        let [first, second] = kernels.clone();
        let variables = [first, second, gamma.clone(), beta.clone()];
        let detached = |variable: &Var| Var::from_tensor(variable).unwrap();
        let output = network(
            &map.detach(),
            &kernels.each_ref().map(detached),
            &gamma.detach(),
            &beta.detach(),
        );
        let [first, second, gamma, beta] = variables.clone();
        let again = move |x: &FeatureMap| -> simclr_kernels::Result<FeatureMap> {
            Ok(network(x, &[first.clone(), second.clone()], &gamma, &beta))
        };
        (
            output.detach().checkpoint(&map, &variables, again).unwrap(),
            stats,
        )
    });
    let y = y.into_tensor().unwrap();
    // Beyond the scope: what the forward pass was made with counts.
    let gradients = backward(&(&y * weights).unwrap().sum_all().unwrap()).unwrap();
    let gradient = |variable: &Var| flat(gradients.get(variable).unwrap());
    let [first, second] = &kernels;
    (
        vec![
            flat(&y),
            gradient(&x),
            flat(&stats.mean),
            flat(&stats.variance),
        ],
        [first, second, &gamma, &beta].map(gradient).to_vec(),
    )
}

/// The ranks' results put together: `y`, `dx`, statistics, and the sums of parameters' gradients.
fn over_ranks(size: usize, backend: Backend, checkpointed: bool) -> Vec<Vec<f32>> {
    let results = run_threads(size, |ranks| rank(&ranks, backend, checkpointed));
    let part = |i: usize| {
        results
            .iter()
            .flat_map(move |(own, _)| own[i].clone())
            .collect()
    };
    let mut all: Vec<Vec<f32>> = vec![part(0), part(1)];
    for (own, _) in &results {
        assert_eq!(
            own[2..],
            results[0].0[2..],
            "the statistics differ between ranks"
        );
    }
    all.extend(results[0].0[2..].to_vec());
    for i in 0..4 {
        let mut sum = results[0].1[i].clone();
        for (_, gradients) in &results[1..] {
            sum.iter_mut()
                .zip(&gradients[i])
                .for_each(|(sum, term)| *sum += term);
        }
        all.push(sum);
    }
    all
}

#[test]
fn ranks_together_are_one_batch() {
    let single: Arc<dyn Collective> = Arc::new(SingleProcess);
    for (backend, checkpointed) in [
        (Backend::Fused, false),
        (Backend::Fused, true),
        (Backend::Composite, false),
    ] {
        let (mut expected, summed) = rank(&single, backend, checkpointed);
        expected.extend(summed);
        for size in [2, 3] {
            let found = over_ranks(size, backend, checkpointed);
            assert_eq!(found.len(), expected.len());
            for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let comparison = Tolerance::relative_to_max(2e-6).compare(found, expected);
                assert!(
                    comparison.passed,
                    "{backend:?}, {size} ranks, {i}: {comparison:?}"
                );
            }
            assert_eq!(
                over_ranks(size, backend, checkpointed),
                found,
                "the bits differ"
            );
        }
    }
}

#[test]
fn without_the_scope_each_rank_has_statistics_of_its_own() {
    let means = run_threads(2, |ranks| {
        let x = Tensor::full(ranks.rank() as f32, (2, CHANNELS), &Device::Cpu).unwrap();
        let gamma = x.get(0).unwrap().ones_like().unwrap();
        let beta = gamma.zeros_like().unwrap();
        let norm = BatchNormParameters {
            gamma: &gamma,
            beta: &beta,
            epsilon: 1e-5,
        };
        let norm = || Backend::Fused.batch_norm_training(&x, norm, Activation::Identity, None);
        with_global_batch_norm(Arc::clone(&ranks), norm).unwrap();
        let (_, stats) = norm().unwrap();
        flat(&stats.mean)
    });
    assert_eq!(means, [[0.0; CHANNELS], [1.0; CHANNELS]]);
}

#[test]
fn a_rank_that_ends_the_others_is_named_by_the_op() {
    let errors = run_threads(2, |ranks| {
        if ranks.rank() == 1 {
            ranks.abort("out of memory");
            return None;
        }
        let x = tensor("x", &[2, CHANNELS], 0.0, 1.0);
        let (gamma, beta) = (x.get(0).unwrap(), x.get(1).unwrap());
        let norm = BatchNormParameters {
            gamma: &gamma,
            beta: &beta,
            epsilon: 1e-5,
        };
        let norm = || Backend::Fused.batch_norm_training(&x, norm, Activation::Identity, None);
        Some(with_global_batch_norm(ranks, norm).unwrap_err().to_string())
    });
    let expected = "rank 1 ended all ranks: out of memory";
    assert_eq!(errors, [Some(expected.to_owned()), None]);
}
