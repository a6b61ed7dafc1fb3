//! The settings of the paper's six experiments.
//!
//! Mamode, Hampson and John, "Do more with less: Exploring semi-supervised learning for
//! geological image classification" (2025). The figures are those of its scripts:
//! ResNet-50 at 224 px; self-supervision with batches of 256, LARS at 1.0 x batch / 256,
//! 10 epochs of warm-up and 100 in all, temperature 0.5; a linear probe of 25 epochs at
//! rate 0.1 in batches of 64. What tells experiments 4, 5 and 6 apart is our reading.
//!
//! All of them cut the labelled images into four folds that train on 67.5 % (the scripts'
//! "70 %"); [`FoldScheme::small_train`] has their three folds of 10 %.
//!
//! ```
//! use simclr_study::paper;
//!
//! let protocol = paper::experiment_2();
//! assert_eq!((protocol.pretrain.schedule.epochs, protocol.pretrain.batch_size), (100, 128));
//! let quick = paper::tiny(protocol);
//! assert_eq!((quick.image_size(), quick.folds.to_string().starts_with("3 folds")), (32, true));
//! ```

use simclr_augment::ops::RandomCrop;
use simclr_augment::{Crop, Policy};
use simclr_eval::ProbeSuite;
use simclr_eval::probes::{LinearProbe, LogisticProbe};
use simclr_model::{Freeze, ResNetConfig, Stem};
use simclr_optim::{AdamConfig, LearningRateScaling, OptimizerConfig};
use simclr_train::{FineTuneConfig, LoopConfig, PretrainConfig};

use crate::fold_scheme::FoldScheme;
use crate::protocol::Protocol;

/// What curves over label budgets are drawn for.
const LABEL_FRACTIONS: [f64; 4] = [1.0, 0.25, 0.1, 0.05];

/// What the experiments have in common.
fn common(title: &str, question: &str) -> Protocol {
    Protocol::default()
        .with_title(title, question)
        .with_label_fractions(LABEL_FRACTIONS)
        .with_fine_tuning(fine_tuning())
}

/// Transfer learning from a self-supervised ImageNet network.
pub fn experiment_1() -> Protocol {
    common(
        "Experiment 1: transfer from a self-supervised network",
        "How well does a linear head on a network do that was trained on other images, \
         without labels?",
    )
}

/// Self-supervision goes on from an ImageNet network on task images, with the first blocks
/// frozen: what the job scripts of the paper's repository run, 100 epochs at rate 1.0 x batch /
/// 256 in batches of 128, with block groups 1 to 4 frozen in the original's way
/// ([`Freeze::AfterBlockOriginal`]).
pub fn experiment_2() -> Protocol {
    let mut protocol = common(
        "Experiment 2: self-supervision goes on with task images",
        "Does a network that was trained on other images get better or worse for the task if \
         self-supervision goes on with the task's own images, and does it help to freeze the \
         first blocks?",
    );
    protocol.pretrain.batch_size = 128;
    protocol.with_freeze(Vec::from_iter((1..=4).map(Freeze::AfterBlockOriginal)))
}

/// [`experiment_2`] with the settings of the example in the repository's README, which is one
/// of fine-tuning with labels: 50 epochs at rate 0.01 x batch / 256 in batches of 256; with
/// nothing, the stem, and block groups 1 to 3 frozen.
pub fn experiment_2_readme() -> Protocol {
    let mut protocol = experiment_2();
    protocol.pretrain.batch_size = 256;
    protocol.pretrain.schedule.epochs = 50;
    protocol.pretrain.schedule.learning_rate = 0.01;
    protocol.freeze = vec![Freeze::None];
    protocol.freeze.extend((0..=3).map(Freeze::AfterBlock));
    protocol
}

/// [`experiment_2`] as we recommend it for a network that did learn ImageNet and a thousand
/// images or so: the stem and the first block group frozen with their batch norm, 3 epochs at
/// rate 0.16 x batch / 256 in batches of 32, half an epoch of warm-up.
///
/// Few steps at a low rate: the network is a good one already. General textures are learned in
/// the first block group, which was worth more frozen than free; batches are small so that few
/// images make a hundred steps.
pub fn experiment_2_recommended() -> Protocol {
    let mut protocol = experiment_2();
    let schedule = protocol.pretrain.schedule.clone();
    protocol.pretrain.batch_size = 32;
    protocol.pretrain.schedule = schedule
        .with_learning_rate(0.16)
        .with_warmup_epochs(0.5)
        .with_epochs(3);
    protocol.with_freeze([Freeze::AfterBlock(1)])
}

/// Fine-tuning of a pretrained network over label budgets (SimCLRv2's second step).
pub fn fine_tuning_study() -> Protocol {
    common(
        "Fine-tuning with labels",
        "What does a pretrained network gain if labels change it as a whole, and not only a \
         classifier on it?",
    )
    .with_fine_tune_freeze([Freeze::None])
}

/// Fine-tuning with labels as in the README of the paper's repository: LARS at 0.01 x batch /
/// 256 in batches of 256, 10 epochs of warm-up and 50 in all, weight decay 1e-4, a head that
/// starts at random.
pub fn fine_tuning() -> FineTuneConfig {
    let config = FineTuneConfig::supervised(50);
    let schedule = config.schedule.clone();
    config.with_schedule(schedule.with_learning_rate(0.01).with_epochs(50))
}

/// Self-supervision from scratch on task images.
pub fn experiment_3() -> Protocol {
    common(
        "Experiment 3: self-supervision on task images",
        "Does self-supervision on the task's own images give better features than an untrained \
         network has?",
    )
}

/// Self-supervision on a growing number of task images (our reading).
pub fn experiment_4() -> Protocol {
    common(
        "Experiment 4: how many unlabelled images does self-supervision need?",
        "How do features get better with the number of unlabelled task images that \
         self-supervision sees?",
    )
    .with_unlabelled_fractions([0.2, 0.4, 0.6, 0.8, 1.0])
}

/// Transfer learning from a supervised ImageNet network: the baseline.
pub fn experiment_5() -> Protocol {
    common(
        "Experiment 5: transfer from a supervised network",
        "How well does a linear head on a network do that was trained on other images, with \
         labels?",
    )
}

/// Transfer against self-supervision on the task's own images, over label budgets (our
/// reading).
pub fn experiment_6() -> Protocol {
    common(
        "Experiment 6: transfer against self-supervision on task images",
        "Which is worth more when labels are few: a network that was trained on other images, or \
         self-supervision on the task's own?",
    )
}

/// Self-supervision on CIFAR-10 as SimCLR's README documents it: ResNet-18 at 32 px, LARS at
/// 1.0 x batch / 256, batches of 512, 1000 epochs, weight decay 1e-4, temperature 0.5, colour jitter
/// of strength 0.5, no blur. The images have their size, so nothing is squashed.
pub fn cifar10() -> PretrainConfig {
    let policy = Policy::simclr_v2(32).with_color_jitter_strength(0.5);
    let config = PretrainConfig::resnet(18).with_image_size(32);
    let schedule = config.schedule.clone().with_epochs(1000);
    config
        .with_policy(policy.without_blur())
        .with_schedule(schedule)
        .with_batch_size(512)
}

/// Training with labels for a few hundred images, where LARS and batches of 256 would take
/// too few steps to learn anything: Adam at 0.001 in batches of 50, one epoch of warm-up.
pub fn with_adam(config: FineTuneConfig) -> FineTuneConfig {
    let schedule = config.schedule.clone();
    let schedule = schedule
        .with_learning_rate(0.001)
        .with_scaling(LearningRateScaling::None)
        .with_warmup_epochs(1.0);
    config
        .with_optimizer(OptimizerConfig::Adam(AdamConfig::default()))
        .with_schedule(schedule)
        .with_batch_size(50)
}

/// The same experiment in a few minutes on two cores: ResNet-18 at 32 px, few epochs, the
/// authors' advice for small batches (square-root scaling of a small rate, a low
/// temperature), and Adam where whole networks learn from labels.
pub fn tiny(paper: Protocol) -> Protocol {
    let continued = paper.freeze != [Freeze::None];
    // In few steps a network learns more from views that show a third of the picture or more.
    let crop = Crop::Random(RandomCrop::default().with_area((0.3, 1.0)));
    let policy = paper.pretrain.policy.clone();
    let policy = policy.with_crop(crop).with_flip_up_down(0.5);
    let mut pretrain = paper
        .pretrain
        .with_encoder(ResNetConfig::depth(18))
        .with_policy(policy)
        .with_small_batches(if continued { 2 } else { 6 })
        .with_batch_size(50)
        .with_image_size(32);
    if continued {
        pretrain.schedule.learning_rate = 0.02;
        pretrain.schedule.warmup_epochs = 0.2;
    }
    // The ImageNet stem is coarser than the CIFAR one, and sixteen times as fast.
    pretrain.encoder.stem = Stem::ImageNet;
    let mut supervised = with_adam(paper.supervised).with_image_size(32);
    supervised.encoder = pretrain.encoder.clone();
    supervised.schedule.epochs = 6;
    let mut fine_tuning = with_adam(paper.fine_tuning).with_view_size(32);
    fine_tuning.schedule.epochs = 6;
    let fewer = |all: Vec<f64>, few: &[f64]| if all.len() > 1 { few.to_vec() } else { all };
    let freeze = match paper.freeze.as_slice() {
        [] | [_] => paper.freeze,
        _ => vec![Freeze::None, Freeze::AfterBlock(1), Freeze::AfterBlock(3)],
    };
    Protocol {
        folds: FoldScheme::LargeTrain {
            folds: 3,
            fraction: 0.25,
        },
        label_fractions: fewer(paper.label_fractions, &[1.0, 0.25, 0.1]),
        unlabelled_fractions: fewer(paper.unlabelled_fractions, &[0.2, 0.5, 1.0]),
        freeze,
        pretrain,
        supervised,
        fine_tuning,
        probes: ProbeSuite::default()
            .with_linear(LinearProbe::paper().with_epochs(50))
            .with_logistic(LogisticProbe::default().with_steps(300)),
        ..paper
    }
}
