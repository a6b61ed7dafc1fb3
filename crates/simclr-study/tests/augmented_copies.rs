//! Studies with copies of training images: the copies stay in the training part.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use candle_core::Device;
use simclr_data::{Dataset, DatasetExt, OfflineAugmentation, Seed, SyntheticCores};
use simclr_eval::Judge;
use simclr_eval::evaluation::{KNearest, LinearProbe, LogisticProbe};
use simclr_model::Encoder;
use simclr_study::{Error, Result, paper};
use simclr_study::{FoldScheme, Protocol, Study, Task};

/// Two seeds, so that what one of them trains on the other one tests on.
fn protocol(enlargement: Option<OfflineAugmentation>) -> Protocol {
    Protocol {
        folds: FoldScheme::SmallTrain {
            folds: 2,
            fraction: 0.2,
        },
        label_fractions: vec![1.0, 0.5],
        seeds: vec![1, 2],
        judge: Judge {
            linear: LinearProbe {
                epochs: 1,
                batch_size: 10,
                ..LinearProbe::paper()
            },
            logistic: LogisticProbe {
                penalties: vec![1.0],
                steps: 5,
                ..LogisticProbe::default()
            },
            nearest: KNearest::default(),
        },
        enlargement,
        ..paper::tiny(paper::experiment_3())
    }
}

fn study(dir: &Path, enlargement: Option<OfflineAugmentation>) -> Study {
    let cores = SyntheticCores::new(100, 32, Seed(1)).unwrap().shared();
    let task = Task::new("cores", cores).unwrap();
    Study::open(dir, protocol(enlargement), task).unwrap()
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
    let stopped = study.train("network", |trial| -> Result<_> {
        split = Some(trial.split.clone());
        Err(Error::Setting {
            setting: "training",
            expected: "none".into(),
            found: "one".into(),
        })
    });
    assert!(stopped.is_err());
    let split = split.unwrap();
    let parts = [&split.train, &split.validation, &split.test].map(|part| names(part));
    let [train, validation, test] = [0, 1, 2].map(|part| originals(&parts[part]));
    assert_eq!((train.0.len(), train.1), (20, 60));
    assert_eq!((validation.0.len(), validation.1), (20, 0));
    assert_eq!((test.0.len(), test.1), (60, 0));
    assert!(train.0.is_disjoint(&validation.0) && train.0.is_disjoint(&test.0));

    for repetition in study.repetitions() {
        let pool = names(repetition.unlabelled(1.0).unwrap().as_ref());
        let (seen, copies) = originals(&pool);
        assert_eq!((seen.len(), copies), (40, 120));
        assert_eq!(repetition.unlabelled_count(1.0).unwrap(), 40);
        let all = names(study.task().images().as_ref());
        let tested = &repetition.folds[0].test;
        assert!(tested.iter().all(|&index| !seen.contains(&*all[index])));
    }
}

#[test]
fn probes_train_on_copies_whose_features_are_not_taken_for_others() {
    let dir = tempfile::tempdir().unwrap();
    let run = |name: &str, enlargement: Option<OfflineAugmentation>| {
        let mut study = study(&dir.path().join(name), enlargement);
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
            .contains("copies each")
    );
    let page = run("enlarged", heavier());
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("3 copies each") && page.contains("Validation and test images are not"));

    let cells = |name: &str| read(&format!("{name}/results.csv"));
    let (plain, enlarged) = (cells("plain"), cells("enlarged"));
    assert_eq!(plain.lines().count(), enlarged.lines().count());
    assert_ne!(plain, enlarged, "the copies changed no figure");
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
    assert_eq!(images(&plain), images(&enlarged));
    let features = |name: &str| {
        let files = std::fs::read_dir(dir.path().join(name).join("features")).unwrap();
        files
            .map(|file| file.unwrap().file_name())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(features("plain").len(), 1);
    assert!(features("plain").is_disjoint(&features("enlarged")));
    // A folder whose features have copies is not one without.
    let settings = Study::open(
        dir.path().join("enlarged"),
        protocol(None),
        study(&dir.path().join("third"), None).task().clone(),
    );
    assert!(settings.is_err());
}
