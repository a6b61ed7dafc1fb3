//! Gradient checkpointing against saved activations.

#![allow(clippy::unwrap_used)]

use candle_core::{Device, Tensor, Var};
use simclr_model::{Freeze, GradientCheckpointing, Mode, ResNetConfig, SimClr, SimClrConfig};
use simclr_testkit::{formula_values, seeds};

struct StepResult {
    output: Vec<f32>,
    gradients: Vec<(String, Option<Vec<f32>>)>,
    variables: Vec<Vec<f32>>,
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn run(
    checkpointing: GradientCheckpointing,
    freeze: Freeze,
    differentiable_images: bool,
) -> StepResult {
    let encoder = ResNetConfig::depth(18)
        .with_se_ratio(0.25)
        .with_sk_ratio(0.0625)
        .with_zero_init_last_gamma(false);
    let config = SimClrConfig::new(encoder);
    let mut model = SimClr::initialize(&config, seeds::WEIGHTS, &Device::Cpu).unwrap();
    model.set_gradient_checkpointing(checkpointing);
    model.set_freeze(freeze).unwrap();
    let images = formula_values("images", 3 * 32 * 32 * 3, 0.0, 1.0);
    let images = Var::from_vec(images, (3, 32, 32, 3), &Device::Cpu).unwrap();
    let input = if differentiable_images {
        images.as_tensor().clone()
    } else {
        images.as_detached_tensor()
    };
    let output = model.forward(&input, Mode::Train).unwrap();
    let loss = output.z().sqr().unwrap().mean_all().unwrap();
    let store = simclr_kernels::backward(&loss).unwrap();
    let gradient = |variable: &Var| store.get(variable).map(values);
    let gradients = model
        .parameters()
        .map(|p| (p.spec.name.clone(), gradient(&p.variable)));
    StepResult {
        output: values(output.z()),
        gradients: gradients
            .chain([("images".to_owned(), gradient(&images))])
            .collect(),
        variables: model.parameters().map(|p| values(&p.variable)).collect(),
    }
}

#[test]
fn checkpointed_blocks_give_the_same_bits() {
    for freeze in [
        Freeze::None,
        Freeze::AfterBlock(1),
        Freeze::AfterBlockOriginal(2),
    ] {
        for differentiable_images in [false, true] {
            let kept = run(GradientCheckpointing::None, freeze, differentiable_images);
            let recomputed = run(
                GradientCheckpointing::PerBlock,
                freeze,
                differentiable_images,
            );
            assert_eq!(kept.output, recomputed.output, "{freeze:?}");
            assert_eq!(
                kept.variables, recomputed.variables,
                "moving statistics, {freeze:?}"
            );
            for (a, b) in kept.gradients.iter().zip(&recomputed.gradients) {
                assert_eq!(a, b, "{freeze:?}");
            }
        }
    }
}
