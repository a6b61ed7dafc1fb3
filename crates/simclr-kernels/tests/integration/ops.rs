//! Every op against finite differences, and its fused form against its composite one.
#![allow(clippy::panic, clippy::unwrap_used)]

use crate::support::{check, compare_forms, flat, values};
use candle_core::{DType, Device, Tensor, Var};
use simclr_kernels::{
    Activation, Backend, BatchNormParameters, BatchStats, Conv2dConfig, DivisorRule, Padding,
    Result,
};
use simclr_testkit::formula_values;

/// Values that keep their distance from each other, so that no step of a finite
/// difference changes which one is the largest.
fn distinct(name: &str, shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    let noise = formula_values(name, count, 0.0, 1.0);
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|&a, &b| noise[a].total_cmp(&noise[b]));
    let mut ranks = vec![0.0f32; count];
    for (rank, &index) in order.iter().enumerate() {
        ranks[index] = rank as f32 * 0.05 - count as f32 * 0.025;
    }
    Tensor::from_vec(ranks, shape, &Device::Cpu).unwrap()
}

/// The output of `act(bn(x) + residual)` with the batch's statistics, for `[x, gamma, beta,
/// residual]` or without the residual.
fn normalise(backend: Backend, x: &[Tensor], activation: Activation) -> Result<Tensor> {
    let (y, _) = backend.batch_norm_training(&x[0], norm(&x[1], &x[2]), activation, x.get(3))?;
    Ok(y)
}

fn norm<'a>(gamma: &'a Tensor, beta: &'a Tensor) -> BatchNormParameters<'a> {
    BatchNormParameters {
        gamma,
        beta,
        epsilon: 1e-5,
    }
}

#[test]
fn convolutions() {
    let explicit = Padding::Explicit {
        top: 2,
        bottom: 0,
        left: 0,
        right: 3,
    };
    let cases = [
        ("1x1", (5, 4), (1, 1), (1, 1), Padding::Same),
        ("1x1 stride 2", (5, 4), (1, 1), (2, 2), Padding::fixed(1)),
        ("3x3", (5, 4), (3, 3), (1, 1), Padding::Same),
        ("3x3 valid", (5, 4), (3, 3), (1, 1), Padding::Valid),
        ("3x3 stride 2", (6, 5), (3, 3), (2, 2), Padding::fixed(3)),
        ("3x3 stride 2 same", (6, 5), (3, 3), (2, 2), Padding::Same),
        ("7x7 stem", (9, 8), (7, 7), (2, 2), Padding::fixed(7)),
        ("2x3 uneven", (5, 6), (2, 3), (2, 1), explicit),
        (
            "kernel larger than the map",
            (2, 2),
            (5, 5),
            (1, 1),
            Padding::Same,
        ),
    ];
    for (name, (h, w), (kh, kw), stride, padding) in cases {
        let inputs = [
            values("x", &[2, h, w, 3]),
            values("kernel", &[kh, kw, 3, 5]),
        ];
        check(name, &inputs, |backend, x| {
            backend.conv2d(&x[0], &x[1], Conv2dConfig { stride, padding })
        });
    }
}

/// Many blocks, channel counts that no vector length divides.
#[test]
fn larger_convolutions_agree_in_both_forms() {
    let cases = [
        ((3, 3), 1, 33, 37),
        ((1, 1), 2, 64, 70),
        ((3, 3), 2, 17, 40),
        ((7, 7), 2, 3, 64),
    ];
    for ((kh, kw), stride, inputs, outputs) in cases {
        let tensors = [
            values("x", &[3, 23, 21, inputs]),
            values("kernel", &[kh, kw, inputs, outputs]),
        ];
        let config = Conv2dConfig::original(kh, stride);
        compare_forms("conv2d", &tensors, |backend, x| {
            backend.conv2d(&x[0], &x[1], config)
        });
    }
}

#[test]
fn batch_norms() {
    let (x, gamma, beta) = (
        values("x", &[3, 4, 2, 5]),
        values("gamma", &[5]),
        values("beta", &[5]),
    );
    let residual = values("residual", &[3, 4, 2, 5]);
    let rows = values("rows", &[7, 5]);
    let with_residual = [x.clone(), gamma.clone(), beta.clone(), residual.clone()];
    let without = &with_residual[..3];
    let identity = Activation::Identity;
    let rows = [rows, gamma.clone(), beta.clone()];
    for (name, inputs) in [
        ("training", without),
        ("training, rows", &rows),
        ("training, residual", &with_residual),
    ] {
        check(name, inputs, |backend, x| normalise(backend, x, identity));
    }
    let stats = BatchStats {
        mean: values("mean", &[5]),
        variance: (values("variance", &[5]) + 1.5).unwrap(),
    };
    let infer = |backend: Backend, x: &[Tensor], activation| {
        backend.batch_norm_inference(&x[0], norm(&x[1], &x[2]), &stats, activation, x.get(3))
    };
    check("inference, residual", &with_residual, |backend, x| {
        infer(backend, x, identity)
    });
    // With ReLU a finite difference may step over the kink: both forms against each other.
    let relu = Activation::Relu;
    for inputs in [without, &with_residual] {
        compare_forms("training, ReLU", inputs, |backend, x| {
            normalise(backend, x, relu)
        });
    }
    compare_forms("inference, ReLU", without, |backend, x| {
        infer(backend, x, relu)
    });
}

#[test]
fn batch_norm_moments_are_the_biased_ones_and_survive_a_large_mean() {
    let x = (values("x", &[64, 8, 8, 6]).affine(2.0, 300.0)).unwrap();
    let (gamma, beta) = (values("gamma", &[6]), values("beta", &[6]));
    let identity = Activation::Identity;
    let (_, stats) =
        simclr_kernels::batch_norm_training(&x, norm(&gamma, &beta), identity, None).unwrap();
    let values = flat(&x);
    for c in 0..6 {
        let channel: Vec<f64> = values
            .iter()
            .skip(c)
            .step_by(6)
            .map(|&v| f64::from(v))
            .collect();
        let mean = channel.iter().sum::<f64>() / channel.len() as f64;
        let variance =
            channel.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / channel.len() as f64;
        assert!((f64::from(flat(&stats.mean)[c]) - mean).abs() < 1e-4);
        assert!((f64::from(flat(&stats.variance)[c]) / variance - 1.0).abs() < 1e-4);
    }
}

#[test]
fn pools() {
    let same = Padding::Same;
    for (name, size, window, stride, padding) in [
        ("stem, even", (6, 8), (3, 3), (2, 2), same),
        ("stem, odd", (7, 5), (3, 3), (2, 2), same),
        (
            "symmetric",
            (6, 6),
            (3, 3),
            (2, 2),
            Padding::Explicit {
                top: 1,
                bottom: 1,
                left: 1,
                right: 1,
            },
        ),
        ("2x2", (4, 4), (2, 2), (2, 2), Padding::Valid),
    ] {
        let x = [distinct("x", &[2, size.0, size.1, 3])];
        check(name, &x, |backend, x| {
            backend.max_pool2d(&x[0], window, stride, padding)
        });
    }
    let shortcut = Padding::Explicit {
        top: 0,
        bottom: 1,
        left: 0,
        right: 1,
    };
    for divisor in [DivisorRule::CountPadding, DivisorRule::ExcludePadding] {
        let x = [values("x", &[2, 5, 4, 3])];
        check("average", &x, |backend, x| {
            backend.average_pool2d(&x[0], (2, 2), (2, 2), shortcut, divisor)
        });
        check("average same", &x, |backend, x| {
            backend.average_pool2d(&x[0], (2, 2), (1, 1), same, divisor)
        });
    }
    check("global", &[values("x", &[3, 4, 5, 6])], |backend, x| {
        backend.global_average_pool(&x[0])
    });
}

#[test]
fn the_borders_of_averages_follow_the_recorded_facts() {
    let ones = Tensor::ones((1, 5, 5, 1), DType::F32, &Device::Cpu).unwrap();
    let shortcut = Padding::Explicit {
        top: 0,
        bottom: 1,
        left: 0,
        right: 1,
    };
    for backend in [Backend::Fused, Backend::Composite] {
        let counted = backend
            .average_pool2d(&ones, (2, 2), (2, 2), shortcut, DivisorRule::CountPadding)
            .unwrap();
        assert_eq!(
            flat(&counted),
            [1.0, 1.0, 0.5, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25]
        );
        let excluded = backend
            .average_pool2d(
                &ones,
                (2, 2),
                (1, 1),
                Padding::Same,
                DivisorRule::ExcludePadding,
            )
            .unwrap();
        assert_eq!(flat(&excluded), [1.0; 25]);
    }
}

#[test]
fn ties_give_the_gradient_to_the_first_maximum() {
    for backend in [Backend::Fused, Backend::Composite] {
        let x = Var::ones((1, 2, 2, 1), DType::F32, &Device::Cpu).unwrap();
        let y = backend
            .max_pool2d(x.as_tensor(), (2, 2), (2, 2), Padding::Valid)
            .unwrap();
        let store = y.sum_all().unwrap().backward().unwrap();
        assert_eq!(flat(store.get(&x).unwrap()), [1.0, 0.0, 0.0, 0.0]);
    }
}

#[test]
fn dense_layers() {
    let inputs = [
        values("x", &[6, 7]),
        values("kernel", &[7, 5]),
        values("bias", &[5]),
    ];
    check("dense", &inputs, |backend, x| {
        backend.dense(&x[0], &x[1], Some(&x[2]))
    });
    check("dense without bias", &inputs[..2], |backend, x| {
        backend.dense(&x[0], &x[1], None)
    });
}

#[test]
fn the_gradient_of_relu_at_zero_is_zero() {
    for backend in [Backend::Fused, Backend::Composite] {
        let x = Var::new(&[-1.0f32, 0.0, 2.0], &Device::Cpu).unwrap();
        let y = backend.relu(x.as_tensor()).unwrap();
        let store = y.sum_all().unwrap().backward().unwrap();
        assert_eq!(flat(&y), [0.0, 0.0, 2.0]);
        assert_eq!(flat(store.get(&x).unwrap()), [0.0, 0.0, 1.0]);
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let run = |threads: usize| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap()
            .install(|| {
                let x = Var::from_tensor(&values("x", &[4, 14, 14, 24])).unwrap();
                let kernel = Var::from_tensor(&values("kernel", &[3, 3, 24, 40])).unwrap();
                let (gamma, beta) = (values("gamma", &[40]), values("beta", &[40]));
                let maps = simclr_kernels::conv2d(&x, &kernel, Conv2dConfig::same()).unwrap();
                let (y, _) = simclr_kernels::batch_norm_training(
                    &maps,
                    norm(&gamma, &beta),
                    Activation::Relu,
                    None,
                )
                .unwrap();
                let store = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
                (
                    flat(&y),
                    flat(store.get(&x).unwrap()),
                    flat(store.get(&kernel).unwrap()),
                )
            })
    };
    assert!(run(1) == run(3));
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    let x = values("x", &[1, 4, 4, 3]);
    let message = |result: Result<Tensor>| result.unwrap_err().to_string();
    let kernel = values("kernel", &[3, 3, 4, 5]);
    let error = message(simclr_kernels::conv2d(&x, &kernel, Conv2dConfig::same()));
    assert!(
        error.contains("conv2d") && error.contains("[3, 3, 4, 5]"),
        "{error}"
    );
    let error = message(simclr_kernels::dense(
        &values("x", &[2, 3]),
        &values("k", &[4, 5]),
        None,
    ));
    assert!(
        error.contains("[3, out]") && error.contains("[4, 5]"),
        "{error}"
    );
    let double = x.to_dtype(DType::F64).unwrap();
    assert!(message(Backend::Fused.relu(&double)).contains("f32 on the CPU"));
    assert!(simclr_kernels::relu(&double).is_ok());
}

/// The largest value beside the smallest: outputs are inputs, bit for bit.
#[test]
fn maxima_are_inputs_bit_for_bit() {
    let numbers: Vec<f32> = (0..2 * 5 * 5 * 3)
        .map(|k| {
            let size = [1e-3, 1e4, 3.0, 1e-30, 7e20][k % 5];
            (1.0 + (k * 37 % 101) as f32 / 77.0) * if k % 3 == 0 { -size } else { size }
        })
        .collect();
    let x = Tensor::from_vec(numbers, (2, 5, 5, 3), &Device::Cpu).unwrap();
    let padding = Padding::Explicit {
        top: 1,
        bottom: 1,
        left: 0,
        right: 2,
    };
    for dtype in [DType::F32, DType::BF16, DType::F64] {
        let x = x.to_dtype(dtype).unwrap();
        let y = Backend::Composite
            .max_pool2d(&x, (3, 3), (2, 2), padding)
            .unwrap();
        assert_eq!(y.dtype(), dtype);
        let wide = x.to_dtype(DType::F32).unwrap();
        let expected = Backend::Fused
            .max_pool2d(&wide, (3, 3), (2, 2), padding)
            .unwrap();
        assert_eq!(flat(&y.to_dtype(DType::F32).unwrap()), flat(&expected));
        assert!(
            flat(&expected)
                .iter()
                .all(|value| flat(&wide).contains(value))
        );
    }
}

#[test]
fn pools_and_relu_propagate_nan() {
    let mut numbers = vec![1.0f32; 9];
    numbers[0] = f32::NAN;
    let x = Tensor::from_vec(numbers, (1, 3, 3, 1), &Device::Cpu).unwrap();
    for backend in [Backend::Fused, Backend::Composite] {
        let pooled = backend
            .max_pool2d(&x, (2, 2), (1, 1), Padding::Valid)
            .unwrap();
        let nan = |tensor: &Tensor| -> Vec<bool> {
            flat(tensor).iter().map(|value| value.is_nan()).collect()
        };
        assert_eq!(nan(&pooled), [true, false, false, false], "{backend:?}");
        assert!(nan(&backend.relu(&x).unwrap())[0], "{backend:?}");
    }
}

/// Where a window's maximum is not a number, that number gets the gradient, in both forms.
#[test]
fn the_gradient_of_a_maximum_that_is_not_a_number_reaches_it() {
    for place in 0..4 {
        let mut numbers = vec![0.0, 1.0, 2.0, 3.0f32];
        numbers[place] = f32::NAN;
        let x = Tensor::from_vec(numbers, (1, 2, 2, 1), &Device::Cpu).unwrap();
        let x = Var::from_tensor(&x).unwrap();
        for backend in [Backend::Fused, Backend::Composite] {
            let y = backend.max_pool2d(x.as_tensor(), (2, 2), (2, 2), Padding::Valid);
            let gradients = simclr_kernels::backward(&y.unwrap().sum_all().unwrap()).unwrap();
            let mut expected = vec![0.0; 4];
            expected[place] = 1.0;
            assert_eq!(flat(gradients.get(&x).unwrap()), expected, "{backend:?}");
        }
    }
}

#[test]
fn dense_layers_of_no_rows_inputs_or_outputs_agree_in_all_forms() {
    for (rows, inputs, outputs) in [(0, 3, 4), (2, 0, 4), (2, 3, 0)] {
        for backend in [Backend::Fused, Backend::Composite] {
            let of = |shape: (usize, usize)| Tensor::zeros(shape, DType::F32, &Device::Cpu);
            let (x, kernel) = (of((rows, inputs)).unwrap(), of((inputs, outputs)).unwrap());
            let bias = Tensor::ones(outputs, DType::F32, &Device::Cpu).unwrap();
            let y = backend.dense(&x, &kernel, Some(&bias)).unwrap();
            assert_eq!(y.dims(), [rows, outputs], "{backend:?}");
            assert!(flat(&y).iter().all(|&value| value == 1.0), "{backend:?}");
        }
    }
}

#[test]
fn sizes_beyond_all_maps_are_refused() {
    let x = values("x", &[1, 4, 4, 3]);
    let padding = |top| Padding::Explicit {
        top,
        bottom: 1,
        left: 0,
        right: 0,
    };
    for top in [usize::MAX, 1 << 40] {
        let config = Conv2dConfig {
            stride: (1, 1),
            padding: padding(top),
        };
        let error = Backend::Fused.conv2d(&x, &values("kernel", &[3, 3, 3, 2]), config);
        let message = error.unwrap_err().to_string();
        assert!(message.contains("16777216"), "{message}");
    }
    for padding in [Padding::Same, Padding::Valid] {
        let window = (usize::MAX, usize::MAX);
        assert!(
            Backend::Fused
                .max_pool2d(&x, window, (1, 1), padding)
                .is_err()
        );
    }
    let none = Tensor::zeros((1, 1, 3, 0), DType::F32, &Device::Cpu).unwrap();
    for backend in [Backend::Fused, Backend::Composite] {
        let message = backend.conv2d(&x, &none, Conv2dConfig::same());
        let message = message.unwrap_err().to_string();
        assert!(message.contains("[1, 1, 3, 0]"), "{message}");
    }
}

#[test]
fn half_types_have_statistics_in_single_precision() {
    // In bfloat16 itself the mean of so many pixels near 1 would be far off.
    let x = (values("x", &[8, 24, 24, 4]).affine(0.5, 1.0)).unwrap();
    let x = x.to_dtype(DType::BF16).unwrap();
    let wide = x.to_dtype(DType::F32).unwrap();
    let (gamma, beta) = (values("gamma", &[4]), values("beta", &[4]));
    let run = |x: &Tensor| {
        Backend::Composite
            .batch_norm_training(x, norm(&gamma, &beta), Activation::Relu, None)
            .unwrap()
    };
    let (half, single) = (run(&x), run(&wide));
    assert_eq!(half.0.dtype(), DType::BF16);
    assert_eq!(flat(&half.1.mean), flat(&single.1.mean));
    assert_eq!(flat(&half.1.variance), flat(&single.1.variance));
    let rounded = single.0.to_dtype(DType::BF16).unwrap();
    let as_single = |tensor: &Tensor| flat(&tensor.to_dtype(DType::F32).unwrap());
    assert_eq!(as_single(&half.0), as_single(&rounded));
    let average = Backend::Composite.global_average_pool(&x).unwrap();
    let expected = Backend::Composite.global_average_pool(&wide).unwrap();
    assert_eq!(
        as_single(&average),
        as_single(&expected.to_dtype(DType::BF16).unwrap())
    );
}

#[test]
fn types_without_a_fraction_are_refused_by_name() {
    let of = |dtype: DType, shape: &[usize]| Tensor::zeros(shape, dtype, &Device::Cpu).unwrap();
    let vectors = [of(DType::F32, &[3]), of(DType::F32, &[3])];
    let identity = Activation::Identity;
    for dtype in [DType::U8, DType::U32, DType::I64] {
        let x = of(dtype, &[1, 4, 4, 3]);
        let kernel = of(dtype, &[1, 1, 3, 2]);
        let [gamma, beta] = &vectors;
        let stats = BatchStats {
            mean: beta.clone(),
            variance: gamma.clone(),
        };
        for backend in [Backend::Auto, Backend::Fused, Backend::Composite] {
            let same = Padding::Same;
            let results = [
                backend.relu(&x),
                backend.conv2d(&x, &kernel, Conv2dConfig::same()),
                backend.max_pool2d(&x, (2, 2), (1, 1), same),
                backend.average_pool2d(&x, (2, 2), (1, 1), same, DivisorRule::CountPadding),
                backend.global_average_pool(&x),
                backend.dense(&of(dtype, &[2, 3]), &of(dtype, &[3, 4]), None),
                normalise(backend, &[x.clone(), gamma.clone(), beta.clone()], identity),
                backend.batch_norm_inference(&x, norm(gamma, beta), &stats, identity, None),
            ];
            for result in results {
                let error = result.unwrap_err().to_string();
                assert!(error.contains(dtype.as_str()), "{error}");
                assert!(error.contains("f32"), "{error}");
            }
        }
    }
}

#[test]
fn tensors_of_different_types_are_refused_by_name() {
    let x = values("x", &[1, 4, 4, 3]);
    let double = |name, shape: &[usize]| values(name, shape).to_dtype(DType::F64).unwrap();
    let errors = [
        simclr_kernels::conv2d(&x, &double("kernel", &[1, 1, 3, 2]), Conv2dConfig::same()),
        simclr_kernels::dense(&values("x", &[2, 3]), &double("kernel", &[3, 2]), None),
        normalise(
            Backend::Auto,
            &[x, double("gamma", &[3]), values("beta", &[3])],
            Activation::Identity,
        ),
    ];
    for error in errors.map(|result| result.unwrap_err().to_string()) {
        assert!(error.contains("f32") && error.contains("f64"), "{error}");
    }
}
