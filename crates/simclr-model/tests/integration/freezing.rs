//! What is trained, what is not, and what moves.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{Device, Tensor};
use simclr_model::{
    EncoderOutput, Freeze, Mode, ModelStage, ProjectionHeadConfig, ResNetConfig, Role, SimClr,
    SimClrConfig, SimClrOutput, Stem,
};
use simclr_testkit::{Tolerance, formula_values, seeds};

/// Se and sk too, so that every kind of layer is there.
fn model(freeze: Freeze) -> SimClr {
    let encoder = ResNetConfig::depth(50)
        .with_stem(Stem::Cifar)
        .with_sk_ratio(0.0625)
        .with_se_ratio(0.0625)
        .with_zero_init_last_gamma(false);
    let config = SimClrConfig::new(encoder).with_classes(3);
    let mut model = SimClr::initialize(&config, seeds::WEIGHTS, &Device::Cpu).unwrap();
    model.set_freeze(freeze).unwrap();
    model
}

fn images() -> Tensor {
    let values = formula_values("images", 4 * 8 * 8 * 3, 0.0, 1.0);
    Tensor::from_vec(values, (4, 8, 8, 3), &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn state(model: &SimClr) -> BTreeMap<String, Vec<f32>> {
    let pairs = model
        .parameters()
        .map(|p| (p.spec.name.clone(), values(&p.variable)));
    pairs.collect()
}

/// Both losses, so that all heads are reached.
fn loss(output: &SimClrOutput) -> Tensor {
    let contrastive = output.projection.sqr().unwrap().mean_all().unwrap();
    let logits = output.logits.as_ref().unwrap();
    (contrastive + logits.sqr().unwrap().mean_all().unwrap()).unwrap()
}

fn names_with_gradient(model: &SimClr, loss: &Tensor) -> BTreeSet<String> {
    let gradients = loss.backward().unwrap();
    let reached = model
        .parameters()
        .filter(|p| gradients.get(&p.variable).is_some());
    reached.map(|p| p.spec.name.clone()).collect()
}

fn trainable_names(model: &SimClr) -> BTreeSet<String> {
    model
        .trainable()
        .into_iter()
        .map(|(name, _)| name)
        .collect()
}

fn frozen_stages(k: usize) -> Vec<ModelStage> {
    let groups = (1..=k).map(ModelStage::BlockGroup);
    std::iter::once(ModelStage::Stem).chain(groups).collect()
}

#[test]
fn without_freezing_everything_is_trained_and_moves() {
    let model = model(Freeze::None);
    let before = state(&model);
    let output = model.forward(&images(), Mode::Train).unwrap();
    let reached = names_with_gradient(&model, &loss(&output));
    assert_eq!(reached, trainable_names(&model));
    let trained = model
        .parameters()
        .filter(|p| p.spec.role.is_trainable())
        .count();
    assert_eq!(reached.len(), trained);
    for parameter in model.parameters() {
        let moved = values(&parameter.variable) != before[&parameter.spec.name];
        assert_eq!(
            moved,
            !parameter.spec.role.is_trainable(),
            "{}",
            parameter.spec.name
        );
    }
}

#[test]
fn frozen_layers_get_no_gradient_and_do_not_move() {
    for k in 0..=4 {
        check_freezing(Freeze::AfterBlock(k), k, false);
    }
}

#[test]
fn the_originals_frozen_layers_get_no_gradient_but_move() {
    for k in 0..=4 {
        check_freezing(Freeze::AfterBlockOriginal(k), k, true);
    }
}

fn check_freezing(freeze: Freeze, k: usize, frozen_statistics_move: bool) {
    let model = model(freeze);
    let frozen = frozen_stages(k);
    let before = state(&model);
    let output = model.forward_fine_tuning(&images(), Mode::Train).unwrap();
    let reached = names_with_gradient(&model, &loss(&output));
    assert_eq!(reached, trainable_names(&model), "{freeze:?}");
    for parameter in model.parameters() {
        let name = &parameter.spec.name;
        let is_frozen = frozen.contains(&parameter.spec.stage);
        let trained = parameter.spec.role.is_trainable();
        assert_eq!(
            reached.contains(name),
            trained && !is_frozen,
            "{freeze:?}: {name}"
        );
        let moved = values(&parameter.variable) != before[name];
        let should_move = !trained && (!is_frozen || frozen_statistics_move);
        assert_eq!(moved, should_move, "{freeze:?}: {name}");
    }
}

#[test]
fn frozen_layers_keep_no_graph() {
    for freeze in [Freeze::AfterBlock(2), Freeze::AfterBlockOriginal(2)] {
        let output = model(freeze)
            .forward(&images(), Mode::Train)
            .unwrap()
            .encoder;
        let [group1, group2, group3, _] = output.block_groups.map(|map| map.is_tracked());
        assert!(!output.initial_conv.is_tracked() && !group1 && !group2 && group3);
    }
}

#[test]
fn frozen_layers_give_in_training_what_they_give_in_inference() {
    let model = model(Freeze::AfterBlock(2));
    let trained = model.forward(&images(), Mode::Train).unwrap().encoder;
    let inferred = model.forward(&images(), Mode::Infer).unwrap().encoder;
    let same = |a: &Tensor, b: &Tensor| values(a) == values(b);
    let (named, others) = (trained.named().unwrap(), inferred.named().unwrap());
    let pairs: Vec<_> = named.into_iter().zip(others).collect();
    for ((name, a), (_, b)) in &pairs[..4] {
        assert!(same(a, b), "{name}");
    }
    let third = |output: &EncoderOutput| output.block_groups[2].tensor().unwrap();
    assert!(!same(&third(&trained), &third(&inferred)));
}

#[test]
fn inference_changes_nothing_and_keeps_nothing() {
    let model = model(Freeze::None);
    let before = state(&model);
    let output = model.forward(&images(), Mode::Infer).unwrap();
    assert!(!output.projection.track_op() && !output.logits.unwrap().track_op());
    let features = model.encoder().frozen().features(&images()).unwrap();
    assert_eq!(
        values(&features.final_avg_pool),
        values(&output.encoder.final_avg_pool)
    );
    assert_eq!(before, state(&model));
}

#[test]
fn labels_reach_the_encoder_in_fine_tuning_only() {
    let model = model(Freeze::None);
    let supervised = |output: SimClrOutput| output.logits.unwrap().sqr().unwrap().mean_all();
    let output = model.forward(&images(), Mode::Train).unwrap();
    let pretraining = names_with_gradient(&model, &supervised(output).unwrap());
    assert!(
        pretraining
            .iter()
            .all(|name| name.starts_with("supervised_head."))
    );
    assert_eq!(pretraining.len(), 2);
    let output = model.forward_fine_tuning(&images(), Mode::Train).unwrap();
    let fine_tuning = names_with_gradient(&model, &supervised(output).unwrap());
    assert!(fine_tuning.contains("encoder.stem.conv.kernel"));
    assert!(
        !fine_tuning
            .iter()
            .any(|name| name.starts_with("projection_head."))
    );
}

#[test]
fn the_level_decides_which_projection_layers_are_fine_tuned() {
    let encoder = ResNetConfig::depth(18).with_stem(Stem::Cifar);
    for selector in [0, 1, 2] {
        let head = ProjectionHeadConfig::default().with_fine_tune_from(selector);
        let config = SimClrConfig::new(encoder.clone())
            .with_projection_head(head)
            .with_classes(3);
        let model = SimClr::initialize(&config, seeds::WEIGHTS, &Device::Cpu).unwrap();
        let before = state(&model);
        let output = model.forward_fine_tuning(&images(), Mode::Train).unwrap();
        let loss = output.logits.unwrap().sqr().unwrap().mean_all().unwrap();
        let reached = names_with_gradient(&model, &loss);
        for parameter in model.projection_head().parameters() {
            let name = &parameter.spec.name;
            let layer: i64 = name["projection_head.layer".len()..][..1].parse().unwrap();
            let trained = parameter.spec.role.is_trainable();
            assert_eq!(
                reached.contains(name),
                trained && layer < selector,
                "{name}"
            );
            // The whole head runs, so all its moving statistics move, as in the original.
            assert_eq!(
                values(&parameter.variable) != before[name],
                !trained,
                "{name}"
            );
        }
        assert!(trainable_names(&model).contains("projection_head.layer2.dense.kernel"));
    }
}

#[test]
fn moving_statistics_take_a_tenth_of_the_biased_batch_statistics() {
    let model = model(Freeze::None);
    let output = model.forward(&images(), Mode::Train).unwrap();
    let conv = output
        .encoder
        .initial_conv
        .tensor()
        .unwrap()
        .reshape((4 * 8 * 8, 64))
        .unwrap();
    let mean = conv.mean_keepdim(0).unwrap();
    let variance = conv
        .broadcast_sub(&mean)
        .unwrap()
        .sqr()
        .unwrap()
        .mean(0)
        .unwrap();
    let close = |role: Role, expected: Tensor| {
        let parameters = model.encoder().parameters();
        let first = parameters.iter().find(|p| p.spec.role == role).unwrap();
        let expected = values(&expected);
        let comparison =
            Tolerance::relative_to_max(1e-5).compare(&values(&first.variable), &expected);
        assert!(comparison.passed, "{role:?}: {comparison:?}");
    };
    close(Role::MovingMean, (mean.squeeze(0).unwrap() * 0.1).unwrap());
    close(
        Role::MovingVariance,
        ((variance * 0.1).unwrap() + 0.9).unwrap(),
    );
}
