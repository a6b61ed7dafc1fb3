//! Configurations: defaults, files, and what is refused.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};
use simclr_model::{
    Encoder, Error, FineTuneFrom, Freeze, GradientCheckpointing, InputNormalization, Mode,
    ProjectionHeadConfig, ResNetConfig, SimClr, SimClrConfig, Stem, StemPooling, StridePlacement,
};

fn refused(config: &ResNetConfig) -> String {
    let error = config.parameter_specs().unwrap_err();
    assert!(matches!(error, Error::Setting { .. }));
    error.to_string()
}

#[test]
fn bad_values_are_named() {
    let default = ResNetConfig::default;
    assert_eq!(
        refused(&ResNetConfig::depth(19)),
        "depth = 19: expected 18, 34, 50, 101, 152 or 200"
    );
    assert!(refused(&default().with_width_multiplier(0)).starts_with("width_multiplier = 0"));
    assert!(refused(&default().with_sk_ratio(-0.1)).starts_with("sk_ratio = -0.1"));
    assert!(refused(&default().with_se_ratio(f64::NAN)).starts_with("se_ratio = NaN"));
    let config = default().with_input_normalization(InputNormalization {
        std: [0.2, 0.0, 0.2],
        ..InputNormalization::IMAGENET
    });
    assert!(refused(&config).starts_with("input_normalization.std = 0"));
    for selector in [-5, 4] {
        let head = ProjectionHeadConfig::default().with_fine_tune_from(selector);
        let error = head.parameter_specs(&default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("ft_proj_selector = {selector}: expected -4 to 3")
        );
    }
    let error = SimClrConfig::default()
        .with_classes(0)
        .parameter_specs()
        .unwrap_err();
    assert!(error.to_string().starts_with("num_classes = 0"));
}

#[test]
fn configurations_survive_json() {
    let config = SimClrConfig::new(
        ResNetConfig::depth(101)
            .with_width_multiplier(2)
            .with_sk_ratio(0.0625)
            .with_stem(Stem::Cifar)
            .with_stride_placement(StridePlacement::First)
            .torchvision(),
    )
    .with_projection_head(ProjectionHeadConfig::linear().with_fine_tune_from(-1))
    .with_classes(7);
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<SimClrConfig>(&text).unwrap(), config);
    assert_eq!(config.encoder.stem_pooling, StemPooling::Symmetric);
}

#[test]
fn missing_fields_have_their_defaults_and_unknown_ones_are_refused() {
    let config: SimClrConfig = serde_json::from_str(r#"{"encoder": {"depth": 18}}"#).unwrap();
    assert_eq!(config, SimClrConfig::new(ResNetConfig::depth(18)));
    for config in [
        r#"{"encoder": {"deepness": 18}}"#,
        r#"{"projection_head": {"deepness": 3}}"#,
        r#"{"supervised_head": {"num_classes": 3, "deepness": 3}}"#,
        r#"{"deepness": 3}"#,
    ] {
        let error = serde_json::from_str::<SimClrConfig>(config).unwrap_err();
        assert!(error.to_string().contains("deepness"), "{error}");
    }
}

#[test]
fn files_have_the_originals_names_and_numbers() {
    for (number, level) in [
        (0i64, FineTuneFrom::Encoder),
        (1, FineTuneFrom::ProjectionLayer(1)),
        (3, FineTuneFrom::ProjectionLayer(3)),
        (-1, FineTuneFrom::FromEnd(0)),
        (-4, FineTuneFrom::FromEnd(3)),
    ] {
        let text = format!(r#"{{"ft_proj_selector":{number}}}"#);
        let head: ProjectionHeadConfig = serde_json::from_str(&text).unwrap();
        assert_eq!(head.fine_tune_from, level);
        assert_eq!(head.selected_level().unwrap() as i64, number.rem_euclid(4));
        let written = serde_json::to_value(&head).unwrap();
        assert_eq!(written["ft_proj_selector"], number);
    }
    for (old, new) in [
        ("keep", GradientCheckpointing::None),
        ("recompute_blocks", GradientCheckpointing::PerBlock),
    ] {
        assert_eq!(
            serde_json::from_value::<GradientCheckpointing>(old.into()).unwrap(),
            new
        );
    }
}

#[test]
fn images_that_do_not_fit_are_refused() {
    let config = ResNetConfig::depth(18);
    assert_eq!(
        (
            config.minimum_image_size(),
            config.clone().with_stem(Stem::Cifar).minimum_image_size()
        ),
        (17, 5)
    );
    let encoder = Encoder::initialize(&config, 1, &Device::Cpu).unwrap();
    let refused = |shape: &[usize]| {
        let images = Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        encoder
            .forward(&images, Mode::Infer)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused(&[1, 64, 16, 3]),
        "image of 64 x 16 pixels: ResNet-18 with the ImageNet stem halves it 5 times and needs \
         at least 17 x 17"
    );
    for shape in [
        &[2, 64, 64, 4][..],
        &[2, 3, 64, 64],
        &[64, 64, 3],
        &[0, 64, 64, 3],
    ] {
        assert!(refused(shape).contains("expected [n, height, width, 3]"));
    }
}

#[test]
fn features_that_do_not_fit_are_refused() {
    let config = SimClrConfig::new(ResNetConfig::depth(18)).with_classes(3);
    let model = SimClr::initialize(&config, 1, &Device::Cpu).unwrap();
    let features = Tensor::zeros((2, 511), DType::F32, &Device::Cpu).unwrap();
    let error = model
        .projection_head()
        .forward(&features, Mode::Infer)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "projection head: input of shape [2, 511], expected [n, 512]"
    );
    let head = model.supervised_head().unwrap();
    let error = head.forward(&features, Mode::Infer).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("supervised head: input of shape [2, 511]")
    );
}

#[test]
fn freeze_knows_its_range() {
    let config = SimClrConfig::new(ResNetConfig::depth(18));
    let mut model = SimClr::initialize(&config, 1, &Device::Cpu).unwrap();
    let error = model.set_freeze(Freeze::AfterBlock(5)).unwrap_err();
    assert!(error.to_string().starts_with("fine_tune_after_block = 5"));
    assert_eq!(model.encoder().freeze(), Freeze::None);
}
