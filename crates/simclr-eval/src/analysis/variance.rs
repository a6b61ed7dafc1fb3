//! The variance of a mean over repeats: of the test images, and of training.

use std::collections::{BTreeMap, BTreeSet};

use super::repeat::Repeat;

/// The variance of the mean over repeats, in its two parts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Variance {
    /// Of the choice of test images.
    images: f64,
    /// How many units there are.
    pub(super) units: usize,
    /// Between repeats, and its degrees of freedom; 0 and 1 for a single repeat.
    between: (f64, f64),
    /// How often the variance between repeats counts.
    factor: f64,
}

impl Variance {
    /// With the variance between repeats of the same test images if there are any, otherwise
    /// with what is left of that between all. `None` if all test images are of one unit.
    pub(super) fn of(repeats: &[Repeat], means: &[f64]) -> Option<Self> {
        let same_images = || between(repeats, means);
        Self::new(repeats, means, |deviations| {
            same_images().unwrap_or_else(|| excess(means, deviations))
        })
    }

    /// The variance of a difference. Repeats of the same images differ by what their test images
    /// make of two methods, which is counted once. Methods that never differed are not taken for
    /// certain to be equal: the variance is then that of a single image that tells them apart.
    pub(super) fn of_difference(repeats: &[Repeat], means: &[f64]) -> Option<Self> {
        let mut variance = Self::new(repeats, means, |deviations| excess(means, deviations))?;
        if variance.images == 0.0 {
            variance.images = (variance.units as f64).powi(-2);
        }
        Some(variance)
    }

    fn new(
        repeats: &[Repeat],
        means: &[f64],
        between: impl Fn(&[BTreeMap<usize, f64>]) -> (f64, f64),
    ) -> Option<Self> {
        let count = repeats.len() as f64;
        let deviations: Vec<_> = repeats.iter().zip(means).map(deviations).collect();
        let mut units: BTreeMap<usize, f64> = BTreeMap::new();
        for (unit, deviation) in deviations.iter().flatten() {
            *units.entry(*unit).or_default() += deviation / count;
        }
        if units.len() < 2 {
            return None;
        }
        let many = units.len() as f64;
        let squares: f64 = units.values().map(|deviation| deviation.powi(2)).sum();
        Some(Self {
            images: squares * many / (many - 1.0),
            units: units.len(),
            between: between(&deviations),
            factor: 1.0 / count,
        })
    }

    /// The variance corrected for training images that the repeats share.
    pub(super) fn with_shared_training(mut self, repeats: &[Repeat]) -> Self {
        self.factor += shared_training(repeats);
        self
    }

    pub(super) fn total(&self) -> f64 {
        self.images + self.factor * self.between.0
    }

    /// Degrees of freedom after Welch and Satterthwaite.
    pub(super) fn degrees(&self) -> f64 {
        let images = self.units as f64 - 1.0;
        let (between, degrees) = (self.factor * self.between.0, self.between.1);
        let spread = self.images.powi(2) / images + between.powi(2) / degrees;
        if spread > 0.0 {
            self.total().powi(2) / spread
        } else {
            images
        }
    }
}

/// How far each unit moves the mean of a repeat. The sum of their squares is the variance that
/// a bootstrap over units finds, without its noise.
fn deviations((repeat, mean): (&Repeat, &f64)) -> BTreeMap<usize, f64> {
    let mut deviations = BTreeMap::new();
    let images = repeat.values.len() as f64;
    for (unit, value) in repeat.units.iter().zip(&repeat.values) {
        *deviations.entry(*unit).or_default() += (value - mean) / images;
    }
    deviations
}

/// The variance between repeats of the same test images and its degrees of freedom, if there
/// are any.
fn between(repeats: &[Repeat], means: &[f64]) -> Option<(f64, f64)> {
    let mut groups: BTreeMap<&[usize], Vec<f64>> = BTreeMap::new();
    for (repeat, mean) in repeats.iter().zip(means) {
        groups.entry(&repeat.units).or_default().push(*mean);
    }
    let degrees = (repeats.len() - groups.len()) as f64;
    let squares: f64 = groups.values().map(|means| squares(means)).sum();
    (degrees > 0.0).then_some((squares / degrees, degrees))
}

/// The variance between all repeats less what their test images explain, and its degrees of
/// freedom.
fn excess(means: &[f64], deviations: &[BTreeMap<usize, f64>]) -> (f64, f64) {
    let pairs = pairs(means.len());
    if pairs.is_empty() {
        return (0.0, 1.0);
    }
    let excess = |&(i, j): &(usize, usize)| {
        0.5 * ((means[i] - means[j]).powi(2) - distance(&deviations[i], &deviations[j]))
    };
    let mean = pairs.iter().map(excess).sum::<f64>() / pairs.len() as f64;
    (mean.max(0.0), means.len() as f64 - 1.0)
}

/// The sum of squared deviations from the mean.
pub(super) fn squares(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|value| (value - mean).powi(2)).sum()
}

/// The variance of the difference of two means over the choice of test images.
fn distance(first: &BTreeMap<usize, f64>, second: &BTreeMap<usize, f64>) -> f64 {
    let units: BTreeSet<usize> = first.keys().chain(second.keys()).copied().collect();
    let of = |deviations: &BTreeMap<usize, f64>, unit: usize| {
        deviations.get(&unit).copied().unwrap_or(0.0)
    };
    let difference = |unit: usize| of(first, unit) - of(second, unit);
    units.into_iter().map(|unit| difference(unit).powi(2)).sum()
}

/// Nadeau and Bengio's `n_test / n_train`, at most `overlap / (1 - overlap)` with the share of
/// training images that two repeats have in common on average.
fn shared_training(repeats: &[Repeat]) -> f64 {
    let pairs = pairs(repeats.len());
    let train: Vec<BTreeSet<usize>> = repeats
        .iter()
        .map(|repeat| repeat.train.iter().copied().collect())
        .collect();
    let images = train.iter().map(BTreeSet::len).sum::<usize>() as f64;
    if pairs.is_empty() || images == 0.0 {
        return 0.0;
    }
    let share = |&(i, j): &(usize, usize)| {
        let common = train[i].intersection(&train[j]).count() as f64;
        common / train[i].len().max(train[j].len()).max(1) as f64
    };
    let overlap = pairs.iter().map(share).sum::<f64>() / pairs.len() as f64;
    let test = repeats
        .iter()
        .map(|repeat| repeat.values.len())
        .sum::<usize>() as f64;
    (test / images).min(overlap / (1.0 - overlap).max(1e-9))
}

fn pairs(count: usize) -> Vec<(usize, usize)> {
    (0..count)
        .flat_map(|i| (0..i).map(move |j| (i, j)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Three repeats with overlapping test images in groups of three.
    fn repeats() -> Vec<Repeat> {
        let repeat = |first: usize| Repeat {
            units: (first..first + 60).map(|image| image / 3).collect(),
            values: (first..first + 60)
                .map(|image| f64::from(u8::from((image * 7 + first) % 11 < 7)))
                .collect(),
            train: (100 + first..160 + first).collect(),
        };
        [0, 0, 30].map(repeat).to_vec()
    }

    #[test]
    fn the_variance_of_the_test_images_is_that_of_a_bootstrap() {
        let repeats = repeats();
        let mean = |repeat: &Repeat| repeat.values.iter().sum::<f64>() / 60.0;
        let means: Vec<f64> = repeats.iter().map(mean).collect();
        let found = Variance::of(&repeats, &means).unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let bootstrap = |_| {
            let mut weights = vec![0.0; found.units];
            for _ in 0..found.units {
                weights[random.random_range(0..found.units)] += 1.0;
            }
            let weighted = |repeat: &Repeat| {
                let weight = |&unit: &usize| weights[unit];
                let all: f64 = repeat.units.iter().map(weight).sum();
                let pairs = repeat.units.iter().map(weight).zip(&repeat.values);
                pairs.map(|(weight, value)| weight * value).sum::<f64>() / all
            };
            repeats.iter().map(weighted).sum::<f64>() / 3.0
        };
        let means: Vec<f64> = (0..20_000).map(bootstrap).collect();
        let expected = squares(&means) / means.len() as f64;
        let ratio = found.images / expected;
        assert!((0.9..1.1).contains(&ratio), "{} {expected}", found.images);
    }

    #[test]
    fn the_variance_between_repeats_is_that_of_the_same_test_images() {
        let variance = Variance::of(&repeats(), &[0.5, 0.7, 0.1]).unwrap();
        let (between, degrees) = variance.between;
        assert!((between - 0.02).abs() < 1e-12 && degrees == 1.0);
        let single = repeats()[..1].to_vec();
        let variance = Variance::of(&single, &[0.5]).unwrap();
        assert_eq!(variance.between, (0.0, 1.0));
        assert_eq!(shared_training(&single), 0.0);
    }

    #[test]
    fn repeats_that_share_no_training_images_are_not_corrected() {
        let mut repeats = repeats();
        // Overlaps of 60, 30 and 30 of 60: two thirds; as many test as training images.
        assert!((shared_training(&repeats) - 1.0).abs() < 1e-12);
        for (index, repeat) in repeats.iter_mut().enumerate() {
            repeat.train = (index * 100..index * 100 + 60).collect();
        }
        assert_eq!(shared_training(&repeats), 0.0);
    }
}
