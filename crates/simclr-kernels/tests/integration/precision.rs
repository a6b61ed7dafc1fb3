//! Products of bfloat16 numbers.
#![allow(clippy::panic, clippy::unwrap_used)]

use crate::support::{self, FORMS, KERNELS, flat, options_of, run, values};
use candle_core::{Tensor, Var};
use simclr_kernels::{
    BFloat16Kernel, Backend, BatchNormParameters, Conv2dConfig, ConvolutionMethod, FeatureMap,
    KernelOptions, Precision, SimdLevel,
};
use simclr_testkit::Tolerance;

/// Two orders of magnitude above the rounding of the factors, which is 2⁻⁹ of each, divided
/// by the square root of the number of terms.
const ROUNDED: Tolerance = Tolerance::relative_l2(4e-3);

fn options(level: SimdLevel, kernel: BFloat16Kernel) -> KernelOptions {
    KernelOptions::default()
        .with_simd_level(level)
        .with_bfloat16_kernel(kernel)
        .with_precision(Precision::BFloat16)
}

/// All that multiplies bfloat16 numbers on this processor.
fn all_options() -> Vec<KernelOptions> {
    options_of(Precision::BFloat16)
}

fn name_of(options: KernelOptions) -> String {
    let (level, kernel) = (
        options.simd_level.unwrap(),
        options.bfloat16_kernel.unwrap(),
    );
    format!("{level}, {kernel}")
}

/// A tensor of numbers that bfloat16 has: 1/64 to 1, of either sign.
fn coarse(name: &str, shape: &[usize]) -> Tensor {
    let steps = (values(name, shape) * 64.0).unwrap().round().unwrap();
    (steps / 64.0).unwrap()
}

fn compare(name: &str, tolerance: Tolerance, results: &[Vec<f32>], references: &[Vec<f32>]) {
    for (index, (result, reference)) in results.iter().zip(references).enumerate() {
        let comparison = tolerance.compare(result, reference);
        assert!(comparison.passed, "{name}, result {index}: {comparison:?}");
    }
}

/// Size, stride, inputs, outputs; with partial panels, tiles and pairs of pixels.
const CONVOLUTIONS: [(usize, usize, usize, usize); 7] = [
    (1, 1, 36, 50),
    (1, 1, 300, 40),
    (1, 2, 16, 34),
    (3, 1, 24, 40),
    (3, 2, 40, 64),
    (3, 1, 150, 16),
    (3, 1, 64, 48),
];

#[test]
fn numbers_that_need_no_rounding_give_the_same_as_in_single_precision() {
    for options in all_options() {
        for (size, stride, inputs, outputs) in CONVOLUTIONS {
            let tensors = [
                coarse("x", &[3, 15, 13, inputs]),
                coarse("kernel", &[size, size, inputs, outputs]),
            ];
            let config = Conv2dConfig::original(size, stride);
            let dy = |shape: &[usize]| coarse("dy", shape);
            // Winograd's sums of numbers would need rounding.
            let direct = options.with_convolution_method(ConvolutionMethod::Direct);
            let results = direct.scope(|| {
                run(&tensors, dy, |x| {
                    Backend::Fused.conv2d(&x[0], &x[1], config)
                })
            });
            let references = run(&tensors, dy, |x| {
                Backend::Composite.conv2d(&x[0], &x[1], config)
            });
            let name = name_of(options);
            let name = format!("{name}: {size}x{size}/{stride} {inputs}-{outputs}");
            compare(&name, FORMS, &results, &references);
        }
    }
}

#[test]
fn others_are_rounded_to_eight_digits() {
    for options in all_options() {
        for (size, stride, inputs, outputs) in CONVOLUTIONS {
            let tensors = [
                values("x", &[3, 15, 13, inputs]),
                values("kernel", &[size, size, inputs, outputs]),
            ];
            let config = Conv2dConfig::original(size, stride);
            let dy = |shape: &[usize]| values("dy", shape);
            let at = |precision| {
                options.with_precision(precision).scope(|| {
                    run(&tensors, dy, |x| {
                        Backend::Fused.conv2d(&x[0], &x[1], config)
                    })
                })
            };
            let (rounded, exact) = (at(Precision::BFloat16), at(Precision::Single));
            let name = name_of(options);
            let name = format!("{name}: {size}x{size}/{stride} {inputs}-{outputs}");
            compare(&name, ROUNDED, &rounded, &exact);
            // The output, and the gradients of the input and of the kernel.
            for (result, exact) in rounded.iter().zip(&exact) {
                let same = Tolerance::relative_l2(1e-4).compare(result, exact);
                assert!(same.failed(), "{name}: not rounded, {same:?}");
            }
        }
    }
}

/// Two pixels are multiplied as one; the gradient of the image alone is computed in f32.
#[test]
fn images_whose_windows_are_two_pixels_apart() {
    let dy = |shape: &[usize]| coarse("dy", shape);
    for options in all_options() {
        for (size, inputs, outputs) in [(7, 3, 32), (3, 5, 16), (2, 1, 8), (4, 3, 6), (1, 2, 4)] {
            for (height, width) in [(15, 13), (12, 16)] {
                let config = Conv2dConfig::original(size, 2);
                let fused = |x: &[Tensor]| Backend::Fused.conv2d(&x[0], &x[1], config);
                let shapes = [[3, height, width, inputs], [size, size, inputs, outputs]];
                let name = format!(
                    "{}: {height}x{width}, {size}x{size} {inputs}-{outputs}",
                    name_of(options)
                );

                let tensors = shapes.map(|shape| coarse("x", &shape));
                let results = options.scope(|| run(&tensors, dy, fused));
                let references = run(&tensors, dy, |x| {
                    Backend::Composite.conv2d(&x[0], &x[1], config)
                });
                compare(&name, FORMS, &results, &references);

                let tensors = shapes.map(|shape| values("x", &shape));
                let [rounded, exact] = [Precision::BFloat16, Precision::Single].map(|precision| {
                    let options = options.with_precision(precision);
                    options.scope(|| run(&tensors, dy, fused))
                });
                compare(&name, ROUNDED, &rounded, &exact);
                for index in [0, 2] {
                    assert_ne!(rounded[index], exact[index], "{name}, result {index}");
                }
                assert_eq!(rounded[1], exact[1], "{name}");
            }
        }
    }
}

#[test]
fn maps_that_are_normalised_on_the_way_are_rounded_too() {
    for options in all_options() {
        for (size, middle, outputs) in [(3, 20, 34), (1, 64, 40)] {
            let tensors = [
                values("x", &[2, 9, 8, 16]),
                values("first", &[1, 1, 16, middle]),
                values("gamma", &[middle]),
                values("beta", &[middle]),
                values("second", &[size, size, middle, outputs]),
            ];
            let op = |x: &[Tensor]| {
                let norm = BatchNormParameters {
                    gamma: &x[2],
                    beta: &x[3],
                    epsilon: 1e-5,
                };
                let first = FeatureMap::new(&x[0], Backend::Fused)?
                    .conv2d_with_stats(&x[1], Conv2dConfig::same())?;
                let config = Conv2dConfig::original(size, 1);
                let (second, _) = first.batch_norm_relu_conv2d(norm, &x[4], config)?;
                second.tensor()
            };
            let dy = |shape: &[usize]| values("dy", shape);
            let at = |precision| {
                let options = options.with_precision(precision);
                options.scope(|| run(&tensors, dy, op))
            };
            let (rounded, exact) = (at(Precision::BFloat16), at(Precision::Single));
            // Rounding changes what the ReLU lets through, so gradients near zero change.
            let tolerance = Tolerance::relative_l2(2e-2);
            compare(
                &format!("{}: {size}x{size}", name_of(options)),
                tolerance,
                &rounded,
                &exact,
            );
        }
    }
}

#[test]
fn neighbouring_windows_of_images_odd_channels_and_dense_layers_stay_exact() {
    all_options()[0].scope(|| {
        for (size, inputs, outputs) in [(7, 3, 32), (3, 17, 8), (1, 32, 5)] {
            let tensors = [
                values("x", &[2, 12, 12, inputs]),
                values("kernel", &[size, size, inputs, outputs]),
            ];
            let config = Conv2dConfig::original(size, 1);
            support::compare_forms(&format!("{size}x{size}"), &tensors, |backend, x| {
                backend.conv2d(&x[0], &x[1], config)
            });
        }
        let tensors = [values("x", &[10, 64]), values("kernel", &[64, 32])];
        support::compare_forms("dense", &tensors, |backend, x| {
            backend.dense(&x[0], &x[1], None)
        });
    });
}

#[test]
fn what_the_processor_lacks_is_refused() {
    let suited = all_options();
    for level in SimdLevel::available() {
        for kernel in KERNELS {
            let options = options(level, kernel);
            let map =
                options.scope(|| FeatureMap::new(&values("x", &[1, 2, 2, 16]), Backend::Fused));
            assert_eq!(map.is_ok(), suited.contains(&options), "{level}, {kernel}");
            if let Err(error) = map {
                let error = error.to_string();
                for part in ["SIMCLR_BFLOAT16", "portable", &kernel.to_string()] {
                    assert!(error.contains(part), "{error}");
                }
            }
        }
        assert!(suited.contains(&options(level, BFloat16Kernel::Portable)));
    }
}

/// Two graphs with different options, walked after both were built and outside of any scope:
/// each backward pass uses what its forward pass used.
#[test]
fn two_graphs_keep_their_own_options() {
    let x = Var::from_tensor(&values("x", &[2, 9, 8, 32])).unwrap();
    let kernel = Var::from_tensor(&values("kernel", &[3, 3, 32, 32])).unwrap();
    let loss = |precision| {
        options(SimdLevel::Portable, BFloat16Kernel::Portable)
            .with_precision(precision)
            .scope(|| {
                let y = Backend::Fused
                    .conv2d(&x, &kernel, Conv2dConfig::same())
                    .unwrap();
                (&y * values("dy", y.dims())).unwrap().sum_all().unwrap()
            })
    };
    let (single, rounded) = (loss(Precision::Single), loss(Precision::BFloat16));
    let input_gradient = |loss: &Tensor| {
        let gradients = simclr_kernels::backward(loss).unwrap();
        flat(gradients.get(&x).unwrap())
    };
    let (exact, rounded) = (input_gradient(&single), input_gradient(&rounded));
    let alone = input_gradient(&loss(Precision::BFloat16));
    assert_eq!(rounded, alone);
    assert!(ROUNDED.compare(&rounded, &exact).passed);
    assert!(
        Tolerance::relative_l2(1e-4)
            .compare(&rounded, &exact)
            .failed()
    );
}

/// What is computed again in the backward pass has the options of the forward pass too, also
/// where it makes a map of its own.
#[test]
fn checkpoints_keep_their_options() {
    let x = Var::from_tensor(&values("x", &[2, 9, 8, 32])).unwrap();
    let kernel = values("kernel", &[3, 3, 32, 32]);
    let gradient = |checkpoint: bool| {
        let inside = |x: &FeatureMap, kernel: &Tensor| {
            let again = FeatureMap::new(&x.tensor()?, Backend::Fused)?;
            again.conv2d(kernel, Conv2dConfig::same())
        };
        let y = options(SimdLevel::Portable, BFloat16Kernel::Portable).scope(|| {
            let x = FeatureMap::new(&x, Backend::Fused).unwrap();
            if checkpoint {
                let y = inside(&x.detach(), &kernel).unwrap();
                let kernel = kernel.clone();
                y.checkpoint(&x, &[], move |x| inside(x, &kernel)).unwrap()
            } else {
                inside(&x, &kernel).unwrap()
            }
        });
        let y = y.into_tensor().unwrap();
        let loss = (&y * values("dy", y.dims())).unwrap().sum_all().unwrap();
        let gradients = simclr_kernels::backward(&loss).unwrap();
        flat(gradients.get(&x).unwrap())
    };
    assert_eq!(gradient(true), gradient(false));
}

#[test]
fn scopes_nest_and_end() {
    let outside = KernelOptions::current().unwrap();
    let direct = KernelOptions::default().with_convolution_method(ConvolutionMethod::Direct);
    direct.scope(|| {
        let portable = KernelOptions::default().with_simd_level(SimdLevel::Portable);
        let both = portable.scope(|| KernelOptions::current().unwrap());
        assert_eq!(both.convolution_method, Some(ConvolutionMethod::Direct));
        assert_eq!(both.simd_level, Some(SimdLevel::Portable));
        assert_eq!(SimdLevel::current().ok(), outside.simd_level);
    });
    assert_eq!(KernelOptions::current().unwrap(), outside);
}
