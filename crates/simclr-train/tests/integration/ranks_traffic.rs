//! What ranks send to each other in a step: the model of the book's chapter on several machines.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use candle_core::Device;
use simclr_checkpoint::load_model;
use simclr_collective::run_threads;
use simclr_data::{Seed, SyntheticCores};
use simclr_model::Stem;
use simclr_testkit::{MeteredRank, Traffic};
use simclr_train::{LoopConfig, Pretrain, PretrainConfig};

const RANKS: usize = 2;
const IMAGES: usize = 8;
const KINDS: [&str; 3] = ["all-gather", "all-to-all", "broadcast"];
/// Numbers that are averaged for the metrics, and flags: more than a step has.
const FEW: usize = 64;

/// What rank 0 gives in a run.
fn traffic(steps: usize, dir: &Path) -> [Traffic; 3] {
    let config = PretrainConfig::resnet(18)
        .with_image_size(16)
        .with_batch_size(IMAGES)
        .with_linear_classifier(false);
    let encoder = config.encoder.clone().with_stem(Stem::Cifar);
    let pretrain = Pretrain::new(config.with_encoder(encoder)).steps(steps);
    let cores = SyntheticCores::new(4 * IMAGES, 32, Seed(1)).unwrap();
    let counts = run_threads(RANKS, |inner| {
        let ranks = Arc::new(MeteredRank::new(inner, Duration::ZERO));
        let pretrain = pretrain.clone().ranks(ranks.clone());
        pretrain.run(cores.clone(), dir).unwrap();
        KINDS.map(|kind| ranks.traffic()[kind])
    });
    counts[0]
}

#[test]
fn a_step_sends_what_the_model_says() {
    let dir = tempfile::tempdir().unwrap();
    let [two, three] = [2, 3].map(|steps| traffic(steps, &dir.path().join(steps.to_string())));
    let step: Vec<Traffic> = two
        .iter()
        .zip(&three)
        .map(|(two, three)| Traffic {
            operations: three.operations - two.operations,
            bytes: three.bytes - two.bytes,
        })
        .collect();
    let [gathers, exchanges, broadcasts] = step.as_slice() else {
        panic!("{step:?}")
    };

    let network = load_model(dir.path().join("3/model.safetensors"), &Device::Cpu).unwrap();
    let numbers = |is_wanted: &dyn Fn(&str, bool) -> bool| -> Vec<usize> {
        let parameters = network.model.parameters();
        let wanted = parameters.filter(|parameter| {
            let spec = &parameter.spec;
            is_wanted(&spec.name, spec.role.is_trainable())
        });
        wanted
            .map(|parameter| parameter.variable.elem_count())
            .collect()
    };
    let channels = numbers(&|name, _| name.ends_with("moving_mean"));
    let norms = channels.len();
    let channels: usize = channels.iter().sum();
    let weights: usize = numbers(&|_, is_trainable| is_trainable).iter().sum();
    let embeddings = 2 * IMAGES * network.model.config().projection_head.output_size;

    // Sums: the backward pass of each batch norm and of the gathered embeddings, the gradients of
    // 47 MB in two buckets, and the metrics.
    assert_eq!(exchanges.operations, norms + 1 + 2 + 1);
    // Each with its length, by which the ranks compare it.
    let lengths = 24 * exchanges.operations;
    let sums = 8 * 2 * channels + 4 * embeddings + 4 * weights + lengths;
    let rest = exchanges.bytes - sums;
    assert!(rest <= 8 * FEW, "{rest}");

    // The second half of each sum, the statistics of each batch norm, the embeddings, and whether
    // there are labels.
    assert_eq!(gathers.operations, exchanges.operations + norms + 1 + 1);
    let gathered = exchanges.bytes / RANKS + 8 * (2 * channels + norms) + 4 * embeddings / RANKS;
    let rest = gathers.bytes - gathered;
    assert!(rest <= 8 * FEW, "{rest}");

    // Whether the run goes on.
    assert_eq!((broadcasts.operations, broadcasts.bytes), (1, 1));
}
