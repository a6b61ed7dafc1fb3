//! How often the interval of an accuracy holds the truth, where the truth is known: classes are
//! normal distributions, a classifier learns their centres in what a network shows of them, and its
//! accuracy with so many training images is computed from thousands of fresh ones.
#![allow(clippy::unwrap_used)]

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use simclr_augment::Seed;
use simclr_eval::analysis::{PairedComparison, Repeat, Summary};

const CLASSES: usize = 4;
const FEATURES: usize = 12;
/// Of a weaker classifier, which cannot see the axis of the last class.
const FEWER_FEATURES: usize = 3;

type Image = (Vec<f64>, usize);

#[derive(Clone, Copy)]
struct World {
    /// Where the centre of each class lies from the origin, along an axis of its own.
    distance: f64,
    /// The deviation of the logarithms of what a network makes of each feature.
    networks: f64,
    /// The deviation of the places of groups.
    groups: f64,
}

impl World {
    /// Without differences between networks or groups.
    const fn at(distance: f64) -> Self {
        Self {
            distance,
            networks: 0.0,
            groups: 0.0,
        }
    }

    fn images(self, count: usize, random: &mut ChaCha8Rng) -> Vec<Image> {
        let place = self.normal(random).map(|normal| self.groups * normal);
        let image = |_| {
            let class = random.random_range(0..CLASSES);
            let noise = self.normal(random);
            let mut features: Vec<f64> = noise.iter().zip(place).map(|(a, b)| a + b).collect();
            features[class] += self.distance;
            (features, class)
        };
        (0..count).map(image).collect()
    }

    fn normal(self, random: &mut ChaCha8Rng) -> [f64; FEATURES] {
        std::array::from_fn(|_| random.sample(StandardNormal))
    }

    fn network(self, features: usize, random: &mut ChaCha8Rng) -> Network {
        let factors = self.normal(random);
        let factors = factors.map(|normal| (self.networks * normal).exp());
        Network(factors[..features].to_vec())
    }

    /// The expected accuracy of a classifier that has seen so many groups of images.
    fn truth(self, train: &[usize], features: usize, random: &mut ChaCha8Rng) -> f64 {
        let accuracy = |_| {
            let network = self.network(features, random);
            let seen: Vec<Vec<Image>> = train
                .iter()
                .map(|&images| self.images(images, random))
                .collect();
            let centres = Centres::learn(&network, seen.iter().flatten());
            let test = self.images(if self.groups > 0.0 { 50 } else { 1000 }, random);
            let right = test.iter().map(|image| centres.is_right(&network, image));
            right.sum::<f64>() / test.len() as f64
        };
        let studies = if self.groups > 0.0 { 8000 } else { 400 };
        (0..studies).map(accuracy).sum::<f64>() / studies as f64
    }
}

/// What a network multiplies the first features with; it does not see the others.
struct Network(Vec<f64>);

impl Network {
    fn see(&self, image: &[f64]) -> Vec<f64> {
        image
            .iter()
            .zip(&self.0)
            .map(|(x, factor)| x * factor)
            .collect()
    }
}

/// The nearest centre.
struct Centres(Vec<Vec<f64>>);

impl Centres {
    fn learn<'a>(network: &Network, images: impl Iterator<Item = &'a Image>) -> Self {
        let mut sums = vec![vec![0.0; network.0.len()]; CLASSES];
        let mut counts = [0.0f64; CLASSES];
        for (image, class) in images {
            let seen = network.see(image);
            sums[*class]
                .iter_mut()
                .zip(seen)
                .for_each(|(sum, x)| *sum += x);
            counts[*class] += 1.0;
        }
        for (sum, count) in sums.iter_mut().zip(counts) {
            sum.iter_mut().for_each(|sum| *sum /= count.max(1.0));
        }
        Self(sums)
    }

    fn is_right(&self, network: &Network, (image, class): &Image) -> f64 {
        let seen = network.see(image);
        let distance = |centre: &Vec<f64>| -> f64 {
            centre.iter().zip(&seen).map(|(c, x)| (c - x).powi(2)).sum()
        };
        let nearest =
            (0..CLASSES).min_by(|&a, &b| distance(&self.0[a]).total_cmp(&distance(&self.0[b])));
        f64::from(u8::from(nearest == Some(*class)))
    }
}

/// A fold of a study.
struct Fold {
    seed: usize,
    train: Vec<usize>,
    test: Vec<usize>,
    /// The unit of each test image.
    units: Vec<usize>,
}

/// How a study cuts its images.
#[derive(Clone, Copy)]
enum Design {
    /// Each seed draws test images and cuts the others into chunks, each so large a part of all.
    Split {
        seeds: usize,
        folds: usize,
        chunk: f64,
        /// Whether a fold trains on one chunk, or on all but one.
        trains_on_one: bool,
    },
    /// Each fold is tested on one of the groups, the same with every seed.
    LeaveOneGroupOut { seeds: usize, groups: usize },
}

impl Design {
    fn groups(self) -> usize {
        match self {
            Self::Split { .. } => 1,
            Self::LeaveOneGroupOut { groups, .. } => groups,
        }
    }

    fn cut(self, images: usize, random: &mut ChaCha8Rng) -> Vec<Fold> {
        let mut all = Vec::new();
        match self {
            Self::Split {
                seeds,
                folds,
                chunk,
                trains_on_one,
            } => {
                let chunk = (chunk * images as f64) as usize;
                for seed in 0..seeds {
                    let mut order: Vec<usize> = (0..images).collect();
                    order.shuffle(random);
                    let test = order.split_off(folds * chunk);
                    for fold in 0..folds {
                        let is_train = |(place, _): &(usize, &usize)| {
                            folds == 1 || (place / chunk == fold) == trains_on_one
                        };
                        let train = order.iter().enumerate().filter(is_train);
                        all.push(Fold {
                            seed,
                            train: train.map(|(_, &image)| image).collect(),
                            units: test.clone(),
                            test: test.clone(),
                        });
                    }
                }
            }
            Self::LeaveOneGroupOut { seeds, groups } => {
                let group_of = |image: &usize| image * groups / images;
                for (seed, group) in (0..seeds).flat_map(|s| (0..groups).map(move |g| (s, g))) {
                    let (test, train): (Vec<usize>, Vec<usize>) =
                        (0..images).partition(|image| group_of(image) == group);
                    all.push(Fold {
                        seed,
                        units: vec![group; test.len()],
                        train,
                        test,
                    });
                }
            }
        }
        all
    }
}

/// What comes of the folds, with the network of each seed.
fn repeats(images: &[Image], folds: &[Fold], networks: &[Network]) -> Vec<Repeat> {
    let repeat = |fold: &Fold| {
        let network = &networks[fold.seed];
        let train = fold.train.iter().map(|&index| &images[index]);
        let centres = Centres::learn(network, train);
        let is_right = |&index: &usize| centres.is_right(network, &images[index]);
        Repeat {
            seed: Seed(fold.seed as u64),
            units: fold.units.clone(),
            values: fold.test.iter().map(is_right).collect(),
            train: fold.train.clone(),
        }
    };
    folds.iter().map(repeat).collect()
}

/// In how many of 1000 studies the intervals hold the accuracy, and the difference to a
/// classifier that sees fewer features; and how often the test finds a difference where two
/// methods are the same, networks apart.
fn coverage(world: World, images: usize, design: Design) -> (f64, f64, f64) {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let groups = design.groups();
    let train = match design.cut(images, &mut random)[0].train.len() {
        train if groups == 1 => vec![train],
        train => vec![train / (groups - 1); groups - 1],
    };
    let truth = world.truth(&train, FEATURES, &mut random);
    let fewer = world.truth(&train, FEWER_FEATURES, &mut random);
    let (mut accuracy, mut difference, mut found) = (0, 0, 0);
    let holds = |interval: Option<(f64, f64)>, truth: f64| {
        let (low, high) = interval.unwrap();
        usize::from(low <= truth && truth <= high)
    };
    for _ in 0..1000 {
        let data: Vec<Image> = (0..groups)
            .flat_map(|_| world.images(images / groups, &mut random))
            .collect();
        let folds = design.cut(images, &mut random);
        let seeds = folds.iter().map(|fold| fold.seed).max().unwrap() + 1;
        let mut networks = |features| -> Vec<Network> {
            (0..seeds)
                .map(|_| world.network(features, &mut random))
                .collect()
        };
        let [all, others] = [FEATURES; 2].map(|all| repeats(&data, &folds, &networks(all)));
        let weaker = repeats(&data, &folds, &networks(FEWER_FEATURES));
        accuracy += holds(Summary::of_shares(&all).unwrap().interval, truth);
        let pairs = PairedComparison::of(&all, &weaker).unwrap();
        difference += holds(pairs.difference.interval, truth - fewer);
        let same = PairedComparison::of(&all, &others).unwrap();
        found += usize::from(same.p_value.is_some_and(|p| p < 0.05));
    }
    let percent = |count: usize| count as f64 / 10.0;
    (percent(accuracy), percent(difference), percent(found))
}

#[test]
fn ninety_five_percent_intervals_hold_the_truth_in_about_that_many_studies() {
    let large = |seeds| Design::Split {
        seeds,
        folds: 4,
        chunk: 0.225,
        trains_on_one: false,
    };
    let small = |seeds| Design::Split {
        seeds,
        folds: 3,
        chunk: 0.1,
        trains_on_one: true,
    };
    let single = Design::Split {
        seeds: 5,
        folds: 1,
        chunk: 0.7,
        trains_on_one: false,
    };
    let left_out = |seeds| Design::LeaveOneGroupOut { seeds, groups: 6 };
    let three_left_out = Design::LeaveOneGroupOut {
        seeds: 1,
        groups: 3,
    };
    let networks = World {
        networks: 0.6,
        ..World::at(2.0)
    };
    let wells = World {
        groups: 0.6,
        ..World::at(2.0)
    };
    let wells_and_networks = World {
        networks: 0.6,
        ..wells
    };
    let mut outside = false;
    for (name, world, images, design) in [
        ("four large folds", World::at(2.0), 600, large(1)),
        (
            "four large folds, three seeds",
            World::at(2.0),
            300,
            large(3),
        ),
        (
            "four large folds, nearly perfect",
            World::at(4.0),
            600,
            large(1),
        ),
        ("three small folds", World::at(2.0), 600, small(1)),
        (
            "three small folds, three seeds",
            World::at(2.0),
            300,
            small(3),
        ),
        ("five single splits", World::at(2.0), 300, single),
        ("a network for each of three seeds", networks, 600, large(3)),
        ("a network for each of five seeds", networks, 1200, large(5)),
        ("groups left out, a single seed", wells, 300, left_out(1)),
        ("three groups left out", wells, 300, three_left_out),
        (
            "groups left out, three seeds",
            wells_and_networks,
            300,
            left_out(3),
        ),
    ] {
        let (accuracy, difference, found) = coverage(world, images, design);
        println!("{name}: accuracy {accuracy} %, difference {difference} %, found {found} %");
        let expected = 92.0..=97.0;
        outside |= !expected.contains(&accuracy) || !expected.contains(&difference) || found > 6.0;
    }
    assert!(
        !outside,
        "see above: between 92 and 97 % are expected, and 6 % found at most"
    );
}
