//! Experiment 2: which variables change when self-supervision goes on from a network whose
//! first blocks are frozen. Exactly those that should, for each setting.
#![allow(clippy::unwrap_used)]

use candle_core::Device;
use simclr::data::SyntheticCores;
use simclr::model::{ModelStage, Role};
use simclr::prelude::*;
use simclr::study::paper;
use simclr_testkit::seeds;

/// A network in which every variable has a gradient: the last gammas of blocks are not zero.
fn imagenet() -> SimClr {
    let encoder = ResNetConfig::depth(18).with_zero_init_last_gamma(false);
    let config = SimClrConfig::new(encoder);
    SimClr::initialize(&config, seeds::WEIGHTS, &Device::Cpu).unwrap()
}

fn values(tensor: &candle_core::Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Two steps of experiment 2 with this setting; checks every variable.
fn check(fine_tune_after_block: i64) {
    let network = imagenet();
    let mut config = paper::tiny(paper::experiment_2()).pretrain;
    config.encoder = network.config().encoder.clone();
    config.freeze = Freeze::try_from(fine_tune_after_block).unwrap();
    config.batch_size = 8;
    config.schedule.epochs = 1;
    config.schedule.warmup_epochs = 0.0;
    config.seed = Seed(seeds::WEIGHTS);

    let cores = SyntheticCores::new(16, 32, Seed(seeds::INPUTS)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let run = Pretrain::new(config)
        .start_from(network.store().unwrap())
        .run(cores.shared(), dir.path())
        .unwrap();
    let trained = simclr::checkpoint::load_model(&run.model_file, &Device::Cpu).unwrap();
    let trained = trained.model.store().unwrap();

    let mut frozen_parts = 0;
    for parameter in network.parameters() {
        let name = &parameter.spec.name;
        let is_frozen = match parameter.spec.stage {
            ModelStage::Stem => fine_tune_after_block >= 0,
            ModelStage::BlockGroup(group) => group as i64 <= fine_tune_after_block,
            _ => false,
        };
        frozen_parts += usize::from(is_frozen && parameter.spec.role == Role::ConvKernel);
        let before = values(&parameter.variable);
        let after = values(trained.get(name).unwrap());
        assert_eq!(
            before != after,
            !is_frozen,
            "fine_tune_after_block {fine_tune_after_block}: {name}"
        );
    }
    // The stem's convolution, then per group two blocks of two convolutions and a shortcut's.
    let expected = [0, 1, 6, 11, 16][(fine_tune_after_block + 1) as usize];
    assert_eq!(frozen_parts, expected);
}

#[test]
fn with_minus_one_everything_changes() {
    check(-1);
}

#[test]
fn with_zero_everything_but_the_stem_changes() {
    check(0);
}

#[test]
fn with_one_everything_after_the_first_block_group_changes() {
    check(1);
}

#[test]
fn with_two_everything_after_the_second_block_group_changes() {
    check(2);
}

#[test]
fn with_three_the_last_block_group_and_the_heads_change() {
    check(3);
}
