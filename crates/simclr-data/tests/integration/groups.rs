//! Splits that keep groups together.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use simclr_augment::DecodedImage;
use simclr_data::{
    Dataset, DatasetExt, Error, Folds, Fractions, Groups, Result, Seed, Split, Subset,
    stratified_split,
};
use simclr_testkit::seeds;

/// Names and labels without pictures behind them.
#[derive(Clone, Debug)]
struct Named {
    images: Vec<(String, u32)>,
    classes: Vec<String>,
}

impl Named {
    fn new(images: impl IntoIterator<Item = (String, u32)>, classes: usize) -> Self {
        Self {
            images: images.into_iter().collect(),
            classes: (0..classes).map(|c| format!("class{c}")).collect(),
        }
    }

    /// Cores with the given numbers of images of each class.
    fn cores(cores: &[Vec<usize>], classes: usize) -> Self {
        let of_core = |(core, counts): (usize, &Vec<usize>)| {
            let of_class = |(class, &count): (usize, &usize)| {
                let name = move |i| (format!("class{class}/core{core}-{i}.png"), class as u32);
                (0..count).map(name).collect::<Vec<_>>()
            };
            counts
                .iter()
                .enumerate()
                .flat_map(of_class)
                .collect::<Vec<_>>()
        };
        Self::new(cores.iter().enumerate().flat_map(of_core), classes)
    }

    fn count(&self, part: &Subset, class: usize) -> f64 {
        let of_class = |&&i: &&usize| self.images[i].1 as usize == class;
        part.indices().iter().filter(of_class).count() as f64
    }
}

impl Dataset for Named {
    fn len(&self) -> usize {
        self.images.len()
    }
    fn class_names(&self) -> &[String] {
        &self.classes
    }
    fn label(&self, index: usize) -> Option<u32> {
        Some(self.images.get(index)?.1)
    }
    fn name(&self, index: usize) -> String {
        self.images[index].0.clone()
    }
    fn decode(&self, index: usize) -> Result<DecodedImage> {
        Err(Error::Index { index, len: 0 })
    }
}

const CORE: &str = r"^(core\d+)-";

/// Fails unless every index is in exactly one part and every group too.
fn assert_whole_groups(parts: &[&[usize]], groups: &Groups) {
    let all: Vec<usize> = parts.concat();
    assert_eq!(all.len(), groups.len());
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    let groups_in = |part: &&[usize]| -> BTreeSet<usize> {
        part.iter().map(|&i| groups.group_of(i).unwrap()).collect()
    };
    let sets: Vec<_> = parts.iter().map(groups_in).collect();
    let in_parts: usize = sets.iter().map(BTreeSet::len).sum();
    assert_eq!(in_parts, groups.count(), "a group is in two parts");
}

fn parts(split: &Split<Subset>) -> [&[usize]; 3] {
    [
        split.train.indices(),
        split.validation.indices(),
        split.test.indices(),
    ]
}

proptest! {
    #[test]
    fn no_group_is_torn_and_every_image_is_used_once(
        cores in prop::collection::vec(prop::collection::vec(0usize..9, 3), 30..60),
        train in 0.2f64..0.6,
        validation in 0.15f64..0.3,
        seed in any::<u64>(),
    ) {
        let set = Named::cores(&cores, 3);
        let groups = Groups::by_pattern(&set, CORE).unwrap();
        let fractions = Fractions { train, validation };
        let split = set.split_grouped(&groups, fractions, Seed(seed)).unwrap();
        assert_whole_groups(&parts(&split), &groups);
        let again = set.split_grouped(&groups, fractions, Seed(seed)).unwrap();
        prop_assert_eq!(parts(&split), parts(&again));

        let folds = Folds::small_train_grouped(&set, &groups, 3, 0.25, Seed(seed)).unwrap();
        let chunks: Vec<&[usize]> = folds.iter().map(|fold| fold.train.indices()).collect();
        let rest = folds.iter().next().unwrap().test.indices();
        assert_whole_groups(&[&chunks[..], &[rest]].concat(), &groups);
        let large = Folds::large_train_grouped(&set, &groups, 3, 0.25, Seed(seed)).unwrap();
        for (small, large) in folds.iter().zip(&large) {
            assert_whole_groups(&parts(small), &groups);
            prop_assert_eq!(small.train.indices(), large.validation.indices());
            prop_assert_eq!(small.validation.indices(), large.train.indices());
        }
    }

    #[test]
    fn classes_have_their_shares_as_far_as_groups_allow(
        sizes in prop::collection::vec(1usize..10, 40..80),
        train in 0.2f64..0.6,
        validation in 0.1f64..0.3,
        seed in any::<u64>(),
    ) {
        // Cores of one class each, two classes in turn.
        let cores: Vec<Vec<usize>> = sizes
            .iter()
            .enumerate()
            .map(|(core, &size)| if core % 2 == 0 { vec![size, 0] } else { vec![0, size] })
            .collect();
        let set = Named::cores(&cores, 2);
        let groups = Groups::by_pattern(&set, CORE).unwrap();
        let fractions = Fractions { train, validation };
        let split = set.split_grouped(&groups, fractions, Seed(seed)).unwrap();
        for (class, &n) in set.class_counts().iter().enumerate() {
            let off = |part: &Subset, share: f64| (set.count(part, class) - share * n as f64).abs();
            // No part is further from its share than the largest group could explain.
            prop_assert!(off(&split.train, train) <= 9.0);
            prop_assert!(off(&split.validation, validation) <= 9.0);
            prop_assert!(off(&split.test, 1.0 - train - validation) <= 9.0);
        }
    }

    #[test]
    fn groups_of_one_image_give_the_shares_of_an_ordinary_split(
        counts in prop::collection::vec(20usize..60, 1..4),
        seed in any::<u64>(),
    ) {
        let images = (0u32..).zip(&counts).flat_map(|(class, &n)| vec![(format!("{class}"), class); n]);
        let set = Named::new(images, counts.len());
        let groups = Groups::by_key(0..set.len());
        let fractions = Fractions { train: 0.5, validation: 0.2 };
        let grouped = set.split_grouped(&groups, fractions, Seed(seed)).unwrap();
        let plain = set.split(fractions, Seed(seed)).unwrap();
        for class in 0..counts.len() {
            for (ours, theirs) in [
                (&grouped.train, &plain.train),
                (&grouped.validation, &plain.validation),
                (&grouped.test, &plain.test),
            ] {
                prop_assert!((set.count(ours, class) - set.count(theirs, class)).abs() <= 1.0);
            }
        }
    }
}

#[test]
fn another_seed_deals_other_groups() {
    let set = Named::cores(&vec![vec![2, 3]; 20], 2);
    let groups = Groups::by_pattern(&set, CORE).unwrap();
    let trained = |seed| {
        let split = set.split_grouped(&groups, Fractions::large_train(), Seed(seed));
        split.unwrap().train.indices().to_vec()
    };
    let different: BTreeSet<_> = (0..10).map(trained).collect();
    assert!(different.len() >= 9, "{}", different.len());
}

#[test]
fn a_plain_split_tears_the_groups_that_a_grouped_one_keeps() {
    let set = Named::cores(&vec![vec![6]; 12], 1);
    let groups = Groups::by_pattern(&set, CORE).unwrap();
    let plain = stratified_split(&set, Fractions::large_train(), Seed(seeds::SPLITS)).unwrap();
    let cores = |part: &[usize]| -> BTreeSet<_> {
        part.iter().map(|&i| groups.group_of(i).unwrap()).collect()
    };
    assert!(!cores(&plain.train).is_disjoint(&cores(&plain.test)));
}

#[test]
fn patterns_look_at_the_file_name_alone() {
    let names = [
        "crack/U1539A-1.png",
        "none/U1539A-2.png",
        "none/U1541B-1.png",
    ];
    let set = Named::new(names.map(|name| (name.to_owned(), 0)), 1);
    let members = |pattern| Groups::by_pattern(&set, pattern).unwrap().members();
    assert_eq!(members(r"^([^-]+)-"), [vec![0, 1], vec![2]]);
    // Without a capture group, all that matches is the key.
    assert_eq!(members(r"^[^-]+"), [vec![0, 1], vec![2]]);
    assert_eq!(members(r"^U\d+"), [vec![0, 1], vec![2]]);
    assert_eq!(members(r"^U15"), [vec![0, 1, 2]]);
    // Several capture groups are one key together.
    assert_eq!(members(r"^(U\d+)([AB])-(\d)"), [vec![0], vec![1], vec![2]]);
}

#[test]
fn groups_that_cannot_be_made_say_why() {
    let set = Named::cores(&[vec![2], vec![2]], 1);
    let message = |pattern| Groups::by_pattern(&set, pattern).unwrap_err().to_string();
    assert!(message("core(").contains("'core('"));
    assert!(message("well").contains("does not match the file name of 'class0/core0-0.png'"));

    let groups = Groups::by_pattern(&set, CORE).unwrap();
    let one = Groups::by_key(["the only core"; 4]);
    let error = set
        .split_grouped(&one, Fractions::large_train(), Seed(1))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("class 'class0' has 4 images in 1 group,") && error.contains("validation"),
        "{error}"
    );
    let others = Groups::by_key([0, 1]);
    assert!(others.joined(&groups).is_err());
    let error = set.split_grouped(&others, Fractions::large_train(), Seed(1));
    assert!(matches!(error, Err(Error::Setting { .. })));
    for (folds, fraction) in [(1, 0.1), (3, 0.4)] {
        let folds = Folds::large_train_grouped(&set, &groups, folds, fraction, Seed(1));
        assert!(matches!(folds, Err(Error::Setting { .. })));
    }
}

#[test]
fn joined_groups_hold_together_what_either_holds() {
    let wells = Groups::by_key(["a", "a", "b", "c", "d", "d"]);
    let twins = Groups::by_key([0, 1, 1, 2, 3, 4]);
    let joined = wells.joined(&twins).unwrap();
    assert_eq!(joined.members(), [vec![0, 1, 2], vec![3], vec![4, 5]]);
    assert_eq!(joined, twins.joined(&wells).unwrap());
}

#[test]
fn patterns_match_names_in_either_unicode_form() {
    let (composed, decomposed) = ("K\u{f6}ln", "Ko\u{308}ln");
    let names = [
        format!("x/{composed}-1.png"),
        format!("y/{decomposed}-2.png"),
    ];
    let set = Named::new(names.map(|name| (name, 0)), 1);
    for core in [composed, decomposed, "K.ln"] {
        let groups = Groups::by_pattern(&set, &format!("^({core})-")).unwrap();
        assert_eq!(groups.members(), [[0, 1]], "{core}");
    }
}
