//! Pretraining with a gradient cache: its place in a run, and what it refuses.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use crate::common::After;
use simclr_data::{Seed, SyntheticCores};
use simclr_model::{GradientCheckpointing, SimClr};
use simclr_train::{
    Control, Error, LoopConfig, Loss, Objective, Pretrain, PretrainConfig, Result, TrainingBatch,
};

/// Two steps of eight labelled images.
fn pretrain(chunk: impl Into<Option<usize>>) -> Pretrain {
    let config = PretrainConfig::resnet(18)
        .with_image_size(32)
        .with_batch_size(8)
        .with_gradient_cache(chunk);
    Pretrain::new(config).epochs(1).seed(Seed(3))
}

fn cores() -> SyntheticCores {
    SyntheticCores::new(16, 32, Seed(1)).unwrap()
}

fn network(pretrain: &Pretrain, dir: &Path) -> Vec<u8> {
    std::fs::read(pretrain.run(cores(), dir).unwrap().model_file).unwrap()
}

#[test]
fn a_run_is_the_same_however_it_is_carried_out_and_another_one_with_other_chunks() {
    let dir = tempfile::tempdir().unwrap();
    let folder = |name: &str| dir.path().join(name);
    let expected = network(&pretrain(3), &folder("cached"));

    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build();
    let threads = || network(&pretrain(3), &folder("threads"));
    assert!(pool.unwrap().install(threads) == expected);
    let checkpointed = pretrain(3).gradient_checkpointing(GradientCheckpointing::PerBlock);
    assert!(network(&checkpointed, &folder("checkpointed")) == expected);

    let paused = pretrain(3).callback(After(1, Control::Pause));
    let error = paused.run(cores(), folder("paused")).unwrap_err();
    assert!(matches!(error, Error::Paused { step: 1, .. }), "{error}");
    for other in [None, Some(2)] {
        let error = pretrain(other).run(cores(), folder("paused")).unwrap_err();
        assert!(
            error.to_string().contains("gradient_cache was 3"),
            "{error}"
        );
    }
    assert!(network(&pretrain(3), &folder("paused")) == expected);

    let plain = network(&pretrain(None), &folder("plain"));
    assert!(network(&pretrain(8), &folder("one chunk")) == plain && plain != expected);
}

/// No function of embeddings.
#[derive(Debug)]
struct Own;

impl Objective for Own {
    fn metrics(&self) -> Vec<&'static str> {
        Vec::new()
    }

    fn loss(&self, _: &SimClr, _: &TrainingBatch<'_>) -> Result<Loss> {
        Ok(Loss::default())
    }
}

#[test]
fn what_a_gradient_cache_cannot_do_is_refused_before_the_folder_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("refused");
    let refused = [
        (pretrain(4).objective(Own), "found Own"),
        (
            pretrain(1),
            "at least 2 images in each chunk of a batch of 8, found 1",
        ),
        (pretrain(0), "found 0"),
    ];
    for (pretrain, reason) in refused {
        let error = pretrain.run(cores(), &folder).unwrap_err().to_string();
        assert!(
            error.contains("gradient cache") && error.contains(reason),
            "{error}"
        );
        assert!(!folder.exists());
    }
}
