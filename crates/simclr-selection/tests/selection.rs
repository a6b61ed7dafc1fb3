//! What each strategy chooses of images whose structure is known.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use simclr_selection::{Choice, Pool, Seed, SelectionConfig, Strategy};

/// Directions of the plane in four bundles: 40, 30, 20 and 10 images.
const SIZES: [usize; 4] = [40, 30, 20, 10];

fn bundle(index: usize) -> usize {
    let mut end = 0;
    let ends = SIZES.map(|size| {
        end += size;
        end
    });
    ends.iter().position(|end| index < *end).unwrap()
}

fn pool() -> Pool {
    let angle = |index: usize| {
        let inside = (index * 7 % 10) as f32 / 10.0 - 0.45;
        1.5 * bundle(index) as f32 + 0.2 * inside
    };
    let features: Vec<f32> = (0..100)
        .flat_map(|index| [3.0 * angle(index).cos(), 3.0 * angle(index).sin()])
        .collect();
    Pool::new(&features, 2).unwrap()
}

/// Sure about the first bundle, unsure about the others, most of all about the last.
fn probabilities() -> Vec<f64> {
    let sure = [1.0, 0.7, 0.65, 0.55];
    let row = |index| [sure[bundle(index)], 1.0 - sure[bundle(index)]];
    (0..100).flat_map(row).collect()
}

fn select(pool: &Pool, strategy: Strategy, count: usize) -> Vec<Choice> {
    let config = SelectionConfig::default()
        .with_strategy(strategy)
        .with_count(count);
    pool.select(&config.with_seed(Seed(3))).unwrap()
}

fn indices(choices: &[Choice]) -> Vec<usize> {
    choices.iter().map(|choice| choice.index).collect()
}

fn bundles(choices: &[Choice]) -> Vec<usize> {
    choices.iter().map(|choice| bundle(choice.index)).collect()
}

#[test]
fn clusters_without_labels_come_first_and_the_large_ones_first_of_all() {
    let chosen = select(&pool(), Strategy::Typicality, 4);
    assert_eq!(bundles(&chosen), [0, 1, 2, 3]);
    assert!(
        chosen[0]
            .reason
            .contains("typical of 40 similar images with no label")
    );
    // The first bundle has a label.
    let pool = pool().with_labelled(&[5]).unwrap();
    assert_eq!(bundles(&select(&pool, Strategy::Typicality, 3)), [1, 2, 3]);
}

#[test]
fn a_mixture_prefers_what_the_classifier_is_unsure_of() {
    let pool = pool().with_probabilities(probabilities(), 2).unwrap();
    let chosen = bundles(&select(&pool, Strategy::Mixed, 4));
    assert_eq!(chosen.iter().copied().collect::<BTreeSet<_>>().len(), 4);
    // 30 * 0.6 and 20 * 0.7 doubts weigh more than 40 certainties.
    assert_eq!(chosen, [1, 2, 3, 0]);
    assert_eq!(bundles(&select(&pool, Strategy::Uncertainty, 10)), [3; 10]);
}

#[test]
fn a_coreset_goes_to_the_farthest() {
    let pool = pool().with_labelled(&[0]).unwrap();
    let chosen = bundles(&select(&pool, Strategy::Coreset, 3));
    // The third bundle lies opposite to the first; the others are about as far from both.
    assert_eq!(chosen[0], 2);
    assert_eq!(chosen.into_iter().collect::<BTreeSet<_>>().len(), 3);
}

#[test]
fn features_count_whatever_their_size() {
    let chosen = |size: f32| {
        let features: Vec<f32> = (0..60)
            .map(|index| (index * 37 % 101) as f32 / 101.0 - 0.4)
            .map(|value| value * size)
            .collect();
        let pool = Pool::new(&features, 3).unwrap();
        [Strategy::Coreset, Strategy::Typicality]
            .map(|strategy| indices(&select(&pool, strategy, 6)))
    };
    for size in [-120, -80, 80, 120].map(|power| 2f32.powi(power)) {
        assert_eq!(chosen(size), chosen(1.0), "{size}");
    }
}

#[test]
fn no_image_is_chosen_twice_and_none_that_has_a_label() {
    let labelled: Vec<usize> = (0..100).step_by(3).collect();
    let pool = pool().with_probabilities(probabilities(), 2).unwrap();
    let pool = pool.with_labelled(&labelled).unwrap();
    for strategy in Strategy::ALL {
        assert_eq!(strategy.to_string().parse(), Ok(strategy));
        let chosen = select(&pool, strategy, 1000);
        let indices: BTreeSet<usize> = chosen.iter().map(|choice| choice.index).collect();
        assert_eq!((chosen.len(), indices.len()), (66, 66), "{strategy}");
        assert!(indices.iter().all(|index| index % 3 > 0), "{strategy}");
        assert_eq!(chosen, select(&pool, strategy, 1000), "{strategy}");
    }
}

#[test]
fn groups_give_no_more_than_they_may() {
    let groups = (0..100).map(|index| index / 10).collect();
    let pool = pool().with_probabilities(probabilities(), 2).unwrap();
    let pool = pool.with_groups(groups).unwrap();
    for strategy in Strategy::ALL {
        let config = SelectionConfig::default()
            .with_strategy(strategy)
            .with_count(15)
            .with_per_group(Some(2));
        let mut counts = [0; 10];
        for choice in pool.select(&config).unwrap() {
            counts[choice.index / 10] += 1;
        }
        assert_eq!(counts.iter().sum::<usize>(), 15, "{strategy}");
        assert!(
            counts.iter().all(|count| *count <= 2),
            "{strategy}: {counts:?}"
        );
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let message = |result: simclr_selection::Result<Pool>| result.unwrap_err().to_string();
    assert!(message(Pool::new(&[1.0; 5], 2)).contains("rows of 2 numbers"));
    assert!(message(Pool::new(&[1.0, f32::NAN], 1)).contains("NaN of image 1"));
    assert!(message(pool().with_labelled(&[100])).contains("indices below 100, found 100"));
    assert!(
        message(pool().with_probabilities(vec![0.5; 10], 2)).contains("expected 200, found 10")
    );
    assert!(message(pool().with_probabilities(vec![2.0; 200], 2)).contains("between 0 and 1"));
    assert!(message(pool().with_groups(vec![1])).contains("expected 100, found 1"));
    let config = SelectionConfig::default();
    let error = pool().select(&config).unwrap_err().to_string();
    assert!(
        error.contains("for the strategy mixed, found none"),
        "{error}"
    );
    assert!(pool().select(&config.with_count(0)).is_err());
}
