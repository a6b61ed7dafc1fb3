//! Shapes and values of forward passes.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};
use simclr_model::{
    Encoder, FineTuneFrom, InputNormalization, Mode, Parameters, ProjectionHeadConfig,
    ProjectionKind, ResNetConfig, SimClr, SimClrConfig, Stem, StemPooling, StridePlacement,
};
use simclr_testkit::{Tolerance, formula_values, seeds};

fn images(batch: usize, side: usize) -> Tensor {
    let values = formula_values("images", batch * side * side * 3, 0.0, 1.0);
    Tensor::from_vec(values, (batch, side, side, 3), &Device::Cpu).unwrap()
}

fn encoder(config: &ResNetConfig) -> Encoder {
    Encoder::initialize(config, seeds::WEIGHTS, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn assert_close(a: &Tensor, b: &Tensor) {
    assert_eq!(a.dims(), b.dims());
    let comparison = Tolerance::relative_to_max(1e-5).compare(&values(a), &values(b));
    assert!(comparison.passed, "{comparison:?}");
}

fn assert_different(a: &Tensor, b: &Tensor) {
    assert_eq!(a.dims(), b.dims());
    assert!(
        Tolerance::relative_to_max(1e-3)
            .compare(&values(a), &values(b))
            .failed()
    );
}

#[test]
fn every_architecture_has_its_shapes() {
    let base = ResNetConfig::default;
    let mut configs: Vec<_> = [18, 34, 50, 101, 152, 200].map(ResNetConfig::depth).into();
    configs.push(base().with_width_multiplier(2));
    configs.push(base().with_sk_ratio(0.0625));
    configs.push(ResNetConfig::depth(18).with_sk_ratio(0.0625));
    configs.push(base().with_se_ratio(0.25));
    configs.push(ResNetConfig::depth(18).with_se_ratio(0.25));
    configs.push(base().torchvision());
    configs.push(ResNetConfig::depth(18).torchvision());
    let both = base().with_sk_ratio(0.0625).with_se_ratio(0.25);
    configs.push(both.with_stride_placement(StridePlacement::First));
    for config in configs {
        let output = encoder(&config)
            .forward(&images(2, 19), Mode::Infer)
            .unwrap();
        let width = config.width_multiplier;
        let expansion = if config.depth < 50 { 1 } else { 4 };
        assert_eq!(
            output.initial_conv.dims(),
            [2, 10, 10, 64 * width],
            "{config:?}"
        );
        assert_eq!(output.initial_max_pool.dims(), [2, 5, 5, 64 * width]);
        let sides = [5, 3, 2, 1];
        let filters = [64, 128, 256, 512];
        for ((group, side), filters) in output.block_groups.iter().zip(sides).zip(filters) {
            assert_eq!(group.dims(), [2, side, side, filters * width * expansion]);
        }
        assert_eq!(
            output.final_avg_pool.dims(),
            [2, config.feature_size().unwrap()]
        );
        assert!(
            values(&output.final_avg_pool)
                .iter()
                .all(|value| value.is_finite())
        );
    }
}

#[test]
fn the_cifar_stem_keeps_the_size() {
    let config = ResNetConfig::depth(18).with_stem(Stem::Cifar);
    let output = encoder(&config)
        .forward(&images(2, 9), Mode::Infer)
        .unwrap();
    assert_eq!(output.initial_conv.dims(), [2, 9, 9, 64]);
    assert_eq!(output.initial_max_pool.dims(), [2, 9, 9, 64]);
    assert_eq!(output.block_groups[3].dims(), [2, 2, 2, 512]);
}

#[test]
fn heads_have_their_shapes() {
    let nonlinear = ProjectionHeadConfig::default();
    let two_layers = ProjectionHeadConfig::default()
        .with_layers(2)
        .with_output_size(32)
        .with_fine_tune_from(FineTuneFrom::ProjectionLayer(1));
    let last = ProjectionHeadConfig::linear().with_fine_tune_from(FineTuneFrom::FromEnd(0));
    for (head, levels, output_size, selected) in [
        (ProjectionHeadConfig::none(), 1, 512, 512),
        (ProjectionHeadConfig::linear(), 2, 128, 512),
        (last, 2, 128, 128),
        (nonlinear, 4, 128, 512),
        (two_layers, 3, 32, 512),
    ] {
        let encoder = ResNetConfig::depth(18).with_stem(Stem::Cifar);
        let config = SimClrConfig::new(encoder)
            .with_projection_head(head.clone())
            .with_classes(5);
        let model = SimClr::initialize(&config, seeds::WEIGHTS, &Device::Cpu).unwrap();
        let output = model.forward(&images(4, 8), Mode::Train).unwrap();
        assert_eq!(output.levels.len(), levels, "{head:?}");
        assert_eq!(output.z().dims(), [4, output_size]);
        assert_eq!(output.h().dims(), [4, 512]);
        assert_eq!(output.logits.unwrap().dims(), [4, 5]);
        assert_eq!(config.supervised_input_size().unwrap(), selected);
        assert_eq!(
            values(output.levels.last().unwrap()),
            values(&output.projection)
        );
        if head.kind == ProjectionKind::None {
            assert_eq!(
                values(&output.projection),
                values(&output.encoder.final_avg_pool)
            );
        }
    }
}

#[test]
fn blocks_start_as_their_shortcuts() {
    let config = ResNetConfig::depth(18).with_stem(Stem::Cifar);
    let output = encoder(&config)
        .forward(&images(2, 8), Mode::Infer)
        .unwrap();
    let plain = config.clone().with_zero_init_last_gamma(false);
    let other = encoder(&plain).forward(&images(2, 8), Mode::Infer).unwrap();
    assert_different(
        &output.block_groups[0].tensor().unwrap(),
        &other.block_groups[0].tensor().unwrap(),
    );

    // With gamma 0 the first group is the 1x1 projection of its input, twice through ReLU.
    let parameters = encoder(&config);
    let kernel = "encoder.block_group1.block0.shortcut.conv.kernel";
    let kernel = parameters
        .parameters()
        .iter()
        .find(|p| p.spec.name == kernel)
        .unwrap();
    let kernel = kernel.variable.reshape((64, 64)).unwrap();
    let input = output
        .initial_max_pool
        .tensor()
        .unwrap()
        .reshape((2 * 8 * 8, 64))
        .unwrap();
    let expected = (input.matmul(&kernel).unwrap() / (1.0f64 + 1e-5).sqrt()).unwrap();
    let expected = expected.relu().unwrap().reshape((2, 8, 8, 64)).unwrap();
    assert_close(&output.block_groups[0].tensor().unwrap(), &expected);
}

#[test]
fn the_model_normalises_its_input() {
    let plain = ResNetConfig::depth(18).with_stem(Stem::Cifar);
    let normalization = InputNormalization {
        mean: [0.4, 0.5, 0.6],
        std: [0.1, 0.2, 1.0 / 255.0],
    };
    let normalising = plain.clone().with_input_normalization(normalization);
    let mean = Tensor::new(&[0.4f32, 0.5, 0.6], &Device::Cpu).unwrap();
    let std = Tensor::new(&[0.1f32, 0.2, 1.0 / 255.0], &Device::Cpu).unwrap();
    let images = images(2, 8);
    let by_hand = images
        .broadcast_sub(&mean)
        .unwrap()
        .broadcast_div(&std)
        .unwrap();
    let expected = encoder(&plain).forward(&by_hand, Mode::Infer).unwrap();
    let output = encoder(&normalising).forward(&images, Mode::Infer).unwrap();
    assert_close(&output.final_avg_pool, &expected.final_avg_pool);
}

#[test]
fn the_stems_pooling_counts() {
    // The same weights in both networks: the flag changes no shape.
    let config = ResNetConfig::depth(50);
    let parameters =
        Parameters::initialize(&config.parameter_specs().unwrap(), 1, &Device::Cpu).unwrap();
    let run = |config: &ResNetConfig| {
        let encoder = Encoder::new(config, parameters.var_builder()).unwrap();
        encoder.forward(&images(1, 32), Mode::Infer).unwrap()
    };
    let output = run(&config);
    let symmetric = run(&config.with_stem_pooling(StemPooling::Symmetric));
    assert_close(
        &output.initial_conv.tensor().unwrap(),
        &symmetric.initial_conv.tensor().unwrap(),
    );
    assert_different(
        &output.initial_max_pool.tensor().unwrap(),
        &symmetric.initial_max_pool.tensor().unwrap(),
    );
}

#[test]
fn the_strides_place_counts() {
    let middle = ResNetConfig::depth(50).with_zero_init_last_gamma(false);
    let first = middle.clone().with_stride_placement(StridePlacement::First);
    let middle = encoder(&middle)
        .forward(&images(1, 32), Mode::Infer)
        .unwrap();
    let first = encoder(&first)
        .forward(&images(1, 32), Mode::Infer)
        .unwrap();
    assert_close(
        &middle.block_groups[0].tensor().unwrap(),
        &first.block_groups[0].tensor().unwrap(),
    );
    assert_different(
        &middle.block_groups[1].tensor().unwrap(),
        &first.block_groups[1].tensor().unwrap(),
    );
}

#[test]
fn embedding_does_not_depend_on_the_batches() {
    let encoder = encoder(&ResNetConfig::depth(18).with_stem(Stem::Cifar)).frozen();
    let images = images(5, 8);
    let whole = encoder.features(&images).unwrap().final_avg_pool;
    for batch_size in [1, 2, 5, 8] {
        assert_close(&encoder.embed(&images, batch_size).unwrap(), &whole);
    }
    assert!(
        encoder
            .embed(&images, 0)
            .unwrap_err()
            .to_string()
            .starts_with("batch_size = 0")
    );
}

#[test]
fn training_twice_from_one_seed_gives_one_result() {
    let config = ResNetConfig::depth(18)
        .with_stem(Stem::Cifar)
        .with_sk_ratio(0.0625);
    let run = || {
        encoder(&config)
            .forward(&images(4, 8), Mode::Train)
            .unwrap()
            .final_avg_pool
    };
    assert_eq!(values(&run()), values(&run()));
}

/// The same encoder with parameters of another type.
fn in_dtype(encoder: &Encoder, dtype: DType) -> Encoder {
    let variables = encoder.parameters().iter().map(|parameter| {
        let variable = parameter.variable.to_dtype(dtype).unwrap();
        let variable = candle_core::Var::from_tensor(&variable).unwrap();
        (parameter.spec.name.clone(), variable)
    });
    let parameters = Parameters::from_variables(variables).unwrap();
    Encoder::new(encoder.config(), parameters.var_builder()).unwrap()
}

#[test]
fn half_precision_takes_a_step_and_keeps_its_type() {
    let config = ResNetConfig::depth(18).with_stem(Stem::Cifar);
    let single = encoder(&config);
    for dtype in [DType::F16, DType::BF16] {
        let half = in_dtype(&single, dtype);
        let images = images(4, 8).to_dtype(dtype).unwrap();
        let moving = |encoder: &Encoder| {
            let parameter = encoder.parameters().iter();
            let mut moving = parameter.filter(|p| p.spec.name.ends_with("moving_variance"));
            let variable = &moving.next().unwrap().variable;
            variable
                .to_dtype(DType::F32)
                .unwrap()
                .to_vec1::<f32>()
                .unwrap()
        };
        let before = moving(&half);
        let output = half.forward(&images, Mode::Train).unwrap().final_avg_pool;
        assert_eq!(output.dtype(), dtype);
        assert_ne!(moving(&half), before);
        let gradients = output.sum_all().unwrap().backward().unwrap();
        for (name, variable) in half.trainable() {
            assert_eq!(variable.dtype(), dtype);
            assert!(gradients.get(variable.as_tensor()).is_some(), "{name}");
        }
    }
}

#[test]
fn double_precision_works() {
    let config = ResNetConfig::depth(18).with_stem(Stem::Cifar);
    let single = encoder(&config);
    let double = in_dtype(&single, DType::F64);
    // Enough of them that no batch norm divides by the deviation of a few numbers, which
    // would amplify what single precision rounds.
    let images = images(6, 32);
    let output = single.forward(&images, Mode::Train).unwrap().final_avg_pool;
    let images = images.to_dtype(DType::F64).unwrap();
    let precise = double.forward(&images, Mode::Train).unwrap().final_avg_pool;
    assert_eq!(precise.dtype(), DType::F64);
    assert_close(&output, &precise.to_dtype(DType::F32).unwrap());
}
