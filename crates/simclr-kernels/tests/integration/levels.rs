//! Every instruction set that this processor has gives the same results.
#![allow(clippy::panic, clippy::unwrap_used)]

use crate::support::{FORMS, compare_forms, flat, values};
use simclr_kernels::{
    Activation, Backend, BatchNormParameters, BatchStats, Conv2dConfig, DivisorRule, FeatureMap,
    KernelOptions, Padding, SimdLevel,
};

#[test]
fn every_level_agrees_with_the_composite_form() {
    for level in SimdLevel::available() {
        KernelOptions::default().with_simd_level(level).scope(|| {
            assert_eq!(SimdLevel::current().unwrap(), level);
            convolutions(level);
            inference(level);
            passes(level);
        });
    }
}

fn convolutions(level: SimdLevel) {
    for (size, stride, inputs, outputs) in [
        (1, 1, 37, 50),
        (1, 2, 16, 33),
        (3, 1, 24, 40),
        (3, 2, 40, 64),
        (7, 2, 3, 32),
        (3, 1, 150, 16),
        // Winograd's, with partial panels and odd sizes.
        (3, 1, 64, 48),
        (3, 1, 32, 160),
    ] {
        let tensors = [
            values("x", &[3, 15, 13, inputs]),
            values("kernel", &[size, size, inputs, outputs]),
        ];
        let config = Conv2dConfig::original(size, stride);
        let name = format!("{level}: {size}x{size}/{stride}");
        compare_forms(&name, &tensors, |backend, x| {
            backend.conv2d(&x[0], &x[1], config)
        });
    }
    let tensors = [values("x", &[9, 70]), values("kernel", &[70, 11])];
    compare_forms(&format!("{level}: dense"), &tensors, |backend, x| {
        backend.dense(&x[0], &x[1], None)
    });
}

/// Convolution and batch norm in one pass, in Winograd's form of larger tiles: maps that are cut into
/// whole tiles and not, partial panels.
fn inference(level: SimdLevel) {
    for (height, width, inputs, outputs) in [(16, 16, 64, 64), (15, 13, 32, 80), (9, 30, 256, 32)] {
        let x = values("x", &[6, height, width, inputs]);
        let kernel = values("kernel", &[3, 3, inputs, outputs]);
        let residual = values("residual", &[6, height, width, outputs]);
        let of_channels = |name| values(name, &[outputs]);
        let (gamma, beta) = (of_channels("gamma"), of_channels("beta"));
        let norm = BatchNormParameters {
            gamma: &gamma,
            beta: &beta,
            epsilon: 1e-5,
        };
        let moving = BatchStats {
            mean: of_channels("mean"),
            variance: (of_channels("variance") + 1.5).unwrap(),
        };
        let run = |backend| {
            let map = |x| FeatureMap::new(x, backend).unwrap();
            let (config, relu) = (Conv2dConfig::original(3, 1), Activation::Relu);
            let y = map(&x).conv2d_batch_norm_inference(
                &kernel,
                config,
                norm,
                &moving,
                relu,
                Some(&map(&residual)),
            );
            flat(&y.unwrap().tensor().unwrap())
        };
        let comparison = FORMS.compare(&run(Backend::Fused), &run(Backend::Composite));
        assert!(
            comparison.passed,
            "{level}, {inputs}-{outputs}: {comparison:?}"
        );
    }
}

fn passes(level: SimdLevel) {
    let x = values("x", &[3, 9, 8, 21]);
    let tensors = [
        x.clone(),
        values("gamma", &[21]),
        values("beta", &[21]),
        x.clone(),
    ];
    compare_forms(&format!("{level}: batch norm"), &tensors, |backend, x| {
        let norm = BatchNormParameters {
            gamma: &x[1],
            beta: &x[2],
            epsilon: 1e-5,
        };
        let relu = Activation::Relu;
        let (y, _) = backend.batch_norm_training(&x[0], norm, relu, Some(&x[3]))?;
        Ok(y)
    });
    let x = [x];
    let same = Padding::Same;
    compare_forms(&format!("{level}: max-pool"), &x, |backend, x| {
        backend.max_pool2d(&x[0], (3, 3), (2, 2), same)
    });
    compare_forms(&format!("{level}: average pool"), &x, |backend, x| {
        backend.average_pool2d(&x[0], (2, 2), (1, 1), same, DivisorRule::ExcludePadding)
    });
    compare_forms(&format!("{level}: global average"), &x, |backend, x| {
        backend.global_average_pool(&x[0])
    });
    compare_forms(&format!("{level}: ReLU"), &x, |backend, x| {
        backend.relu(&x[0])
    });
}

#[test]
fn unknown_levels_are_named() {
    let error = "sse9".parse::<SimdLevel>().unwrap_err().to_string();
    assert!(
        error.contains("sse9") && error.contains("portable"),
        "{error}"
    );
}
