//! Studies with copies of training images: the copies stay in the training part.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use candle_core::Device;
use simclr_data::{Dataset, DatasetExt, OfflineAugmentation, Seed, SyntheticCores};
use simclr_model::Encoder;
use simclr_study::{Error, FoldScheme, Protocol, Result, Study, Task, paper};

use crate::common::quick_probes;

/// Two seeds, so that what one of them trains on the other one tests on.
fn protocol(copies: Option<OfflineAugmentation>) -> Protocol {
    paper::tiny(paper::experiment_3())
        .with_folds(FoldScheme::SmallTrain {
            folds: 2,
            fraction: 0.2,
        })
        .with_label_fractions([1.0, 0.5])
        .with_seeds([Seed(1), Seed(2)])
        .with_probes(quick_probes())
        .with_offline_augmentation(copies)
}

fn study(dir: &Path, copies: Option<OfflineAugmentation>) -> Study {
    let cores = SyntheticCores::new(100, 32, Seed(1)).unwrap().shared();
    let task = Task::new("cores", cores).unwrap();
    Study::open(dir, protocol(copies), task).unwrap()
}

fn heavier() -> Option<OfflineAugmentation> {
    Some(OfflineAugmentation::heavier(Seed(1)))
}

fn names(images: &dyn Dataset) -> Vec<String> {
    (0..images.len()).map(|index| images.name(index)).collect()
}

/// The names of the originals of images, and how many of them are copies.
fn originals(names: &[String]) -> (BTreeSet<&str>, usize) {
    let original = |name: &String| name.split(".copy").next().map(str::len).unwrap_or(0);
    let copies = names.iter().filter(|name| original(name) < name.len());
    (
        names.iter().map(|name| &name[..original(name)]).collect(),
        copies.count(),
    )
}

#[test]
fn copies_are_trained_on_and_never_validated_or_tested_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut study = study(dir.path(), heavier());
    let mut split = None;
    let stopped = study.train("network", "none", |job| -> Result<_> {
        split = Some(job.split.clone());
        Err(Error::Foreign("stopped".into()))
    });
    assert!(stopped.is_err());
    let split = split.unwrap();
    let parts = [&split.train, &split.validation, &split.test].map(|part| names(part));
    let [train, validation, test] = [0, 1, 2].map(|part| originals(&parts[part]));
    assert_eq!((train.0.len(), train.1), (20, 60));
    assert_eq!((validation.0.len(), validation.1), (20, 0));
    assert_eq!((test.0.len(), test.1), (60, 0));
    assert!(train.0.is_disjoint(&validation.0) && train.0.is_disjoint(&test.0));

    for run in study.seed_runs() {
        let pool = names(run.unlabelled(1.0).unwrap().as_ref());
        let (seen, copies) = originals(&pool);
        assert_eq!((seen.len(), copies), (40, 120));
        assert_eq!(run.unlabelled_count(1.0).unwrap(), 40);
        let all = names(study.task().images().as_ref());
        let tested = &run.folds[0].test;
        assert!(tested.iter().all(|&index| !seen.contains(&*all[index])));
    }
}

#[test]
fn probes_train_on_copies_whose_features_are_not_taken_for_others() {
    let dir = tempfile::tempdir().unwrap();
    let run = |name: &str, copies: Option<OfflineAugmentation>| {
        let mut study = study(&dir.path().join(name), copies);
        let config = study.protocol().encoder().clone();
        study
            .probe("untrained", |_| -> Result<_> {
                Ok(Encoder::initialize(&config, 3, &Device::Cpu)?.frozen())
            })
            .unwrap();
        study.write_report().unwrap()
    };
    let read = |file: &str| std::fs::read_to_string(dir.path().join(file)).unwrap();
    let page = run("plain", None);
    assert!(
        !std::fs::read_to_string(page)
            .unwrap()
            .contains("augmented copies")
    );
    let page = run("augmented", heavier());
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("3 augmented copies each") && page.contains("test images have none"));

    let cells = |name: &str| read(&format!("{name}/results.csv"));
    let (plain, augmented) = (cells("plain"), cells("augmented"));
    assert_eq!(plain.lines().count(), augmented.lines().count());
    assert_ne!(plain, augmented, "the copies changed no figure");
    // The same labels: copies do not count.
    let images = |csv: &str| -> Vec<String> {
        let column = csv.lines().next().unwrap().split(',');
        let column = column
            .clone()
            .position(|name| name == "train_images")
            .unwrap();
        let rows = csv.lines().map(|row| row.split(',').nth(column).unwrap());
        rows.map(str::to_owned).collect()
    };
    assert_eq!(images(&plain), images(&augmented));
    let features = |name: &str| {
        let files = std::fs::read_dir(dir.path().join(name).join("features")).unwrap();
        files
            .map(|file| file.unwrap().file_name())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(features("plain").len(), 1);
    assert!(features("plain").is_disjoint(&features("augmented")));
    // A folder whose features have copies is not one without.
    let settings = Study::open(
        dir.path().join("augmented"),
        protocol(None),
        study(&dir.path().join("third"), None).task().clone(),
    );
    assert!(settings.is_err());
}
