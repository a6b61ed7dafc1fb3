//! The variance of a mean over repeats: of the test images, and of training.

use std::collections::{BTreeMap, BTreeSet};

use simclr_augment::Seed;

use super::repeat::Repeat;

/// How far each unit moves a mean.
type Deviations = BTreeMap<usize, f64>;

/// The variance of the mean over repeats, in its parts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Variance {
    /// Of the choice of test images.
    images: f64,
    /// How many units there are.
    pub(super) units: usize,
    /// The degrees of freedom of `images`: one less than the units if all weigh the same.
    degrees: f64,
    /// Of training, between the repeats of a seed.
    repeats: Spread,
    /// Of training, between seeds; `None` for a single one.
    seeds: Option<Spread>,
}

/// What training adds to the variance.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Spread {
    variance: f64,
    /// With what the test images explain, which was taken off: how far the estimate is to be
    /// trusted depends on it.
    observed: f64,
    degrees: f64,
    /// How often it counts.
    factor: f64,
}

impl Variance {
    /// With the variance between repeats of the same seed and test images if there are any,
    /// otherwise with what is left of that between all of a seed. `None` if all test images are of
    /// one unit.
    pub(super) fn of(repeats: &[Repeat], means: &[f64]) -> Option<Self> {
        let measured = Measured::new(repeats, means);
        measured.variance(measured.between().unwrap_or_else(|| measured.excess()))
    }

    /// The variance of a difference. Repeats of the same images differ by what their test images
    /// make of two methods, which is counted once. Methods that never differed are not taken for
    /// certain to be equal: the variance is then that of a single image that tells them apart.
    pub(super) fn of_difference(repeats: &[Repeat], means: &[f64]) -> Option<Self> {
        let measured = Measured::new(repeats, means);
        let mut variance = measured.variance(measured.excess())?;
        if variance.images == 0.0 {
            variance.images = (variance.units as f64).powi(-2);
        }
        Some(variance)
    }

    /// The variance corrected for training images that the repeats share.
    pub(super) fn with_shared_training(mut self, repeats: &[Repeat]) -> Self {
        let shared = shared_training(repeats);
        self.repeats.factor += shared;
        if let Some(seeds) = &mut self.seeds {
            seeds.factor += shared;
        }
        self
    }

    pub(super) fn total(&self) -> f64 {
        self.images + self.training().share()
    }

    /// Degrees of freedom after Welch and Satterthwaite.
    pub(super) fn degrees(&self) -> f64 {
        let training = self.training();
        let noise = training.factor * training.observed;
        let spread = self.images.powi(2) / self.degrees + noise.powi(2) / training.degrees;
        if spread > 0.0 {
            self.total().powi(2) / spread
        } else {
            self.degrees
        }
    }

    /// That between seeds has that between repeats in it, but few seeds may show less by chance.
    fn training(&self) -> Spread {
        let larger = |seeds: &Spread| seeds.share() > self.repeats.share();
        self.seeds.filter(larger).unwrap_or(self.repeats)
    }
}

impl Spread {
    fn share(&self) -> f64 {
        self.factor * self.variance
    }
}

/// Repeats with their means and those of their seeds.
struct Measured<'a> {
    repeats: &'a [Repeat],
    means: &'a [f64],
    /// The repeats of each seed.
    seeds: Vec<Vec<usize>>,
    seed_means: Vec<f64>,
    /// How far each unit moves a repeat's mean from that of its seed. The sum of their squares is
    /// the variance that a bootstrap over units finds, without its noise.
    deviations: Vec<Deviations>,
}

impl<'a> Measured<'a> {
    fn new(repeats: &'a [Repeat], means: &'a [f64]) -> Self {
        let mut seeds: BTreeMap<Seed, Vec<usize>> = BTreeMap::new();
        for (index, repeat) in repeats.iter().enumerate() {
            seeds.entry(repeat.seed).or_default().push(index);
        }
        let seeds: Vec<Vec<usize>> = seeds.into_values().collect();
        let mean_of = |of_seed: &Vec<usize>| {
            of_seed.iter().map(|&index| means[index]).sum::<f64>() / of_seed.len() as f64
        };
        let seed_means: Vec<f64> = seeds.iter().map(mean_of).collect();
        let mut deviations = vec![Deviations::new(); repeats.len()];
        for (of_seed, &mean) in seeds.iter().zip(&seed_means) {
            for &index in of_seed {
                deviations[index] = deviations_from(mean, &repeats[index]);
            }
        }
        Self {
            repeats,
            means,
            seeds,
            seed_means,
            deviations,
        }
    }

    fn variance(&self, repeats: Spread) -> Option<Variance> {
        let all = self.mean_deviations(0..self.repeats.len());
        if all.len() < 2 {
            return None;
        }
        let squares: f64 = all.values().map(|deviation| deviation.powi(2)).sum();
        let (factor, degrees) = unequal_weights(&self.weights());
        Some(Variance {
            images: squares * factor,
            units: all.len(),
            degrees,
            repeats,
            seeds: self.between_seeds(),
        })
    }

    /// How far each unit moves the mean of some repeats.
    fn mean_deviations(&self, repeats: impl ExactSizeIterator<Item = usize>) -> Deviations {
        let count = repeats.len() as f64;
        let mut mean = Deviations::new();
        for (unit, deviation) in repeats.flat_map(|index| &self.deviations[index]) {
            *mean.entry(*unit).or_default() += deviation / count;
        }
        mean
    }

    /// The share of each unit in the mean.
    fn weights(&self) -> Vec<f64> {
        let mut weights = Deviations::new();
        for repeat in self.repeats {
            let share = 1.0 / (repeat.units.len() * self.repeats.len()) as f64;
            for &unit in &repeat.units {
                *weights.entry(unit).or_default() += share;
            }
        }
        weights.into_values().collect()
    }

    /// The variance between the means of seeds less what their test images explain. A seed's
    /// repeats may share what was trained with it, so that only other seeds show what training adds.
    fn between_seeds(&self) -> Option<Spread> {
        let count = self.seeds.len();
        let degrees = count as f64 - 1.0;
        let of_seed = |seed: &Vec<usize>| self.mean_deviations(seed.iter().copied());
        let mut deviations: Vec<Deviations> = self.seeds.iter().map(of_seed).collect();
        unbiased(deviations.iter_mut().collect());
        (count > 1).then(|| Spread {
            variance: excess(&self.seed_means, &deviations, &pairs(count)),
            observed: squares(&self.seed_means) / degrees,
            degrees,
            factor: 1.0 / count as f64,
        })
    }

    /// The variance between repeats of the same seed and test images, if there are any.
    fn between(&self) -> Option<Spread> {
        let mut groups: BTreeMap<(Seed, &[usize]), Vec<f64>> = BTreeMap::new();
        for (repeat, mean) in self.repeats.iter().zip(self.means) {
            let group = groups.entry((repeat.seed, &repeat.units)).or_default();
            group.push(*mean);
        }
        let degrees = (self.repeats.len() - groups.len()) as f64;
        let squares: f64 = groups.values().map(|means| squares(means)).sum();
        (degrees > 0.0).then(|| self.between_repeats(squares / degrees, degrees))
    }

    /// The variance between the repeats of a seed less what their test images explain.
    fn excess(&self) -> Spread {
        let mut of_seeds = Vec::new();
        for seed in &self.seeds {
            let of_seed = pairs(seed.len()).into_iter();
            of_seeds.extend(of_seed.map(|(i, j)| (seed[i], seed[j])));
        }
        let degrees = (self.repeats.len() - self.seeds.len()).max(1) as f64;
        let mut deviations = self.deviations.clone();
        for seed in &self.seeds {
            let of_seed = deviations.iter_mut().enumerate();
            let of_seed = of_seed.filter(|(index, _)| seed.contains(index));
            unbiased(of_seed.map(|(_, deviations)| deviations).collect());
        }
        self.between_repeats(excess(self.means, &deviations, &of_seeds), degrees)
    }

    fn between_repeats(&self, variance: f64, degrees: f64) -> Spread {
        Spread {
            variance,
            observed: variance,
            degrees,
            factor: 1.0 / self.repeats.len() as f64,
        }
    }
}

fn deviations_from(mean: f64, repeat: &Repeat) -> Deviations {
    let mut deviations = Deviations::new();
    let images = repeat.values.len() as f64;
    for (unit, value) in repeat.units.iter().zip(&repeat.values) {
        *deviations.entry(*unit).or_default() += (value - mean) / images;
    }
    deviations
}

/// What squared deviations are to be multiplied with for a variance, and its degrees of freedom, for
/// units of these weights: Satterthwaite's, for units that vary alike (Bell and McCaffrey 2002). Of
/// n equal weights they are n / (n - 1) and n - 1; where few units weigh most, the deviations from a
/// mean that is mostly their own are too small.
fn unequal_weights(weights: &[f64]) -> (f64, f64) {
    let sum = |power| weights.iter().map(|weight| weight.powi(power)).sum::<f64>();
    let [s2, s3, s4, s5] = [2, 3, 4, 5].map(sum);
    // The traces of A and of A A, where x' A x is the sum of squared deviations of the units' x.
    let trace = s2 - 2.0 * s3 + s2 * s2;
    let of_square = s4 - 4.0 * s5 + 4.0 * s2 * s4 + 2.0 * s3 * s3 - 4.0 * s2 * s2 * s3 + s2.powi(4);
    (s2 / trace, trace * trace / of_square)
}

/// Enlarges deviations, which are from the mean of the same n units, so that their squares are those
/// from the true mean on average: by n / (n - 1).
fn unbiased(deviations: Vec<&mut Deviations>) {
    let units = deviations.iter().flat_map(|units| units.keys());
    let many = units.collect::<BTreeSet<_>>().len() as f64;
    let factor = (many / (many - 1.0).max(1.0)).sqrt();
    for deviation in deviations.into_iter().flat_map(BTreeMap::values_mut) {
        *deviation *= factor;
    }
}

/// The variance between means, as these pairs of them show it, less what their test images explain;
/// 0 without pairs.
fn excess(means: &[f64], deviations: &[Deviations], pairs: &[(usize, usize)]) -> f64 {
    let excess = |&(i, j): &(usize, usize)| {
        0.5 * ((means[i] - means[j]).powi(2) - distance(&deviations[i], &deviations[j]))
    };
    let sum: f64 = pairs.iter().map(excess).sum();
    (sum / pairs.len().max(1) as f64).max(0.0)
}

/// The sum of squared deviations from the mean.
pub(super) fn squares(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|value| (value - mean).powi(2)).sum()
}

/// The variance of the difference of two means over the choice of test images.
fn distance(first: &Deviations, second: &Deviations) -> f64 {
    let units: BTreeSet<usize> = first.keys().chain(second.keys()).copied().collect();
    let of = |deviations: &Deviations, unit: usize| deviations.get(&unit).copied().unwrap_or(0.0);
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

    /// Three repeats, two of them of one seed, with overlapping test images in groups of three.
    fn repeats() -> Vec<Repeat> {
        let repeat = |(seed, first): (u64, usize)| Repeat {
            seed: Seed(seed),
            units: (first..first + 60).map(|image| image / 3).collect(),
            values: (first..first + 60)
                .map(|image| f64::from(u8::from((image * 7 + first) % 11 < 7)))
                .collect(),
            train: (100 + first..160 + first).collect(),
        };
        [(1, 0), (1, 0), (2, 30)].map(repeat).to_vec()
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
    fn units_of_unequal_weights_count_less() {
        // By the matrix A of the quadratic form, in NumPy.
        for (sizes, factor, degrees) in [
            (
                vec![80.0, 20.0, 10.0, 5.0],
                4.653614075203252,
                1.31848186588028,
            ),
            (vec![40.0, 40.0, 1.0], 1.9978844178082191, 1.002743479062626),
            (vec![1.0; 5], 1.25, 4.0),
        ] {
            let all: f64 = sizes.iter().sum();
            let weights: Vec<f64> = sizes.iter().map(|size| size / all).collect();
            let found = unequal_weights(&weights);
            assert!((found.0 - factor).abs() < 1e-9, "{found:?}");
            assert!((found.1 - degrees).abs() < 1e-9, "{found:?}");
        }
    }

    #[test]
    fn a_group_left_out_by_each_fold_gives_a_plain_t_interval() {
        let repeat = |(group, hits): (usize, usize)| Repeat {
            seed: Seed(1),
            units: vec![group; 10],
            values: (0..10).map(|i| f64::from(u8::from(i < hits))).collect(),
            train: Vec::new(),
        };
        let repeats: Vec<Repeat> = [6, 9, 3].into_iter().enumerate().map(repeat).collect();
        let means = [0.6, 0.9, 0.3];
        let found = Variance::of(&repeats, &means).unwrap();
        // The variance of three means, a third of it, and two degrees of freedom.
        assert!((found.total() - 0.09 / 3.0).abs() < 1e-12, "{found:?}");
        assert!((found.degrees() - 2.0).abs() < 1e-9, "{found:?}");
    }

    #[test]
    fn the_variance_between_repeats_is_that_of_the_same_test_images() {
        let variance = Variance::of(&repeats(), &[0.5, 0.7, 0.1]).unwrap();
        let Spread {
            variance, degrees, ..
        } = variance.repeats;
        assert!((variance - 0.02).abs() < 1e-12 && degrees == 1.0);
        let single = repeats()[..1].to_vec();
        let variance = Variance::of(&single, &[0.5]).unwrap();
        assert_eq!((variance.repeats.variance, variance.seeds), (0.0, None));
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
