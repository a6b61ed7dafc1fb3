//! How often the interval of an accuracy holds the truth, where the truth is known: classes are
//! normal distributions, a classifier learns their centres, and its accuracy with so many
//! training images is computed from thousands of fresh ones.
#![allow(clippy::unwrap_used)]

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use simclr_eval::analysis::{PairedComparison, Repeat, Summary};

const CLASSES: usize = 4;
const FEATURES: usize = 12;
/// Of a weaker classifier, which cannot see the axis of the last class.
const FEWER_FEATURES: usize = 3;

type Image = (Vec<f64>, usize);

/// Where the centre of each class lies from the origin, along an axis of its own.
#[derive(Clone, Copy)]
struct World(f64);

impl World {
    fn images(self, count: usize, random: &mut ChaCha8Rng) -> Vec<Image> {
        let image = |_| {
            let class = random.random_range(0..CLASSES);
            let noise = (0..FEATURES).map(|_| random.sample::<f64, _>(StandardNormal));
            let mut features: Vec<f64> = noise.collect();
            features[class] += self.0;
            (features, class)
        };
        (0..count).map(image).collect()
    }

    /// The expected accuracy of a classifier that has seen `train` images.
    fn truth(self, train: usize, features: usize, random: &mut ChaCha8Rng) -> f64 {
        let accuracy = |_| {
            let centres = Centres::learn(self.images(train, random).iter(), features);
            let test = self.images(1000, random);
            test.iter()
                .map(|image| centres.is_right(image))
                .sum::<f64>()
                / 1000.0
        };
        (0..400).map(accuracy).sum::<f64>() / 400.0
    }
}

/// The nearest centre in the first features.
struct Centres(Vec<Vec<f64>>);

impl Centres {
    fn learn<'a>(images: impl Iterator<Item = &'a Image>, features: usize) -> Self {
        let mut sums = vec![vec![0.0; features]; CLASSES];
        let mut counts = [0.0f64; CLASSES];
        for (image, class) in images {
            sums[*class]
                .iter_mut()
                .zip(image)
                .for_each(|(sum, x)| *sum += x);
            counts[*class] += 1.0;
        }
        for (sum, count) in sums.iter_mut().zip(counts) {
            sum.iter_mut().for_each(|sum| *sum /= count.max(1.0));
        }
        Self(sums)
    }

    fn is_right(&self, (image, class): &Image) -> f64 {
        let distance = |centre: &Vec<f64>| -> f64 {
            centre.iter().zip(image).map(|(c, x)| (c - x).powi(2)).sum()
        };
        let nearest =
            (0..CLASSES).min_by(|&a, &b| distance(&self.0[a]).total_cmp(&distance(&self.0[b])));
        f64::from(u8::from(nearest == Some(*class)))
    }
}

/// How a study cuts its images.
#[derive(Clone, Copy)]
struct Design {
    seeds: usize,
    folds: usize,
    /// Parts that a fold trains on: all but one of its chunks, or a single one.
    chunk: f64,
    trains_on_one: bool,
}

impl Design {
    /// Training and test images of every fold of every seed.
    fn cut(self, images: usize, random: &mut ChaCha8Rng) -> Vec<(Vec<usize>, Vec<usize>)> {
        let mut cells = Vec::new();
        let chunk = (self.chunk * images as f64) as usize;
        for _ in 0..self.seeds {
            let mut order: Vec<usize> = (0..images).collect();
            order.shuffle(random);
            let test = order.split_off(self.folds * chunk);
            for fold in 0..self.folds {
                let is_train =
                    |index: usize| self.folds == 1 || (index / chunk == fold) == self.trains_on_one;
                let train = order
                    .iter()
                    .enumerate()
                    .filter(|(index, _)| is_train(*index));
                cells.push((train.map(|(_, &image)| image).collect(), test.clone()));
            }
        }
        cells
    }
}

fn repeats(images: &[Image], cells: &[(Vec<usize>, Vec<usize>)], features: usize) -> Vec<Repeat> {
    let repeat = |(train, test): &(Vec<usize>, Vec<usize>)| {
        let centres = Centres::learn(train.iter().map(|&index| &images[index]), features);
        Repeat {
            units: test.clone(),
            values: test.iter().map(|&i| centres.is_right(&images[i])).collect(),
            train: train.clone(),
        }
    };
    cells.iter().map(repeat).collect()
}

/// In how many of 1000 studies the intervals hold the accuracy, and the difference to a
/// classifier that sees fewer features.
fn coverage(world: World, images: usize, design: Design) -> (f64, f64) {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let train = design.cut(images, &mut random)[0].0.len();
    let truth = world.truth(train, FEATURES, &mut random);
    let fewer = world.truth(train, FEWER_FEATURES, &mut random);
    let (mut accuracy, mut difference) = (0, 0);
    let holds = |interval: Option<(f64, f64)>, truth: f64| {
        let (low, high) = interval.unwrap();
        usize::from(low <= truth && truth <= high)
    };
    for _ in 0..1000 {
        let data = world.images(images, &mut random);
        let cells = design.cut(images, &mut random);
        let all = repeats(&data, &cells, FEATURES);
        accuracy += holds(Summary::of_shares(&all).unwrap().interval, truth);
        let pairs = PairedComparison::of(&all, &repeats(&data, &cells, FEWER_FEATURES)).unwrap();
        difference += holds(pairs.difference.interval, truth - fewer);
    }
    (accuracy as f64 / 10.0, difference as f64 / 10.0)
}

#[test]
fn ninety_five_percent_intervals_hold_the_truth_in_about_that_many_studies() {
    let large = |seeds| Design {
        seeds,
        folds: 4,
        chunk: 0.225,
        trains_on_one: false,
    };
    let small = |seeds| Design {
        seeds,
        folds: 3,
        chunk: 0.1,
        trains_on_one: true,
    };
    let single = Design {
        seeds: 5,
        folds: 1,
        chunk: 0.7,
        trains_on_one: false,
    };
    let mut outside = false;
    for (name, distance, images, design) in [
        ("four large folds", 2.0, 600, large(1)),
        ("four large folds, three seeds", 2.0, 300, large(3)),
        ("four large folds, nearly perfect", 4.0, 600, large(1)),
        ("three small folds", 2.0, 600, small(1)),
        ("three small folds, three seeds", 2.0, 300, small(3)),
        ("five single splits", 2.0, 300, single),
    ] {
        let (accuracy, difference) = coverage(World(distance), images, design);
        println!("{name}: accuracy {accuracy} %, difference {difference} %");
        let expected = 92.0..=97.0;
        outside |= !expected.contains(&accuracy) || !expected.contains(&difference);
    }
    assert!(!outside, "see above: between 92 and 97 % are expected");
}
