//! Convolutions with the batch norm before or after them, in one op.
#![allow(clippy::panic, clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::support::{self, compare_forms, flat, values};
use candle_core::{CpuStorage, CustomOp1, Layout, Result as CandleResult, Shape, Tensor, Var};
use simclr_kernels::{
    Activation, Backend, BatchNormParameters, BatchStats, Conv2dConfig, FeatureMap, Padding, Result,
};

const EPSILON: f64 = 1e-5;

/// Two convolutions with batch norm and ReLU between them.
fn two_convolutions(backend: Backend, x: &[Tensor], configs: [Conv2dConfig; 2]) -> Result<Tensor> {
    let norm = BatchNormParameters {
        gamma: &x[2],
        beta: &x[3],
        epsilon: EPSILON,
    };
    let first = FeatureMap::new(&x[0], backend)?.conv2d_with_stats(&x[1], configs[0])?;
    let (second, _) = first.batch_norm_relu_conv2d(norm, &x[4], configs[1])?;
    second.tensor()
}

#[test]
fn batch_norm_relu_and_convolution_in_one_op() {
    let cases = [
        ("3x3", (3, 1), (3, 1), 20, 33),
        ("3x3 stride 2", (1, 1), (3, 2), 17, 16),
        ("1x1", (3, 2), (1, 1), 64, 40),
        ("few channels", (1, 1), (3, 1), 5, 7),
    ];
    for (name, first, second, middle, outputs) in cases {
        let inputs = [
            values("x", &[2, 9, 8, 6]),
            values("first", &[first.0, first.0, 6, middle]),
            values("gamma", &[middle]),
            values("beta", &[middle]),
            values("second", &[second.0, second.0, middle, outputs]),
        ];
        let configs = [first, second].map(|(size, stride)| Conv2dConfig::original(size, stride));
        compare_forms(name, &inputs, |backend, x| {
            two_convolutions(backend, x, configs)
        });
    }
}

#[test]
fn moments_taken_on_the_way_are_those_of_the_output() {
    let (x, kernel) = (
        values("x", &[3, 31, 29, 4]),
        values("kernel", &[3, 3, 4, 37]),
    );
    let map = FeatureMap::new(&x, Backend::Fused).unwrap();
    let (gamma, beta) = (values("gamma", &[37]), values("beta", &[37]));
    let norm = BatchNormParameters {
        gamma: &gamma,
        beta: &beta,
        epsilon: EPSILON,
    };
    let moments = |map: FeatureMap| {
        let (_, moments) = map
            .batch_norm_training(norm, Activation::Identity, None)
            .unwrap();
        moments
    };
    let given = moments(
        map.conv2d_with_stats(&kernel, Conv2dConfig::same())
            .unwrap(),
    );
    let anew = moments(map.conv2d(&kernel, Conv2dConfig::same()).unwrap());
    for (given, anew) in [(&given.mean, &anew.mean), (&given.variance, &anew.variance)] {
        let comparison = support::FORMS.compare(&flat(given), &flat(anew));
        assert!(comparison.passed, "{comparison:?}");
    }
}

#[test]
fn inference_in_one_pass_is_convolution_then_batch_norm() {
    let x = values("x", &[2, 9, 7, 19]);
    for (size, stride, activation, with_residual) in [
        (3, 1, Activation::Relu, true),
        (3, 2, Activation::Relu, false),
        (1, 1, Activation::Identity, true),
    ] {
        let kernel = values("kernel", &[size, size, 19, 35]);
        let config = Conv2dConfig::original(size, stride);
        let plain = Backend::Fused.conv2d(&x, &kernel, config).unwrap();
        let residual = values("residual", plain.dims());
        let residual = with_residual.then_some(&residual);
        let (gamma, beta) = (values("gamma", &[35]), values("beta", &[35]));
        let norm = BatchNormParameters {
            gamma: &gamma,
            beta: &beta,
            epsilon: EPSILON,
        };
        let moving = BatchStats {
            mean: values("mean", &[35]),
            variance: (values("variance", &[35]) + 1.5).unwrap(),
        };
        let map = |x: &Tensor| FeatureMap::new(x, Backend::Fused).unwrap();
        let one = map(&x)
            .conv2d_batch_norm_inference(
                &kernel,
                config,
                norm,
                &moving,
                activation,
                residual.map(map).as_ref(),
            )
            .unwrap()
            .tensor()
            .unwrap();
        let two = Backend::Composite
            .batch_norm_inference(&plain, norm, &moving, activation, residual)
            .unwrap();
        let comparison = support::FORMS.compare(&flat(&one), &flat(&two));
        assert!(comparison.passed, "{size}x{size}/{stride}: {comparison:?}");
    }
}

#[test]
fn nothing_that_is_not_a_number_is_hidden_by_the_activation() {
    let x = values("x", &[1, 3, 3, 16]);
    let mut numbers = flat(&x);
    numbers[16 * 4] = f32::NAN;
    let x = Tensor::from_vec(numbers, (1, 3, 3, 16), x.device()).unwrap();
    let kernel = values("kernel", &[1, 1, 16, 8]);
    let ones = Tensor::ones(8, x.dtype(), x.device()).unwrap();
    let zeros = ones.zeros_like().unwrap();
    let norm = BatchNormParameters {
        gamma: &ones,
        beta: &zeros,
        epsilon: EPSILON,
    };
    let moving = BatchStats {
        mean: zeros.clone(),
        variance: ones.clone(),
    };
    let y = FeatureMap::new(&x, Backend::Fused)
        .and_then(|map| {
            let (config, relu) = (Conv2dConfig::same(), Activation::Relu);
            map.conv2d_batch_norm_inference(&kernel, config, norm, &moving, relu, None)
        })
        .and_then(|map| map.tensor())
        .unwrap();
    assert!(flat(&y)[8 * 4..8 * 5].iter().all(|value| value.is_nan()));
}

/// A map that several ops use gets the sum of their gradients, and may become a tensor
/// half-way without losing any.
#[test]
fn gradients_of_all_uses_add_up() {
    let inputs = [
        values("x", &[2, 5, 4, 16]),
        values("kernel", &[3, 3, 16, 16]),
    ];
    compare_forms("shared", &inputs, |backend, x| {
        let map = FeatureMap::new(&x[0], backend)?;
        let y = map.conv2d(&x[1], Conv2dConfig::same())?;
        let again = y.conv2d(&x[1], Conv2dConfig::same())?;
        let pooled = y.max_pool2d((2, 2), (1, 1), Padding::Same)?;
        Ok(((y.tensor()? + again.tensor()?)? * pooled.tensor()?)?)
    });
}

#[test]
fn a_detached_map_passes_no_gradient() {
    let x = candle_core::Var::from_tensor(&values("x", &[1, 4, 4, 16])).unwrap();
    let map = FeatureMap::new(x.as_tensor(), Backend::Fused).unwrap();
    assert!(map.is_tracked() && !map.detach().is_tracked());
    let y = (map.relu().unwrap().tensor().unwrap() + map.detach().tensor().unwrap()).unwrap();
    let gradients = y.sum_all().unwrap().backward().unwrap();
    let gradient = flat(gradients.get(&x).unwrap());
    let expected: Vec<f32> = flat(x.as_tensor())
        .iter()
        .map(|&value| if value > 0.0 { 1.0 } else { 0.0 })
        .collect();
    assert_eq!(gradient, expected);
}

#[test]
fn handed_over_gradients_are_candles_own() {
    let x = values("x", &[2, 6, 6, 16]);
    let kernel = Var::from_tensor(&values("kernel", &[3, 3, 16, 16])).unwrap();
    let config = Conv2dConfig::original(3, 1);
    // The kernel is used twice, and once more outside of the kernels' ops.
    let y = FeatureMap::new(&x, Backend::Fused).unwrap();
    let y = y.conv2d(kernel.as_tensor(), config).unwrap();
    let y = y.conv2d(kernel.as_tensor(), config).unwrap();
    let loss = y
        .global_average_pool()
        .unwrap()
        .sqr()
        .unwrap()
        .sum_all()
        .unwrap();
    let outside = kernel.as_tensor().sqr().unwrap().sum_all().unwrap();
    let loss = (loss + outside).unwrap();
    let candles = loss.backward().unwrap();
    let ours = simclr_kernels::backward(&loss).unwrap();
    let of = |gradients: &candle_core::backprop::GradStore| {
        flat(gradients.get(kernel.as_tensor()).unwrap())
    };
    let comparison = support::FORMS.compare(&of(&ours), &of(&candles));
    assert!(comparison.passed, "{comparison:?}");
}

#[test]
fn a_graph_is_walked_to_its_end_once() {
    let kernel = Var::from_tensor(&values("kernel", &[1, 1, 4, 4])).unwrap();
    let x = FeatureMap::new(&values("x", &[1, 2, 2, 4]), Backend::Fused).unwrap();
    let y = x
        .conv2d(kernel.as_tensor(), Conv2dConfig::original(1, 1))
        .unwrap();
    let loss = y.global_average_pool().unwrap().sum_all().unwrap();
    simclr_kernels::backward(&loss).unwrap();
    let again = simclr_kernels::backward(&loss).unwrap_err().to_string();
    assert!(again.contains("walked before"), "{again}");
}

/// An op whose backward pass panics.
struct Panics;

impl CustomOp1 for Panics {
    fn name(&self) -> &'static str {
        "panics"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> CandleResult<(CpuStorage, Shape)> {
        Ok((storage.clone(), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> CandleResult<Option<Tensor>> {
        panic!("no gradient")
    }
}

#[test]
fn a_pass_that_panicked_leaves_others_of_its_thread_alone() {
    let kernel = Var::from_tensor(&values("kernel", &[4, 3])).unwrap();
    let loss = || {
        let y = Backend::Fused.dense(&values("x", &[2, 4]), &kernel, None);
        y.unwrap().sum_all().unwrap()
    };
    let panics = kernel.apply_op1(Panics).unwrap().sum_all().unwrap();
    let pass = AssertUnwindSafe(|| simclr_kernels::backward(&panics));
    assert!(catch_unwind(pass).is_err());
    assert!(loss().backward().unwrap().get(&kernel).is_some());
}

/// `relu(bn(a * x) + b * x)`: two parts of x's gradient, and the second adds itself to the first.
#[test]
fn gradients_of_a_map_that_is_read_twice_add_up() {
    for (name, size, stride, inputs, outputs) in [
        ("Winograd", 3, 1, 32, 32),
        ("direct", 3, 1, 20, 33),
        ("stride 2", 3, 2, 16, 35),
        ("pointwise", 1, 1, 64, 40),
    ] {
        let config = Conv2dConfig::original(size, stride);
        let inputs = [
            values("x", &[2, 8, 9, inputs]),
            values("first", &[size, size, inputs, outputs]),
            values("gamma", &[outputs]),
            values("beta", &[outputs]),
            values("second", &[size, size, inputs, outputs]),
        ];
        compare_forms(name, &inputs, |backend, x| {
            let norm = BatchNormParameters {
                gamma: &x[2],
                beta: &x[3],
                epsilon: EPSILON,
            };
            let map = FeatureMap::new(&x[0], backend)?;
            let residual = map.conv2d(&x[4], config)?;
            let y = map.conv2d_with_stats(&x[1], config)?;
            let (y, _) = y.batch_norm_training(norm, Activation::Relu, Some(&residual))?;
            y.tensor()
        });
    }
}

/// A convolution, then `relu(bn(..))`, whose inside may be computed again; the gradients of
/// what is left of the section and of what is in it.
fn section(x: &Var, kernels: &[Var; 2], again: bool) -> (Vec<f32>, Vec<Vec<f32>>) {
    let config = Conv2dConfig::original(3, 1);
    let inside = move |x: &FeatureMap, kernel: &Tensor| x.conv2d(kernel, config)?.relu();
    let first = FeatureMap::new(x.as_tensor(), Backend::Fused)
        .unwrap()
        .conv2d(kernels[0].as_tensor(), config)
        .unwrap();
    let second = if again {
        let kernel = kernels[1].clone();
        let y = inside(&first.detach(), &kernel.as_detached_tensor()).unwrap();
        y.checkpoint(&first, &kernels[1..], move |x| {
            inside(x, kernel.as_tensor())
        })
        .unwrap()
    } else {
        inside(&first, kernels[1].as_tensor()).unwrap()
    };
    let y = second.tensor().unwrap();
    let weights = values("weights", y.dims());
    let loss = (&y * &weights).unwrap().sum_all().unwrap();
    let gradients = simclr_kernels::backward(&loss).unwrap();
    let variables = [x, &kernels[0], &kernels[1]];
    let found = variables.map(|variable| flat(gradients.get(variable).unwrap()));
    (flat(&y), found.into())
}

#[test]
fn a_section_that_is_computed_again_has_the_same_gradients() {
    let variable = |name, shape: &[usize]| Var::from_tensor(&values(name, shape)).unwrap();
    let x = variable("x", &[2, 9, 8, 6]);
    let kernels = [
        variable("first", &[3, 3, 6, 20]),
        variable("second", &[3, 3, 20, 9]),
    ];
    assert_eq!(section(&x, &kernels, true), section(&x, &kernels, false));
}

#[test]
fn candles_own_backward_refuses_sections() {
    let x = values("x", &[1, 4, 4, 2]);
    let kernel = Var::from_tensor(&values("kernel", &[1, 1, 2, 3])).unwrap();
    let map = FeatureMap::new(&x, Backend::Fused).unwrap();
    let inside = |x: &FeatureMap, kernel: &Tensor| x.conv2d(kernel, Conv2dConfig::original(1, 1));
    let y = inside(&map, &kernel.as_detached_tensor()).unwrap();
    let variables = [kernel.clone()];
    let y = y
        .checkpoint(&map, &variables, move |x| inside(x, kernel.as_tensor()))
        .unwrap();
    let loss = y.tensor().unwrap().sum_all().unwrap();
    let error = loss.backward().unwrap_err().to_string();
    assert!(error.contains("simclr_kernels::backward"), "{error}");
}

#[test]
fn sections_are_made_of_fused_maps() {
    let x = values("x", &[1, 4, 4, 2]);
    let map = |backend| FeatureMap::new(&x, backend).unwrap();
    let result = map(Backend::Composite).checkpoint(&map(Backend::Fused), &[], |x| x.relu());
    assert!(result.unwrap_err().to_string().contains("fused form"));
}
