//! Feature maps in bfloat16.
#![allow(clippy::panic, clippy::unwrap_used)]

use crate::support::{self, flat, options_of, values};
use candle_core::{DType, Tensor};
use rayon::ThreadPoolBuilder;
use simclr_kernels::{
    Activation, BFloat16Kernel, Backend, BatchNormParameters, BatchStats, Conv2dConfig,
    ConvolutionMethod, DivisorRule, FeatureMap, KernelOptions, Padding, Precision, Result,
};
use simclr_testkit::Tolerance;

const EPSILON: f64 = 1e-5;

/// What rounding to eight digits changes, 2⁻⁹ of a number at most, a few times over.
const ROUNDED: Tolerance = Tolerance::relative_l2(6e-3);

/// Where a ReLU or a maximum chooses whose gradient passes: each of three roundings by 2⁻⁹ takes about
/// one number in 500 to the other side, whose whole gradient then differs, and the root of 3/500 is
/// 0.077.
const GATED: Tolerance = Tolerance::relative_l2(8e-2);

fn all_options() -> Vec<KernelOptions> {
    options_of(Precision::Mixed)
}

/// The output and the gradients of all inputs.
fn results(inputs: &[Tensor], op: impl Fn(&[Tensor]) -> Result<Tensor>) -> Vec<Vec<f32>> {
    support::run(inputs, |shape| values("dy", shape), op)
}

/// Mixed precision against single precision, with everything that this processor has.
fn compare_with_single(
    name: &str,
    tolerance: Tolerance,
    inputs: &[Tensor],
    op: impl Fn(&[Tensor]) -> Result<Tensor>,
) {
    for options in all_options() {
        let mixed = options.scope(|| results(inputs, &op));
        let single = options.with_precision(Precision::Single);
        let single = single.scope(|| results(inputs, &op));
        for (index, (mixed, single)) in mixed.iter().zip(&single).enumerate() {
            let comparison = tolerance.compare(mixed, single);
            let name = format!("{name}, {options:?}, result {index}");
            assert!(comparison.passed, "{name}: {comparison:?}");
        }
    }
}

/// The nearest bfloat16 numbers, by candle.
fn rounded(numbers: &[f32]) -> Vec<f32> {
    let tensor = Tensor::new(numbers, &candle_core::Device::Cpu).unwrap();
    let rounded = tensor.to_dtype(DType::BF16).unwrap();
    rounded.to_dtype(DType::F32).unwrap().to_vec1().unwrap()
}

fn norm<'a>(gamma: &'a Tensor, beta: &'a Tensor) -> BatchNormParameters<'a> {
    BatchNormParameters {
        gamma,
        beta,
        epsilon: EPSILON,
    }
}

/// Size, stride, inputs, outputs: direct and in Winograd's form, with partial panels and tiles.
const CONVOLUTIONS: [(usize, usize, usize, usize); 8] = [
    (7, 2, 3, 32),
    (1, 1, 36, 50),
    (1, 1, 300, 40),
    (1, 2, 16, 34),
    (3, 1, 24, 40),
    (3, 2, 40, 64),
    (3, 1, 64, 64),
    (3, 1, 64, 96),
];

#[test]
fn results_of_convolutions_are_rounded_once() {
    for options in all_options() {
        for method in [ConvolutionMethod::Direct, ConvolutionMethod::Fastest] {
            let options = options.with_convolution_method(method);
            for (size, stride, inputs, outputs) in CONVOLUTIONS {
                let x = values("x", &[3, 17, 16, inputs]);
                let kernel = values("kernel", &[size, size, inputs, outputs]);
                let config = Conv2dConfig::original(size, stride);
                let at = |precision| {
                    let options = options.with_precision(precision);
                    options.scope(|| flat(&Backend::Fused.conv2d(&x, &kernel, config).unwrap()))
                };
                let name = format!("{options:?}: {size}x{size}/{stride} {inputs}-{outputs}");
                let expected = rounded(&at(Precision::BFloat16));
                assert_eq!(at(Precision::Mixed), expected, "{name}");
            }
        }
    }
}

#[test]
fn odd_channels_and_dense_layers_stay_exact() {
    for options in all_options() {
        let single = options.with_precision(Precision::Single);
        let inputs = [
            values("x", &[2, 9, 8, 16]),
            values("kernel", &[3, 3, 16, 7]),
        ];
        let convolution = |x: &[Tensor]| Backend::Fused.conv2d(&x[0], &x[1], Conv2dConfig::same());
        let mixed = options.scope(|| results(&inputs, convolution));
        assert_eq!(mixed, single.scope(|| results(&inputs, convolution)));
        let inputs = [
            values("x", &[10, 64]),
            values("kernel", &[64, 32]),
            values("bias", &[32]),
        ];
        let dense = |x: &[Tensor]| Backend::Fused.dense(&x[0], &x[1], Some(&x[2]));
        let mixed = options.scope(|| results(&inputs, dense));
        assert_eq!(mixed, single.scope(|| results(&inputs, dense)));
    }
}

#[test]
fn two_convolutions_with_batch_norm_between_them() {
    for (size, stride, middle, outputs) in
        [(1, 1, 64, 50), (3, 1, 64, 64), (3, 2, 40, 34), (3, 1, 6, 8)]
    {
        let inputs = [
            values("x", &[3, 16, 15, 16]),
            values("first", &[1, 1, 16, middle]),
            values("gamma", &[middle]),
            values("beta", &[middle]),
            values("second", &[size, size, middle, outputs]),
        ];
        let name = format!("{size}x{size}/{stride} {middle}-{outputs}");
        compare_with_single(&name, GATED, &inputs, |x| {
            let map = FeatureMap::new(&x[0], Backend::Fused)?;
            let first = map.conv2d_with_stats(&x[1], Conv2dConfig::same())?;
            let config = Conv2dConfig::original(size, stride);
            let norm = norm(&x[2], &x[3]);
            first
                .batch_norm_relu_conv2d(norm, &x[4], config)?
                .0
                .tensor()
        });
    }
}

/// A block whose input is used twice, so that two parts of its gradient are added up.
fn residual_block(backend: Backend, x: &[Tensor], activation: Activation) -> Result<Tensor> {
    let map = FeatureMap::new(&x[0], backend)?;
    let map = map.conv2d_with_stats(&x[1], Conv2dConfig::same())?;
    let inner = map.conv2d_with_stats(&x[2], Conv2dConfig::same())?;
    let norm = norm(&x[3], &x[4]);
    let (y, _) = inner.batch_norm_training(norm, activation, Some(&map))?;
    y.tensor()
}

#[test]
fn batch_norm_with_a_residual() {
    for (channels, activation, tolerance) in [
        (48, Activation::Relu, GATED),
        (64, Activation::Identity, ROUNDED),
    ] {
        let inputs = [
            values("x", &[2, 12, 11, 16]),
            values("first", &[1, 1, 16, channels]),
            values("second", &[3, 3, channels, channels]),
            values("gamma", &[channels]),
            values("beta", &[channels]),
        ];
        let name = format!("{channels} channels, {activation:?}");
        compare_with_single(&name, tolerance, &inputs, |x| {
            residual_block(Backend::Fused, x, activation)
        });
    }
}

/// What is computed on a GPU: the composite form, here beside the fused one without Winograd's sums,
/// whose factors are others.
#[test]
fn the_composite_form_rounds_the_same_numbers() {
    let mixed = KernelOptions::default()
        .with_convolution_method(ConvolutionMethod::Direct)
        .with_bfloat16_kernel(BFloat16Kernel::Portable)
        .with_precision(Precision::Mixed);
    // One number in some hundred lies so near to the middle of two that another order of the sum
    // takes it to the other one, 2⁻⁸ away.
    let outputs = Tolerance::relative_l2(1e-3);
    let compare = |name: &str,
                   gradients: Tolerance,
                   inputs: &[Tensor],
                   op: &dyn Fn(Backend, &[Tensor]) -> Result<Tensor>| {
        let of = |backend| mixed.scope(|| results(inputs, |x| op(backend, x)));
        let (fused, composite) = (of(Backend::Fused), of(Backend::Composite));
        for (index, (fused, composite)) in fused.iter().zip(&composite).enumerate() {
            let tolerance = if index == 0 { outputs } else { gradients };
            let comparison = tolerance.compare(composite, fused);
            assert!(comparison.passed, "{name}, result {index}: {comparison:?}");
        }
    };
    for (size, stride, inputs, outputs) in
        [(7, 2, 3, 32), (1, 2, 16, 34), (3, 1, 24, 40), (3, 1, 16, 7)]
    {
        let name = format!("{size}x{size}/{stride} {inputs}-{outputs}");
        let inputs = [
            values("x", &[3, 17, 16, inputs]),
            values("kernel", &[size, size, inputs, outputs]),
        ];
        compare(&name, ROUNDED, &inputs, &|backend, x| {
            backend.conv2d(&x[0], &x[1], Conv2dConfig::original(size, stride))
        });
        let single = mixed.with_precision(Precision::Single);
        let at = |options: KernelOptions| {
            let config = Conv2dConfig::original(size, stride);
            options.scope(|| {
                flat(
                    &Backend::Composite
                        .conv2d(&inputs[0], &inputs[1], config)
                        .unwrap(),
                )
            })
        };
        let is_rounded = outputs % 2 == 0;
        assert_eq!(at(mixed) == rounded(&at(mixed)), is_rounded, "{name}");
        assert_eq!(at(mixed) != at(single), is_rounded, "{name}");
    }
    let inputs = [
        values("x", &[2, 12, 11, 16]),
        values("first", &[1, 1, 16, 48]),
        values("second", &[3, 3, 48, 48]),
        values("gamma", &[48]),
        values("beta", &[48]),
    ];
    compare("block", GATED, &inputs, &|backend, x| {
        residual_block(backend, x, Activation::Relu)
    });
    let pooled = |backend, x: &[Tensor]| {
        let map = FeatureMap::new(&x[0], backend)?.conv2d(&x[1], Conv2dConfig::same())?;
        let map = map.max_pool2d((3, 3), (2, 2), Padding::Same)?;
        assert_eq!(map.tensor()?.dtype(), DType::F32);
        map.global_average_pool()
    };
    compare("pooling", GATED, &inputs[..2], &pooled);
}

#[test]
fn pooling_and_relu() {
    let inputs = [
        values("x", &[2, 13, 12, 16]),
        values("kernel", &[1, 1, 16, 22]),
    ];
    type Op = fn(&FeatureMap) -> Result<Tensor>;
    let ops: [(&str, Op); 4] = [
        ("max", |map| {
            map.max_pool2d((3, 3), (2, 2), Padding::Same)?.tensor()
        }),
        ("average", |map| {
            let divisor = DivisorRule::ExcludePadding;
            map.average_pool2d((3, 3), (2, 2), Padding::Same, divisor)?
                .tensor()
        }),
        ("global", |map| map.global_average_pool()),
        ("relu", |map| map.relu()?.tensor()),
    ];
    for (name, op) in ops {
        compare_with_single(name, GATED, &inputs, |x| {
            let map = FeatureMap::new(&x[0], Backend::Fused)?;
            op(&map.conv2d(&x[1], Conv2dConfig::same())?)
        });
        for options in all_options() {
            let convolved = || {
                let map = FeatureMap::new(&inputs[0], Backend::Fused).unwrap();
                map.conv2d(&inputs[1], Conv2dConfig::same()).unwrap()
            };
            let (map, mixed) = options.scope(|| {
                let map = convolved();
                (map.tensor().unwrap(), flat(&op(&map).unwrap()))
            });
            let single = options.with_precision(Precision::Single);
            let exact = single.scope(|| op(&FeatureMap::new(&map, Backend::Fused)?));
            let exact = flat(&exact.unwrap());
            // Means over whole maps are no map.
            let expected = if name == "global" {
                exact
            } else {
                rounded(&exact)
            };
            assert_eq!(mixed, expected, "{name}, {options:?}");
        }
    }
}

#[test]
fn inference_in_one_pass() {
    for (size, channels) in [(1, 50), (3, 64)] {
        let x = values("x", &[2, 12, 11, 16]);
        let first = values("first", &[1, 1, 16, channels]);
        let second = values("second", &[size, size, channels, channels]);
        let (gamma, beta) = (values("gamma", &[channels]), values("beta", &[channels]));
        let moving = BatchStats {
            mean: values("mean", &[channels]),
            variance: (values("variance", &[channels]) + 2.0).unwrap(),
        };
        let infer = || {
            let same = Conv2dConfig::same();
            let map = FeatureMap::new(&x, Backend::Fused).unwrap();
            let map = map.conv2d(&first, same).unwrap();
            let norm = norm(&gamma, &beta);
            let relu = Activation::Relu;
            map.conv2d_batch_norm_inference(&second, same, norm, &moving, relu, Some(&map))
                .unwrap()
                .tensor()
                .unwrap()
        };
        for options in all_options() {
            let mixed = flat(&options.scope(infer));
            let single = options.with_precision(Precision::Single);
            let comparison = ROUNDED.compare(&mixed, &flat(&single.scope(infer)));
            assert!(comparison.passed, "{options:?}, {size}: {comparison:?}");
            assert_eq!(mixed, rounded(&mixed), "{options:?}");
        }
    }
}

#[test]
fn threads_change_no_bit() {
    let inputs = [
        values("x", &[3, 23, 21, 16]),
        values("first", &[1, 1, 16, 64]),
        values("second", &[3, 3, 64, 64]),
        values("gamma", &[64]),
        values("beta", &[64]),
    ];
    for options in all_options() {
        let with = |threads| {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build();
            let op = |x: &[Tensor]| residual_block(Backend::Fused, x, Activation::Relu);
            pool.unwrap()
                .install(|| options.scope(|| results(&inputs, op)))
        };
        assert_eq!(with(1), with(3), "{options:?}");
    }
}

#[test]
fn a_checkpoint_changes_no_bit() {
    let x = values("x", &[2, 12, 11, 16]);
    let first = values("first", &[1, 1, 16, 64]);
    let second = values("second", &[3, 3, 64, 64]);
    for options in all_options() {
        let gradients = |checkpoint: bool| {
            options.scope(|| {
                results(&[x.clone(), first.clone()], |x| {
                    let same = Conv2dConfig::same();
                    let map = FeatureMap::new(&x[0], Backend::Fused)?.conv2d(&x[1], same)?;
                    if !checkpoint {
                        return map.conv2d(&second, same)?.tensor();
                    }
                    let kernel = second.clone();
                    let y = map.detach().conv2d(&second, same)?;
                    y.checkpoint(&map, &[], move |map| map.conv2d(&kernel, same))?
                        .tensor()
                })
            })
        };
        assert_eq!(gradients(true), gradients(false), "{options:?}");
    }
}
