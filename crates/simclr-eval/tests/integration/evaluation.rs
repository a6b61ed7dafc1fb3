//! Probes on features whose classes are known to be separable, or known not to be.
#![allow(clippy::unwrap_used)]

use simclr_augment::Seed;
use simclr_eval::probes::{Examples, KNearest, LinearProbe, LogisticProbe};
use simclr_testkit::formula_values;

const WIDTH: usize = 12;
const CLASSES: usize = 3;

/// Clusters around a direction per class; `noise` of 1 hides the classes.
fn clusters(name: &str, count: usize, noise: f64) -> (Vec<f32>, Vec<u32>) {
    let mut features = formula_values(name, count * WIDTH, -noise, noise);
    let labels: Vec<u32> = (0..count).map(|row| (row % CLASSES) as u32).collect();
    for (row, &label) in features.chunks_exact_mut(WIDTH).zip(&labels) {
        // A large constant feature and an offset, as real features have them.
        row[WIDTH - 1] = 5.0;
        row[label as usize] += 1.0 + 2.0;
        row[(label as usize + 1) % CLASSES] += 2.0;
        row[(label as usize + 2) % CLASSES] += 2.0;
    }
    (features, labels)
}

fn names() -> Vec<String> {
    ["none", "crack", "soupy"].map(str::to_owned).to_vec()
}

#[test]
fn every_probe_finds_clear_classes() {
    let sets = ["train", "validation", "test"].map(|name| clusters(name, 150, 0.5));
    let [train, validation, test] = sets
        .each_ref()
        .map(|(features, labels)| Examples::new(features, WIDTH, labels).unwrap());

    let probe = LinearProbe::paper()
        .fit(train, validation, test, &names())
        .unwrap();
    assert!(probe.test.accuracy > 0.98, "{probe}");
    assert_eq!(probe.epochs.len(), 25);
    assert!(probe.epochs[24].train_loss < probe.epochs[0].train_loss);

    let logistic = LogisticProbe::default()
        .fit(train, validation, test, &names())
        .unwrap();
    assert!(logistic.test.accuracy > 0.98, "{logistic}");
    assert!(
        logistic.tried.iter().all(|tried| tried.converged),
        "{:?}",
        logistic.tried
    );

    let k_nearest = KNearest::default().evaluate(train, test, &names()).unwrap();
    assert!(k_nearest.accuracy > 0.95, "{k_nearest}");
}

#[test]
fn the_same_seed_gives_the_same_probe() {
    let (features, labels) = clusters("train", 90, 1.5);
    let examples = Examples::new(&features, WIDTH, &labels).unwrap();
    let fit = |seed| {
        let probe = LinearProbe::paper().with_seed(Seed(seed)).with_epochs(3);
        probe.fit(examples, examples, examples, &names()).unwrap()
    };
    assert_eq!(fit(1), fit(1));
    assert_ne!(fit(1).epochs, fit(2).epochs);
}

#[test]
fn a_stronger_penalty_is_chosen_where_features_say_nothing() {
    let sets = ["train", "validation"].map(|name| clusters(name, 60, 1.0));
    let [train, validation] = sets
        .each_ref()
        .map(|(features, labels)| Examples::new(features, WIDTH, labels).unwrap());
    let report = LogisticProbe::default()
        .fit(train, validation, validation, &names())
        .unwrap();
    let losses = report.tried.iter().map(|tried| tried.validation_log_loss);
    let best = losses.fold(f64::INFINITY, f64::min);
    let first = report
        .tried
        .iter()
        .find(|tried| tried.validation_log_loss == best);
    assert_eq!(report.penalty, first.unwrap().penalty);
    let last = report.tried.last().unwrap();
    assert!(
        report.penalty > last.penalty,
        "weaker ones were tried: {report}"
    );
    assert!(
        report
            .tried
            .windows(2)
            .all(|pair| pair[0].penalty > pair[1].penalty)
    );
}

#[test]
fn fewer_images_than_a_batch_are_one_batch() {
    let (features, labels) = clusters("train", 9, 0.2);
    let examples = Examples::new(&features, WIDTH, &labels).unwrap();
    let report = LinearProbe::paper()
        .fit(examples, examples, examples, &names())
        .unwrap();
    assert!(report.epochs[24].train_loss < report.epochs[0].train_loss);
}

#[test]
fn a_probe_that_diverges_says_so() {
    let (features, labels) = clusters("train", 9, 0.2);
    let examples = Examples::new(&features, WIDTH, &labels).unwrap();
    let probe = LinearProbe::paper().with_learning_rate(3e38);
    let error = probe.fit(examples, examples, examples, &names());
    let error = error.unwrap_err().to_string();
    let expected = "linear probe: training diverged: the loss is ";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn unfit_sets_and_settings_are_refused() {
    let (features, labels) = clusters("train", 9, 0.2);
    let examples = Examples::new(&features, WIDTH, &labels).unwrap();
    let narrow = Examples::new(&features[..9], 1, &labels).unwrap();
    let two = &names()[..2];
    let probe = LinearProbe::paper();
    assert!(probe.fit(examples, narrow, examples, &names()).is_err());
    assert!(probe.fit(examples, examples, examples, two).is_err());
    let logistic = LogisticProbe::default();
    assert!(logistic.fit(examples, examples, narrow, &names()).is_err());
    assert!(logistic.fit(examples, examples, examples, two).is_err());
    let k_nearest = KNearest::default();
    assert!(k_nearest.evaluate(narrow, examples, &names()).is_err());
    assert!(k_nearest.evaluate(examples, examples, two).is_err());
    for k_nearest in [
        KNearest::default().with_k(0),
        KNearest::default().with_temperature(0.0),
    ] {
        assert!(k_nearest.evaluate(examples, examples, &names()).is_err());
    }
    for probe in [
        LinearProbe::paper().with_batch_size(0),
        LinearProbe::paper().with_epochs(0),
    ] {
        assert!(probe.fit(examples, examples, examples, &names()).is_err());
    }
    let none = LogisticProbe::default().with_penalties(Vec::new());
    assert!(none.fit(examples, examples, examples, &names()).is_err());
}
