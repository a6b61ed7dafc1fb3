//! Pretraining guided by depths: its place in a run, and what it refuses.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use crate::common::After;
use simclr_collective::run_threads;
use simclr_data::{Dataset, DecodedImage, DepthGuidance, DepthPosition, Seed, SyntheticCores};
use simclr_testkit::Tolerance;
use simclr_train::run::RunRecord;
use simclr_train::{Control, Error, LoopConfig, Pretrain, PretrainConfig, Result};

/// Images one after the other in a hole, the last one far below.
#[derive(Clone)]
struct Hole {
    cores: SyntheticCores,
    spacing: f64,
}

impl Dataset for Hole {
    fn len(&self) -> usize {
        self.cores.len()
    }

    fn decode(&self, index: usize) -> simclr_data::Result<DecodedImage> {
        self.cores.decode(index)
    }

    fn position(&self, index: usize) -> Option<DepthPosition> {
        let below = if index + 1 == self.len() { 100.0 } else { 0.0 };
        Some(DepthPosition {
            hole: "U1".to_owned(),
            depth: below + self.spacing * index as f64,
        })
    }
}

fn hole(spacing: f64) -> Hole {
    let cores = SyntheticCores::new(16, 32, Seed(1)).unwrap();
    Hole { cores, spacing }
}

fn guidance() -> DepthGuidance {
    DepthGuidance::default()
        .with_positive_radius(Some(0.2))
        .with_negative_distance(Some(0.5))
}

/// Two steps of eight images.
fn pretrain(guidance: DepthGuidance) -> Pretrain {
    let mut config = PretrainConfig::resnet(18)
        .with_image_size(32)
        .with_batch_size(8)
        .with_depth_guidance(guidance);
    // So that the first steps move the weights.
    config.schedule.warmup_epochs = 0.0;
    Pretrain::new(config).epochs(1).seed(Seed(3))
}

fn cached(images: usize) -> Pretrain {
    let config = pretrain(guidance()).config().clone();
    Pretrain::new(config.with_gradient_cache(images))
}

fn network(pretrain: &Pretrain, dir: &Path) -> Vec<u8> {
    std::fs::read(pretrain.run(hole(0.1), dir).unwrap().model_file).unwrap()
}

fn losses(dir: &Path) -> Vec<f64> {
    let metrics = RunRecord::read(dir).unwrap().metrics.unwrap();
    let losses = metrics.series("contrast_loss").unwrap();
    losses.into_iter().map(|(_, loss)| loss).collect()
}

#[test]
fn a_guided_run_is_the_same_however_it_is_carried_out_and_another_one_without() {
    let dir = tempfile::tempdir().unwrap();
    let folder = |name: &str| dir.path().join(name);
    let expected = network(&pretrain(guidance()), &folder("guided"));

    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build();
    let threads = || network(&pretrain(guidance()), &folder("threads"));
    assert!(pool.unwrap().install(threads) == expected);
    assert!(network(&cached(8), &folder("one chunk")) == expected);
    network(&cached(4), &folder("cached"));
    let (plain, chunked) = (losses(&folder("guided")), losses(&folder("cached")));
    assert!(
        (plain[0] - chunked[0]).abs() < 0.2 * plain[0],
        "{plain:?} {chunked:?}"
    );

    let paused = pretrain(guidance()).callback(After(1, Control::Pause));
    let error = paused.run(hole(0.1), folder("paused")).unwrap_err();
    assert!(matches!(error, Error::Paused { step: 1, .. }), "{error}");
    let refused = |pretrain: &Pretrain, hole: Hole, expected: &str| {
        let error = pretrain
            .run(hole, folder("paused"))
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    };
    let other = guidance().with_negative_distance(Some(0.6));
    refused(
        &pretrain(other),
        hole(0.1),
        "negative_distance was 0.5, is 0.6",
    );
    refused(
        &pretrain(DepthGuidance::default()),
        hole(0.1),
        "positive_radius was 0.2, is absent",
    );
    refused(&pretrain(guidance()), hole(0.11), "positions was");
    assert!(network(&pretrain(guidance()), &folder("paused")) == expected);

    let none = DepthGuidance::default();
    let unguided = network(&pretrain(none), &folder("unguided"));
    for part in [
        none.with_positive_radius(Some(0.2)),
        none.with_negative_distance(Some(0.5)),
    ] {
        let name = format!("{part:?}");
        let network = network(&pretrain(part), &folder(&name));
        assert!(network != unguided && network != expected, "{name}");
    }
    // A mask leaves fewer terms in the sums.
    let masked = losses(&folder(&format!(
        "{:?}",
        none.with_negative_distance(Some(0.5))
    )));
    assert!(
        masked[0] < losses(&folder("unguided"))[0] - 0.1,
        "{masked:?}"
    );
    let notices = std::fs::read_to_string(folder("guided").join("notices.json")).unwrap();
    assert!(
        notices.contains("1 of 16 images have no other within 0.2 m"),
        "{notices}"
    );
}

#[test]
fn ranks_mask_the_negatives_of_all() {
    let dir = tempfile::tempdir().unwrap();
    let alone = dir.path().join("alone");
    pretrain(guidance()).run(hole(0.1), &alone).unwrap();
    let runs = run_threads(2, |ranks| -> Result<()> {
        let folder = dir.path().join(format!("ranks{}", ranks.rank()));
        pretrain(guidance()).ranks(ranks).run(hole(0.1), folder)?;
        Ok(())
    });
    runs.into_iter().for_each(|run| run.unwrap());
    let (expected, found) = (losses(&alone), losses(&dir.path().join("ranks0")));
    let comparison = Tolerance::relative_to_max(2e-3).compare(&found, &expected);
    assert!(comparison.passed, "{found:?} {expected:?}");
}

#[test]
fn what_depths_cannot_guide_is_refused_before_the_folder_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("refused");
    let refused = |pretrain: Pretrain, images: std::sync::Arc<dyn Dataset>, expected: &str| {
        let error = pretrain.run(images, &folder).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!folder.exists());
    };
    let shared = |hole: Hole| -> std::sync::Arc<dyn Dataset> { std::sync::Arc::new(hole) };
    refused(pretrain(guidance()), shared(hole(0.3)), "at least 0.3000 m");
    let negative = guidance().with_negative_distance(Some(0.0));
    refused(
        pretrain(negative),
        shared(hole(0.1)),
        "negative_distance must be",
    );
    let all = DepthGuidance::default().with_negative_distance(Some(500.0));
    refused(
        pretrain(all),
        shared(hole(0.1)),
        "between the first and last image",
    );
    let cores = std::sync::Arc::new(hole(0.1).cores);
    refused(
        pretrain(guidance()),
        cores.clone(),
        "off where second views are of neighbours",
    );
    let mut config = pretrain(guidance()).config().clone();
    config.linear_classifier = false;
    refused(Pretrain::new(config), cores, "none for 16 images");
}
