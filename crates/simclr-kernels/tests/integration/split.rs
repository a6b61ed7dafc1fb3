//! Products of f32 numbers that are sums of bfloat16 numbers.
#![allow(clippy::panic, clippy::unwrap_used)]

use crate::support::{flat, options_of, run, values};
use candle_core::Tensor;
use rayon::ThreadPoolBuilder;
use simclr_kernels::{
    BFloat16Kernel, Backend, BatchNormParameters, Conv2dConfig, ConvolutionMethod, FeatureMap,
    KernelOptions, Precision, SimdLevel,
};
use simclr_testkit::Tolerance;

/// Each precision and how far its results may be from those of single precision. With two numbers a
/// factor is off by 2⁻¹⁸ of itself at most and a product lacks as much again; with three numbers only
/// the order of the sums differs.
const SPLIT: [(Precision, Tolerance); 2] = [
    (Precision::BFloat16x3, Tolerance::relative_l2(1e-5)),
    (Precision::BFloat16x6, Tolerance::relative_l2(1e-6)),
];

/// Size, stride, inputs, outputs; with partial blocks of rows and steps of several taps.
const CONVOLUTIONS: [(usize, usize, usize, usize); 6] = [
    (1, 1, 64, 32),
    (1, 1, 320, 96),
    (1, 2, 32, 64),
    (3, 1, 64, 64),
    (3, 2, 96, 32),
    (3, 2, 160, 64),
];

/// The direct sums, so that all convolutions are computed in tiles.
fn direct(precision: Precision) -> impl Iterator<Item = KernelOptions> {
    let options = options_of(precision).into_iter();
    options.map(|options| options.with_convolution_method(ConvolutionMethod::Direct))
}

/// Numbers that bfloat16 has.
fn coarse(name: &str, shape: &[usize]) -> Tensor {
    let steps = (values(name, shape) * 64.0).unwrap().round().unwrap();
    (steps / 64.0).unwrap()
}

/// The output, and the gradients of the input and of the kernel.
fn results(
    options: KernelOptions,
    numbers: impl Fn(&str, &[usize]) -> Tensor,
    (size, stride, inputs, outputs): (usize, usize, usize, usize),
) -> Vec<Vec<f32>> {
    let tensors = [
        numbers("x", &[3, 15, 13, inputs]),
        numbers("kernel", &[size, size, inputs, outputs]),
    ];
    let config = Conv2dConfig::original(size, stride);
    let conv = |x: &[Tensor]| Backend::Fused.conv2d(&x[0], &x[1], config);
    options.scope(|| run(&tensors, |shape| numbers("dy", shape), conv))
}

fn check(name: &str, tolerance: Tolerance, results: &[Vec<f32>], references: &[Vec<f32>]) {
    for (index, (result, reference)) in results.iter().zip(references).enumerate() {
        let comparison = tolerance.compare(result, reference);
        let name = format!("{name}, result {index}");
        assert!(comparison.passed, "{name}: {comparison:?}");
        assert_ne!(result, reference, "{name}: not split");
    }
}

#[test]
fn products_keep_as_many_digits_as_promised() {
    for (precision, tolerance) in SPLIT {
        for options in direct(precision) {
            for convolution in CONVOLUTIONS {
                let at = |precision| {
                    let options = options.with_precision(precision);
                    results(options, values, convolution)
                };
                let name = format!("{options:?}, {convolution:?}");
                check(&name, tolerance, &at(precision), &at(Precision::Single));
            }
        }
    }
}

/// Their other parts are zero, and their products are exact.
#[test]
fn numbers_of_bfloat16_give_what_bfloat16_precision_gives() {
    for (precision, _) in SPLIT {
        for options in direct(precision) {
            let at = |precision| {
                let options = options.with_precision(precision);
                results(options, coarse, (3, 2, 96, 32))
            };
            assert_eq!(at(precision), at(Precision::BFloat16), "{options:?}");
        }
    }
}

#[test]
fn winograds_form_and_other_channels_stay_in_single_precision() {
    for (precision, _) in SPLIT {
        for options in options_of(precision) {
            for convolution in [
                (3, 1, 64, 64),
                (7, 2, 3, 64),
                (1, 1, 48, 64),
                (3, 2, 64, 40),
            ] {
                let at = |precision| {
                    let options = options.with_precision(precision);
                    results(options, values, convolution)
                };
                let name = format!("{options:?}, {convolution:?}");
                assert_eq!(at(precision), at(Precision::Single), "{name}");
            }
        }
    }
}

#[test]
fn what_is_normalised_on_the_way_is_split_as_a_map_is() {
    let op = |x: &[Tensor]| {
        let norm = BatchNormParameters {
            gamma: &x[2],
            beta: &x[3],
            epsilon: 1e-5,
        };
        let map = FeatureMap::new(&x[0], Backend::Fused)?;
        let config = Conv2dConfig::original(x[1].dims()[0], 1);
        let (map, _) = map.batch_norm_relu_conv2d(norm, &x[1], config)?;
        map.into_tensor()
    };
    for (precision, tolerance) in SPLIT {
        for options in direct(precision) {
            for size in [1, 3] {
                let tensors = [
                    values("x", &[3, 9, 7, 64]),
                    values("kernel", &[size, size, 64, 32]),
                    values("gamma", &[64]),
                    values("beta", &[64]),
                ];
                let at = |precision| {
                    let options = options.with_precision(precision);
                    options.scope(|| run(&tensors, |shape| values("dy", shape), op))
                };
                let name = format!("{options:?}, {size}x{size}");
                check(&name, tolerance, &at(precision), &at(Precision::Single));
            }
        }
    }
}

#[test]
fn threads_change_no_bit() {
    for options in SPLIT
        .into_iter()
        .flat_map(|(precision, _)| direct(precision))
    {
        let at = |threads| {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build();
            let all = || CONVOLUTIONS.map(|sizes| results(options, values, sizes));
            pool.unwrap().install(all)
        };
        assert_eq!(at(1), at(3), "{options:?}");
    }
}

#[test]
fn tiles_alone_multiply_split_numbers() {
    for (precision, _) in SPLIT {
        let options = KernelOptions::default().with_precision(precision);
        let in_registers = options.with_bfloat16_kernel(BFloat16Kernel::Avx512Bf16);
        let message = in_registers.validate().unwrap_err().to_string();
        assert!(
            message.contains("portable") && message.contains("tiles"),
            "{message}"
        );
        for level in SimdLevel::available() {
            options.with_simd_level(level).validate().unwrap();
        }
        let kernel = options.scope(BFloat16Kernel::current).unwrap();
        assert_ne!(kernel, BFloat16Kernel::Avx512Bf16);
    }
}

#[test]
fn the_composite_form_is_computed_in_single_precision() {
    let (x, kernel) = (
        values("x", &[1, 4, 4, 32]),
        values("kernel", &[1, 1, 32, 32]),
    );
    let at = |precision| {
        let options = KernelOptions::default().with_precision(precision);
        let conv = || Backend::Composite.conv2d(&x, &kernel, Conv2dConfig::same());
        flat(&options.scope(conv).unwrap())
    };
    for (precision, _) in SPLIT {
        assert_eq!(at(precision), at(Precision::Single));
    }
}
