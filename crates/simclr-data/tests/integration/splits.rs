//! Splits, folds, budgets and class maps.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use simclr_augment::DecodedImage;
use simclr_data::{
    ClassMap, Dataset, DatasetExt, Error, Folds, Fractions, InMemory, Result, Seed, Split, Subset,
    stratified_split,
};
use simclr_testkit::seeds;

/// Labels without pictures behind them.
#[derive(Clone, Debug)]
struct LabelsOnly {
    labels: Vec<u32>,
    classes: Vec<String>,
}

impl LabelsOnly {
    /// Classes of the given sizes, their images interleaved.
    fn with_counts(counts: &[usize]) -> Self {
        let longest = counts.iter().copied().max().unwrap();
        let rounds = (0..longest).flat_map(|i| (0u32..).zip(counts).filter(move |&(_, &n)| i < n));
        Self {
            labels: rounds.map(|(label, _)| label).collect(),
            classes: (0..counts.len()).map(|c| format!("class{c}")).collect(),
        }
    }
}

impl Dataset for LabelsOnly {
    fn len(&self) -> usize {
        self.labels.len()
    }
    fn class_names(&self) -> &[String] {
        &self.classes
    }
    fn label(&self, index: usize) -> Option<u32> {
        self.labels.get(index).copied()
    }
    fn name(&self, index: usize) -> String {
        format!("image {index}")
    }
    fn decode(&self, index: usize) -> Result<DecodedImage> {
        Err(Error::Index { index, len: 0 })
    }
}

fn parts(split: &Split<Subset>) -> [&[usize]; 3] {
    [
        split.train.indices(),
        split.validation.indices(),
        split.test.indices(),
    ]
}

/// Fails unless the parts are disjoint, sorted and cover everything.
fn assert_partition(parts: [&[usize]; 3], len: usize) {
    assert_eq!(parts.iter().map(|p| p.len()).sum::<usize>(), len);
    let all: BTreeSet<usize> = parts.iter().copied().flatten().copied().collect();
    assert_eq!(all, (0..len).collect());
    assert!(parts.iter().all(|p| p.is_sorted()));
}

/// Images of a class among some indices.
fn count(set: &LabelsOnly, indices: &[usize], class: usize) -> usize {
    indices
        .iter()
        .filter(|&&i| set.labels[i] as usize == class)
        .count()
}

proptest! {
    #[test]
    fn splits_are_disjoint_covering_stratified_and_repeatable(
        counts in prop::collection::vec(20usize..80, 1..5),
        train in 0.05f64..0.7,
        validation in 0.05f64..0.3,
        seed in any::<u64>(),
    ) {
        let set = LabelsOnly::with_counts(&counts);
        let fractions = Fractions { train, validation };
        let split = set.split(fractions, Seed(seed)).unwrap();
        assert_partition(parts(&split), set.len());
        for (class, &n) in counts.iter().enumerate() {
            let share = |part: &Subset| count(&set, part.indices(), class) as f64;
            prop_assert!((share(&split.train) - train * n as f64).abs() <= 0.5 + 1e-6);
            prop_assert!((share(&split.validation) - validation * n as f64).abs() <= 1.0 + 1e-6);
        }
        let again = set.split(fractions, Seed(seed)).unwrap();
        prop_assert_eq!(parts(&split), parts(&again));
    }

    #[test]
    fn folds_have_one_test_set_and_disjoint_chunks(
        counts in prop::collection::vec(20usize..60, 1..4),
        folds in 2usize..5,
        fraction in 0.06f64..0.2,
        seed in any::<u64>(),
    ) {
        let set = LabelsOnly::with_counts(&counts);
        let small = Folds::small_train(&set, folds, fraction, Seed(seed)).unwrap();
        let large = Folds::large_train(&set, folds, fraction, Seed(seed)).unwrap();
        let mut chunks = BTreeSet::new();
        for (small_fold, large_fold) in small.iter().zip(&large) {
            assert_partition(parts(small_fold), set.len());
            // The two forms swap the roles of the same chunks.
            prop_assert_eq!(small_fold.train.indices(), large_fold.validation.indices());
            prop_assert_eq!(small_fold.validation.indices(), large_fold.train.indices());
            prop_assert_eq!(small_fold.test.indices(), small.iter().next().unwrap().test.indices());
            for &i in small_fold.train.indices() {
                prop_assert!(chunks.insert(i));
            }
            for (class, &n) in counts.iter().enumerate() {
                let share = count(&set, small_fold.train.indices(), class) as f64;
                prop_assert!((share - fraction * n as f64).abs() <= 1.0);
            }
        }
        prop_assert_eq!(small.len(), folds);
    }

    #[test]
    fn budgets_are_nested_and_keep_every_class(
        counts in prop::collection::vec(1usize..50, 1..5),
        less in 0.01f64..0.5,
        more in 0.5f64..1.0,
        seed in any::<u64>(),
    ) {
        let set = LabelsOnly::with_counts(&counts);
        let few = set.label_budget(less, Seed(seed)).unwrap();
        let many = set.label_budget(more, Seed(seed)).unwrap();
        let many_indices: BTreeSet<_> = many.indices().iter().collect();
        prop_assert!(few.indices().iter().all(|i| many_indices.contains(i)));
        for (class, &n) in counts.iter().enumerate() {
            let expected = (less * n as f64).round().max(1.0) as usize;
            prop_assert_eq!(count(&set, few.indices(), class), expected);
        }
        let images = set.unlabelled_fraction(more, Seed(seed)).unwrap();
        prop_assert_eq!(images.len(), (more * set.len() as f64).round().max(1.0) as usize);
    }
}

#[test]
fn the_papers_splits_have_the_papers_sizes() {
    let set = LabelsOnly::with_counts(&[100, 200]);
    let sizes = |split: Split<Subset>| parts(&split).map(<[usize]>::len);
    let seed = Seed(seeds::SPLITS);
    assert_eq!(
        sizes(set.split(Fractions::small_train(), seed).unwrap()),
        [30, 15, 255]
    );
    assert_eq!(
        sizes(set.split(Fractions::large_train(), seed).unwrap()),
        [210, 60, 30]
    );
    let folds = Folds::small_train(&set, 3, 0.1, seed).unwrap();
    assert!(
        folds
            .iter()
            .all(|f| parts(f).map(<[usize]>::len) == [30, 60, 210])
    );
    let set = LabelsOnly::with_counts(&[200, 400]);
    let folds = Folds::large_train(&set, 4, 0.225, seed).unwrap();
    assert!(
        folds
            .iter()
            .all(|f| parts(f).map(<[usize]>::len) == [405, 135, 60])
    );
}

#[test]
fn another_seed_is_another_split() {
    let set = LabelsOnly::with_counts(&[50, 50]);
    let split = |seed| stratified_split(&set, Fractions::small_train(), Seed(seed)).unwrap();
    assert_ne!(split(1), split(2));
}

#[test]
fn a_split_of_a_split_keeps_to_its_part() {
    let set = LabelsOnly::with_counts(&[40, 40]);
    let train = set.split(Fractions::large_train(), Seed(1)).unwrap().train;
    let few = train.label_budget(0.25, Seed(1)).unwrap();
    assert_eq!(few.class_counts(), [7, 7]);
    for i in 0..few.len() {
        let original = train.indices()[few.indices()[i]];
        assert_eq!(few.label(i), set.label(original));
        assert_eq!(few.name(i), set.name(original));
    }
}

#[test]
fn impossible_splits_say_why() {
    let set = LabelsOnly::with_counts(&[50, 4]);
    let message = |fractions| set.split(fractions, Seed(1)).unwrap_err().to_string();
    let text = message(Fractions {
        train: 0.1,
        validation: 0.05,
    });
    assert_eq!(
        text,
        "class 'class1' has 4 images, and a train fraction of 0.1 leaves none of them for training"
    );
    for (train, validation) in [
        (0.0, 0.1),
        (-0.1, 0.1),
        (0.7, 0.4),
        (0.5, -0.1),
        (f64::NAN, 0.1),
    ] {
        let result = set.split(Fractions { train, validation }, Seed(1));
        assert!(
            matches!(result, Err(Error::Setting { .. })),
            "{train} {validation}"
        );
    }
    for (folds, fraction) in [(1, 0.1), (3, 0.4), (3, 0.0)] {
        let result = Folds::small_train(&set, folds, fraction, Seed(1));
        assert!(matches!(result, Err(Error::Setting { .. })));
    }
    let result = Folds::small_train(&set, 3, 0.1, Seed(1));
    assert!(matches!(result, Err(Error::ClassTooSmall { .. })));
    assert!(set.label_budget(0.0, Seed(1)).is_err());
    assert!(set.unlabelled_fraction(1.1, Seed(1)).is_err());

    let pictures = InMemory::unlabelled(vec![DecodedImage::new(1, 1, vec![0; 3]).unwrap()]);
    let result = pictures.split(Fractions::small_train(), Seed(1));
    assert!(matches!(result, Err(Error::Unlabelled { .. })));
}

#[test]
fn in_memory_sets_check_their_labels() {
    let image = DecodedImage::new(1, 1, vec![1, 2, 3]).unwrap();
    let classes = vec!["a".to_owned()];
    assert!(InMemory::labelled(vec![image.clone()], vec![], classes.clone()).is_err());
    let wrong = InMemory::labelled(vec![image.clone()], vec![1], classes.clone());
    assert!(matches!(wrong, Err(Error::Label { label: 1, .. })));
    let set = InMemory::labelled(vec![image.clone(); 2], vec![0, 0], classes).unwrap();
    let copy = InMemory::collect(&set.subset(vec![1]).unwrap()).unwrap();
    assert_eq!(copy.images(), [image]);
    assert_eq!(
        (copy.label(0), copy.name(0)),
        (Some(0), "image 1".to_owned())
    );
    assert!(matches!(
        set.subset(vec![2]),
        Err(Error::Index { index: 2, len: 2 })
    ));
}

#[test]
fn class_maps_give_new_labels() {
    let classes = [
        "brecciated",
        "crack",
        "fall-in",
        "flow-in",
        "fractured",
        "none",
        "suck-in",
    ];
    let set = LabelsOnly {
        labels: (0..7).collect(),
        classes: classes.map(String::from).to_vec(),
    };
    let binary = set.mapped(&ClassMap::binary("none")).unwrap();
    assert_eq!(binary.class_names(), ["none", "other"]);
    assert_eq!(binary.labels("a test").unwrap(), [1, 1, 1, 1, 1, 0, 1]);
    assert_eq!(binary.class_counts(), [1, 6]);

    let regrouped = set.mapped(&ClassMap::paper_regrouped()).unwrap();
    let names = [
        "crack-fractured-brecciated",
        "fall-in-flow-in-suck-in",
        "none",
    ];
    assert_eq!(regrouped.class_names(), names);
    assert_eq!(regrouped.labels("a test").unwrap(), [0, 0, 1, 1, 0, 2, 1]);
}

#[test]
fn class_maps_are_read_from_both_kinds_of_text() {
    let folder = tempfile::tempdir().unwrap();
    let expected = ClassMap::groups([
        ("broken", vec!["crack", "fractured"]),
        ("wet", vec!["soupy"]),
    ]);
    for (name, text) in [
        (
            "map.json",
            r#"{"broken": ["crack", "fractured"], "wet": ["soupy"]}"#,
        ),
        (
            "map.txt",
            "# merged\nbroken: crack, fractured\n\nwet: soupy\n",
        ),
        // As Windows' editor saves texts.
        (
            "marked.json",
            "\u{feff}{\"broken\": [\"crack\", \"fractured\"], \"wet\": [\"soupy\"]}",
        ),
        (
            "marked.txt",
            "\u{feff}broken: crack, fractured\r\nwet: soupy\r\n",
        ),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        assert_eq!(ClassMap::from_file(&path).unwrap(), expected);
    }
    let missing = folder.path().join("missing.json");
    assert!(
        ClassMap::from_file(&missing)
            .unwrap_err()
            .to_string()
            .contains("missing.json")
    );
    for text in [
        "",
        "broken",
        "broken:",
        "broken: a,,b",
        "{\"a\": 1}",
        "{broken",
    ] {
        let path = folder.path().join("bad.txt");
        std::fs::write(&path, text).unwrap();
        let error = ClassMap::from_file(&path).unwrap_err();
        assert!(error.to_string().contains("bad.txt"), "{text}: {error}");
    }
}

#[test]
fn groups_of_classes_are_read_in_every_encoding() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("groups.txt");
    let text = "broken: crack, br\u{fc}chig\n";
    let expected = ClassMap::groups([("broken", ["crack", "br\u{fc}chig"])]);
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = format!("\u{feff}{text}");
    for bytes in [text.into(), marked.clone().into_bytes(), utf16(&marked)] {
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(ClassMap::from_file(&file).unwrap(), expected);
    }
    for (bytes, expected) in [
        (&b"broken: crack\nb: \xfc\n"[..], "line 2 is not in UTF-8"),
        (b"broken\n", "'broken' is not of the form"),
    ] {
        std::fs::write(&file, bytes).unwrap();
        let error = ClassMap::from_file(&file).unwrap_err().to_string();
        assert!(
            error.contains("groups.txt: ") && error.contains(expected),
            "{error}"
        );
    }
}

#[test]
fn class_maps_that_do_not_fit_say_why() {
    let classes = ["crack", "none"].map(String::from);
    let message = |map: ClassMap| map.resolve(&classes).unwrap_err().to_string();
    assert_eq!(
        message(ClassMap::binary("nonne")),
        "class map: there is no class 'nonne'; the classes are: crack, none"
    );
    assert!(message(ClassMap::groups([("a", ["soupy"])])).contains("no class 'soupy'"));
    assert!(message(ClassMap::groups([("a", ["crack", "crack"])])).contains("twice"));
    assert!(ClassMap::binary("none").resolve(&classes[1..]).is_err());
}
