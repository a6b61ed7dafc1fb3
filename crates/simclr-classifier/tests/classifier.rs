//! Classifiers in memory and in files.
#![allow(clippy::unwrap_used)]

use candle_core::Device;
use simclr_augment::Policy;
use simclr_checkpoint::{CheckpointFile, LoadNetwork};
use simclr_classifier::{Abstain, Classifier, ClassifierConfig, HeadConfig, HeadKind};
use simclr_data::{
    Dataset, DatasetExt, Fractions, Seed, Split, Subset, SyntheticCores, SyntheticTextures,
};
use simclr_eval::NetworkClassifier;
use simclr_eval::metrics::RocCurve;
use simclr_eval::probes::{KNearest, LinearProbe, LogisticProbe};
use simclr_model::{Encoder, FrozenEncoder, ResNetConfig, SimClr, SimClrConfig, Stem};
use simclr_progress::Silent;

fn config() -> ResNetConfig {
    ResNetConfig::depth(18).with_stem(Stem::ImageNet)
}

fn encoder() -> FrozenEncoder {
    Encoder::initialize(&config(), 1, &Device::Cpu)
        .unwrap()
        .frozen()
}

fn split() -> Split<Subset> {
    let fractions = Fractions {
        train: 0.5,
        validation: 0.25,
    };
    SyntheticCores::new(80, 32, Seed(1))
        .unwrap()
        .split(fractions, Seed(1))
        .unwrap()
}

fn settings(head: HeadConfig) -> ClassifierConfig {
    ClassifierConfig::default()
        .with_head(head)
        .with_policy(Policy::probe(32))
}

#[test]
fn every_head_says_the_same_from_its_file() {
    let (encoder, split, dir) = (encoder(), split(), tempfile::tempdir().unwrap());
    let path = dir.path().join("classifier.safetensors");
    for head in [
        HeadConfig::Logistic(LogisticProbe::default()),
        HeadConfig::LinearProbe(LinearProbe::paper().with_epochs(3)),
        HeadConfig::Neighbours(KNearest::default()),
    ] {
        let classifier = Classifier::fit(&encoder, &split, &settings(head), &mut Silent).unwrap();
        classifier.save(&path).unwrap();
        let again = Classifier::load(&path).unwrap();
        assert_eq!(again.info(), classifier.info());
        let predictions = again.predict(&split.test).unwrap();
        assert_eq!(predictions, classifier.predict(&split.test).unwrap());
        let labels = split.test.labels("a test").unwrap();
        let right = predictions
            .iter()
            .zip(&labels)
            .filter(|(prediction, label)| prediction.class == **label as usize)
            .count();
        let figures = &again.info().figures;
        assert!((figures.accuracy - right as f64 / labels.len() as f64).abs() < 1e-9);
        for prediction in &predictions {
            assert!((prediction.probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-6);
            assert!(prediction.confidence >= prediction.probabilities[prediction.second]);
            assert_eq!(
                again.decide(prediction, Abstain::Never),
                Some(prediction.class)
            );
            assert_eq!(again.decide(prediction, Abstain::Below(1.0)), None);
        }
        // The training images are near themselves.
        let known = again.predict(&split.train).unwrap();
        assert!(
            known
                .iter()
                .filter(|prediction| prediction.is_novel)
                .count()
                <= known.len() / 10
        );
    }
    // The encoder in the file is one like any other.
    assert_eq!(
        Encoder::load(&path, &Device::Cpu).unwrap().config(),
        encoder.config()
    );
}

#[test]
fn a_fine_tuned_network_brings_its_own_head() {
    let split = split();
    let network = SimClrConfig::new(config()).with_classes(10);
    let model = SimClr::initialize(&network, 3, &Device::Cpu).unwrap();
    let network = NetworkClassifier::new(model).unwrap();
    let settings = settings(HeadConfig::default());
    let classifier =
        Classifier::of_network(network.clone(), &split, &settings, &mut Silent).unwrap();
    assert_eq!(classifier.info().head, HeadKind::FineTuned);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("classifier.safetensors");
    classifier.save(&path).unwrap();
    let predictions = Classifier::load(&path)
        .unwrap()
        .predict(&split.test)
        .unwrap();
    assert_eq!(predictions, classifier.predict(&split.test).unwrap());

    let other = SimClr::initialize(
        &SimClrConfig::new(config()).with_classes(3),
        3,
        &Device::Cpu,
    )
    .unwrap();
    let other = NetworkClassifier::new(other).unwrap();
    let error = Classifier::of_network(other, &split, &settings, &mut Silent).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("a supervised head for 10 classes, found 3 classes"),
        "{error}"
    );

    // Named in another order, the network says the same of each class.
    let classes = split.train.class_names();
    let mut turned = classes.to_vec();
    turned.rotate_left(3);
    let named = network.clone().with_class_names(&turned).unwrap();
    let reordered = Classifier::of_network(named, &split, &settings, &mut Silent).unwrap();
    assert_eq!(reordered.classes(), classes);
    let again = reordered.predict(&split.test).unwrap();
    for (prediction, again) in predictions.iter().zip(&again) {
        assert_eq!(classes[again.class], turned[prediction.class]);
    }
    let mut renamed = classes.to_vec();
    renamed[0] = "granite".to_owned();
    let named = network.with_class_names(&renamed).unwrap();
    let error = Classifier::of_network(named, &split, &settings, &mut Silent).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&classes.join(", ")) && text.contains(&renamed.join(", ")),
        "{text}"
    );
}

#[test]
fn images_of_another_kind_are_novel() {
    let split = split();
    let classifier = Classifier::fit(
        &encoder(),
        &split,
        &settings(HeadConfig::default()),
        &mut Silent,
    )
    .unwrap();
    let novelty = |predictions: &[simclr_classifier::Prediction]| -> Vec<f64> {
        predictions
            .iter()
            .map(|prediction| prediction.novelty)
            .collect()
    };
    let known = novelty(&classifier.predict(&split.test).unwrap());
    let textures = SyntheticTextures::new(20, 32, Seed(2)).unwrap();
    let unknown = novelty(&classifier.predict(&textures).unwrap());
    let is_unknown: Vec<bool> = (0..known.len() + unknown.len())
        .map(|index| index >= known.len())
        .collect();
    let area = RocCurve::new(&is_unknown, &[known, unknown].concat())
        .unwrap()
        .area;
    assert!(area > 0.75, "{area}");
}

#[test]
fn files_that_are_no_classifiers_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("classifier.safetensors");
    Classifier::fit(
        &encoder(),
        &split(),
        &settings(HeadConfig::default()),
        &mut Silent,
    )
    .unwrap()
    .save(&path)
    .unwrap();
    let changed = |change: &dyn Fn(&mut CheckpointFile)| {
        let mut file = CheckpointFile::load(&path, &Device::Cpu).unwrap();
        change(&mut file);
        let other = dir.path().join("changed.safetensors");
        file.save(&other).unwrap();
        Classifier::load(&other).unwrap_err().to_string()
    };
    let entry = |file: &mut CheckpointFile, name: &str, value: serde_json::Value| {
        file.metadata.extra.get_mut("classifier").unwrap()[name] = value;
    };
    let spoil = |file: &mut CheckpointFile, name: &str, factor: f64| {
        let values = file.tensors.get_mut(name).unwrap();
        *values = (&*values * factor).unwrap();
    };
    for (change, expected) in [
        (
            &(|file: &mut CheckpointFile| file.metadata.extra.clear())
                as &dyn Fn(&mut CheckpointFile),
            "but no classifier",
        ),
        (
            &|file| entry(file, "version", 2.into()),
            "of version 2; this library reads versions up to 1",
        ),
        (
            &|file| entry(file, "temperature", 0.into()),
            "the temperature is 0",
        ),
        (
            &|file| entry(file, "colour", 1.into()),
            "unknown field `colour`",
        ),
        (
            &|file| entry(file, "classes", serde_json::json!(["a"])),
            "has a label without a class",
        ),
        (
            &|file| spoil(file, "classifier.head.kernel", f64::NAN),
            "`classifier.head.kernel`: ",
        ),
        (
            &|file| spoil(file, "classifier.bank.features", f64::INFINITY),
            "`classifier.bank.features`: ",
        ),
        (
            &|file| spoil(file, "encoder.stem.batch_norm.moving_variance", -1.0),
            "`encoder.stem.batch_norm.moving_variance`: ",
        ),
        (
            &|file| drop(file.tensors.remove("classifier.head.bias")),
            "no tensor `classifier.head.bias`",
        ),
        (
            &|file| drop(file.tensors.remove("encoder.stem.conv.kernel")),
            "encoder.stem.conv.kernel",
        ),
        (
            &|file| {
                let bias = file.tensors["classifier.head.bias"].clone();
                file.tensors.insert("more".into(), bias);
            },
            "more",
        ),
    ] {
        let message = changed(change);
        assert!(message.contains(expected), "{message}");
    }
    assert!(Classifier::load(dir.path().join("none.safetensors")).is_err());
}

#[test]
fn settings_out_of_range_are_refused() {
    let default = ClassifierConfig::default;
    assert!(default().with_bank(0).validate().is_err());
    assert!(default().with_novelty_neighbours(0).validate().is_err());
    assert!(default().with_novelty_quantile(1.0).validate().is_err());
    assert!(default().validate().is_ok());
    assert_eq!("0.6".parse(), Ok(Abstain::Below(0.6)));
    assert_eq!("conformal:0.9".parse(), Ok(Abstain::Conformal(0.9)));
    assert!("1.5".parse::<Abstain>().is_err() && "conformal:".parse::<Abstain>().is_err());
}
