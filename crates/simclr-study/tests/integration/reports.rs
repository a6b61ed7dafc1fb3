//! Reports of studies with several seeds, groups and methods of any name.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use candle_core::Device;
use simclr_data::{Dataset, DatasetExt, Groups, Seed, SyntheticCores};
use simclr_eval::metrics::{ClassificationReport, RocCurve};
use simclr_model::{Encoder, SimClr, SimClrConfig};
use simclr_study::{
    Error, FoldScheme, NetworkEvaluation, Result, SeedRun, Study, StudyComparison, Task,
    TrainingJob,
};

use crate::common::protocol;

/// Images of a study.
const IMAGES: usize = 150;

fn task() -> Task {
    let cores = SyntheticCores::new(IMAGES, 32, Seed(1)).unwrap().shared();
    Task::new("cores", cores).unwrap()
}

fn study(dir: &Path, seeds: &[Seed], groups: Option<Groups>) -> Study {
    let mut task = task();
    if let Some(groups) = groups {
        task = task.with_groups(&groups).unwrap();
    }
    Study::open(dir, protocol(seeds), task).unwrap()
}

/// The labels of a job's test images.
fn test_labels(job: &TrainingJob) -> Vec<u32> {
    job.split.test.labels("a test").unwrap()
}

/// A network that gives the first class a score that falls with the position of an image.
fn ramp(job: &TrainingJob) -> Result<NetworkEvaluation> {
    let labels = test_labels(job);
    let classes = job.split.test.class_names();
    let mut test_scores = vec![0.0; labels.len() * classes.len()];
    for (index, row) in test_scores.chunks_exact_mut(classes.len()).enumerate() {
        row[0] = 1.0 - index as f32 / labels.len() as f32;
    }
    Ok(NetworkEvaluation {
        test: ClassificationReport::new(&test_scores, &labels, classes)?,
        test_scores,
    })
}

#[test]
fn details_are_of_all_folds_and_seeds_together_each_with_its_own_labels() {
    // Eleven groups of different sizes, whose images are of all classes: test images differ from
    // seed to seed.
    let groups = || {
        let keys = (0..IMAGES as u64).map(|index| ((index * 2_654_435_761) >> 13) % 11);
        Some(Groups::by_key(keys.collect::<Vec<u64>>()))
    };
    let dir = tempfile::tempdir().unwrap();
    let mut study = study(dir.path(), &[Seed(1), Seed(2)], groups());
    let (mut is_first, mut shares) = (Vec::new(), Vec::new());
    study
        .train("ramp", "ramp", |job| {
            let result = ramp(job)?;
            is_first.extend(test_labels(job).iter().map(|&label| label == 0));
            shares.extend(result.test_scores.chunks_exact(10).map(|row| {
                let raised = row.iter().map(|&score| f64::from(score).exp());
                f64::from(row[0]).exp() / raised.sum::<f64>()
            }));
            Ok::<_, Error>(result)
        })
        .unwrap();
    study.write_report().unwrap();
    let results = fs::read(dir.path().join("results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_slice(&results).unwrap();
    let table = fs::read_to_string(dir.path().join("results.csv")).unwrap();
    let cells = results["cells"].as_array().unwrap();
    assert_eq!(table.lines().count(), 1 + cells.len());
    for (row, cell) in table.lines().skip(1).zip(cells) {
        let (seed, fold) = (&cell["seed"], &cell["fold"]);
        assert!(
            row.starts_with(&format!("ramp,{seed},{fold},1,")),
            "{row}: {cell}"
        );
    }
    let page = fs::read_to_string(dir.path().join("report.html")).unwrap();
    let total = format!("taken together, {} in all", is_first.len());
    assert!(page.contains(&total), "{total}");
    let areas = fs::read_to_string(dir.path().join("tables/1-ramp-areas.csv")).unwrap();
    let first = areas.lines().nth(1).unwrap();
    let area: f64 = first.rsplit(',').next().unwrap().parse().unwrap();
    let expected = RocCurve::new(&is_first, &shares).unwrap().area;
    assert!((area - expected).abs() < 1e-12, "{first}: {expected}");
}

#[test]
fn a_study_and_a_comparison_replace_no_files_of_others() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["config.json", "predictions.csv", "report.html"] {
        let folder = dir.path().join(name).with_extension("");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(name), "{}").unwrap();
        let error = Study::open(&folder, protocol([Seed(1)]), task()).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(fs::read_to_string(folder.join(name)).unwrap(), "{}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }
    let studies = ["one", "other"].map(|name| dir.path().join(name));
    for folder in &studies {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("notes.txt"), "").unwrap();
        let mut study = study(folder, &[Seed(1)], None);
        study.train("ramp", "ramp", ramp).unwrap();
        study.write_report().unwrap();
    }
    let report = fs::read(studies[0].join("report.html")).unwrap();
    let comparison = StudyComparison::read(&studies).unwrap();
    let error = comparison.write_report(&studies[0]).unwrap_err();
    assert!(error.to_string().contains("report.html"), "{error}");
    assert_eq!(fs::read(studies[0].join("report.html")).unwrap(), report);
    let both = dir.path().join("both");
    comparison.write_report(&both).unwrap();
    comparison.write_report(&both).unwrap();
    let others = dir.path().join("others");
    fs::create_dir(&others).unwrap();
    fs::write(others.join("report.html"), "mine").unwrap();
    let error = comparison.write_report(&others).unwrap_err().to_string();
    assert!(
        error.contains("report.html") && error.contains("no report of ours"),
        "{error}"
    );
    assert_eq!(fs::read(others.join("report.html")).unwrap(), b"mine");
    assert_eq!(fs::read_dir(&others).unwrap().count(), 1);
}

#[test]
fn methods_may_have_any_name_that_can_be_told_from_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let mut study = study(dir.path(), &[Seed(1)], None);
    // Names of the report's own tables and figures, of each other's, and of other alphabets.
    let names = [
        "images",
        "f1",
        "label efficiency",
        "a",
        "a by class",
        "предобучение",
        "Größe",
        "Grüße",
    ];
    for name in names {
        study.train(name, "ramp", ramp).unwrap();
    }
    for (name, part) in [
        ("F1!", "\"F1!\" (both become `f1`)"),
        ("a", "told from \"a\""),
        ("- ?", "at least one letter or digit"),
    ] {
        let called = |_: &TrainingJob| -> Result<NetworkEvaluation> { unreachable!() };
        let error = study.train(name, "ramp", called).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    study.show_run("!", dir.path().join("no-run"));
    assert!(study.write_report().is_err());

    let page = {
        let mut again = reopened(dir.path(), study);
        for name in names {
            let called = |_: &TrainingJob| -> Result<NetworkEvaluation> { unreachable!() };
            again.train(name, "ramp", called).unwrap();
        }
        fs::read_to_string(again.write_report().unwrap()).unwrap()
    };
    for name in names {
        assert!(page.contains(&format!("<h3>{name}</h3>")), "{name}");
    }
    assert!(dir.path().join("tables/2-f1.csv").is_file());
}

fn reopened(dir: &Path, before: Study) -> Study {
    drop(before);
    study(dir, &[Seed(1)], None)
}

#[test]
fn each_group_is_left_out_once_and_self_supervision_never_sees_it() {
    let dir = tempfile::tempdir().unwrap();
    let cores = SyntheticCores::new(IMAGES, 32, Seed(1)).unwrap().shared();
    let holes = Groups::by_key((0..IMAGES).map(|image| image / 50));
    let task = Task::new("cores", cores)
        .unwrap()
        .with_groups(&holes)
        .unwrap();
    let protocol = protocol([Seed(1)]).with_folds(FoldScheme::leave_one_group_out());
    let mut study = Study::open(dir.path(), protocol, task).unwrap();
    for (hole, run) in study.seed_runs().iter().enumerate() {
        let fold = &run.folds[0];
        assert_eq!(fold.test, (hole * 50..hole * 50 + 50).collect::<Vec<_>>());
        assert_eq!((fold.train.len(), fold.validation.len()), (80, 20));
        let pool = run.unlabelled(1.0).unwrap();
        let test = fold
            .test
            .iter()
            .map(|&image| study.task().images().name(image));
        let seen: Vec<String> = (0..pool.len()).map(|image| pool.name(image)).collect();
        assert_eq!(seen.len(), 100);
        assert!(test.into_iter().all(|name| !seen.contains(&name)));
    }
    study.train("ramp", "ramp", ramp).unwrap();
    let cells: Vec<usize> = study
        .comparison()
        .unwrap()
        .cells()
        .map(|(cell, _)| cell.fold)
        .collect();
    assert_eq!(cells, [0, 1, 2]);
    study.write_report().unwrap();
    let splits = fs::read_to_string(dir.path().join("splits.csv")).unwrap();
    assert!(splits.contains("labelled,test,3,1"));
}

#[test]
fn seeds_and_label_fractions_may_be_added_to_a_study_and_not_taken_away() {
    let dir = tempfile::tempdir().unwrap();
    let open = |seeds: &[Seed], fractions: &[f64]| {
        let cores = SyntheticCores::new(IMAGES, 32, Seed(1)).unwrap().shared();
        let protocol = protocol(seeds).with_label_fractions(fractions);
        Study::open(dir.path(), protocol, Task::new("cores", cores).unwrap())
    };
    let mut evaluated = Vec::new();
    for (seeds, fractions) in [(1, vec![1.0]), (2, vec![1.0, 0.5])] {
        let seeds: Vec<Seed> = (1..=seeds).map(Seed).collect();
        let mut study = open(&seeds, &fractions).unwrap();
        let mut count = 0;
        study
            .train("ramp", "ramp", |job| {
                count += 1;
                ramp(job)
            })
            .unwrap();
        evaluated.push(count);
    }
    // Two folds first; then all but those of 2 seeds, 2 folds and 2 label fractions.
    assert_eq!(evaluated, [2, 6]);
    let error = open(&[Seed(1)], &[1.0, 0.5]).unwrap_err().to_string();
    assert!(error.contains("seeds"), "{error}");
}

#[test]
fn trained_cells_belong_to_their_settings_and_their_start() {
    let dir = tempfile::tempdir().unwrap();
    let start = |seed: u64| {
        let config = SimClrConfig::new(protocol([Seed(1)]).encoder().clone());
        SimClr::initialize(&config, seed, &Device::Cpu).unwrap()
    };
    let run = |start: Option<&SimClr>, epochs: usize| {
        let mut study = study(dir.path(), &[Seed(1)], None);
        let start = |_: &SeedRun| Ok::<_, Error>(start.cloned());
        study.fine_tune_with("fine-tuned", start, |job| {
            let mut config = job.supervised.clone();
            config.batch_size = 6;
            config.schedule.epochs = epochs;
            config
        })
    };
    run(Some(&start(1)), 1).unwrap();
    let cells = || {
        let cells = fs::read_dir(dir.path().join("cells")).unwrap();
        let cells = cells.map(|cell| fs::read_to_string(cell.unwrap().path()).unwrap());
        let mut cells: Vec<String> = cells.collect();
        cells.sort();
        cells
    };
    let recorded = cells();
    assert_eq!(recorded.len(), 2);
    // The same again is read back; another start, none, or other settings are refused by name.
    run(Some(&start(1)), 1).unwrap();
    for (start, epochs) in [(Some(start(2)), 1), (None, 1), (Some(start(1)), 2)] {
        let error = run(start.as_ref(), epochs).unwrap_err().to_string();
        assert!(
            error.contains("another network") && error.contains("fine-tuned_seed-1_fold-1"),
            "{error}"
        );
    }
    assert_eq!(cells(), recorded);
    assert!(
        !dir.path()
            .join("seed-1/fine-tuned/fold-1_labels-1")
            .exists()
    );
}

#[test]
fn a_network_without_finite_features_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut study = study(dir.path(), &[Seed(1)], None);
    let config = study.protocol().encoder().clone();
    let overgrown = |_: &SeedRun| -> Result<_> {
        let encoder = Encoder::initialize(&config, 1, &Device::Cpu)?;
        for parameter in encoder.parameters() {
            let grown = (parameter.variable.as_tensor() * 1e10)?;
            parameter.variable.set(&grown)?;
        }
        Ok(encoder.frozen())
    };
    let error = study.probe("overgrown", overgrown).unwrap_err().to_string();
    assert!(
        error.contains("the features of \"overgrown\" for ")
            && error.contains("learning rate than"),
        "{error}"
    );
}
