//! Simulated labelling: which strategy of `simclr select` needs the fewest labels?
//!
//! `cargo run --release --example embed -- --checkpoint model.safetensors --image-dir labelled/ --out features.safetensors`
//!
//! `cargo run --release --example label_selection -- --features features.safetensors`
//!
//! Half of the images are the pool, the others the test images, and another half with each seed. A
//! strategy chooses images in rounds, they get their labels, and logistic regression learns from
//! all labels so far and is tested. The first round has no classifier, so strategies that need one
//! begin with typical images. Differences are against random choice with the same seeds.

use std::path::PathBuf;
use std::process::ExitCode;

use candle_core::{DType, Device};
use clap::Parser;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use simclr::eval::analysis::{PairedComparison, Repeat, Summary};
use simclr::eval::metrics::{ClassificationReport, softmax};
use simclr::eval::probes::{Examples, LogisticProbe};
use simclr::prelude::*;
use simclr::report::{Cell, Table};
use simclr::selection::{Pool, SelectionConfig, Strategy};
use simclr_cli::terminal::{AnyResult, exit, say};

/// Compares strategies of choosing images to label.
#[derive(Debug, Parser)]
struct Arguments {
    /// Features with labels, as `embed` writes them.
    #[arg(long)]
    features: PathBuf,
    /// Numbers of labels after each round.
    #[arg(long, value_delimiter = ',', default_value = "30,60,120")]
    labels: Vec<usize>,
    /// How many seeds.
    #[arg(long, default_value_t = 5)]
    seeds: u64,
}

/// Features, their size and labels.
struct Images {
    features: Vec<f32>,
    size: usize,
    labels: Vec<u32>,
    classes: Vec<String>,
}

impl Images {
    fn read(path: &PathBuf) -> AnyResult<Self> {
        let tensors = candle_core::safetensors::load(path, &Device::Cpu)?;
        let tensor = |name: &str| {
            let tensor = tensors.get(name);
            tensor.ok_or_else(|| format!("{}: there is no tensor `{name}`", path.display()))
        };
        let features = tensor("features")?;
        let labels: Vec<i64> = tensor("labels")?.to_dtype(DType::I64)?.to_vec1()?;
        let labels: Option<Vec<u32>> = labels.iter().map(|&label| label.try_into().ok()).collect();
        let labels = labels.ok_or("an image has no label; embed a folder of class folders")?;
        let classes = labels.iter().max().map_or(0, |label| label + 1);
        Ok(Self {
            size: features.dim(1)?,
            features: features.flatten_all()?.to_vec1()?,
            labels,
            classes: (0..classes).map(|class| class.to_string()).collect(),
        })
    }

    fn of(&self, indices: &[usize]) -> (Vec<f32>, Vec<u32>) {
        let row = |&index: &usize| &self.features[index * self.size..(index + 1) * self.size];
        let rows = indices.iter().flat_map(row).copied().collect();
        (
            rows,
            indices.iter().map(|&index| self.labels[index]).collect(),
        )
    }

    /// The logits of some images by a classifier that has learned from others.
    fn logits(&self, labelled: &[usize], others: &[usize]) -> AnyResult<Vec<f32>> {
        // Every fourth label chooses the penalty.
        let chosen = |held_out: bool| -> Vec<usize> {
            let pairs = labelled.iter().enumerate();
            let part = pairs.filter(|(place, _)| (place % 4 == 3) == held_out);
            part.map(|(_, &index)| index).collect()
        };
        let (train, validation) = (self.of(&chosen(false)), self.of(&chosen(true)));
        let others = self.of(others);
        let report = LogisticProbe::default().fit(
            Examples::new(&train.0, self.size, &train.1)?,
            Examples::new(&validation.0, self.size, &validation.1)?,
            Examples::new(&others.0, self.size, &others.1)?,
            &self.classes,
        )?;
        Ok(report.test_scores)
    }

    /// What a strategy comes to after each round.
    fn simulate(&self, strategy: Strategy, budgets: &[usize], seed: u64) -> AnyResult<Vec<Repeat>> {
        let mut order: Vec<usize> = (0..self.labels.len()).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let (pool, test) = order.split_at(order.len() / 2);
        let (features, _) = self.of(pool);
        let (_, truth) = self.of(test);
        // Places in the pool.
        let mut labelled: Vec<usize> = Vec::new();
        let mut repeats = Vec::new();
        for &budget in budgets {
            let images =
                |places: &[usize]| places.iter().map(|&place| pool[place]).collect::<Vec<_>>();
            let mut candidates = Pool::new(&features, self.size)?.with_labelled(&labelled)?;
            let mut now = strategy;
            if labelled.is_empty() {
                if matches!(strategy, Strategy::Uncertainty | Strategy::Mixed) {
                    now = Strategy::Typicality;
                }
            } else {
                let logits = self.logits(&images(&labelled), pool)?;
                let classes = self.classes.len();
                let shares: Vec<f64> = softmax(&logits, classes)
                    .iter()
                    .map(|p| p.min(1.0))
                    .collect();
                candidates = candidates.with_probabilities(shares, classes)?;
            }
            let config = SelectionConfig::default()
                .with_strategy(now)
                .with_count(budget.saturating_sub(labelled.len()))
                .with_seed(Seed(seed));
            labelled.extend(
                candidates
                    .select(&config)?
                    .iter()
                    .map(|choice| choice.index),
            );
            let scores = self.logits(&images(&labelled), test)?;
            let report = ClassificationReport::new(&scores, &truth, &self.classes)?;
            repeats.push(Repeat {
                seed: Seed(seed),
                units: test.to_vec(),
                train: images(&labelled),
                ..Repeat::of(&report)
            });
        }
        Ok(repeats)
    }
}

fn main() -> ExitCode {
    exit(|| run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> AnyResult {
    let budgets = &arguments.labels;
    if !budgets.is_sorted_by(|a, b| a < b) || budgets.first().is_none_or(|&first| first < 4) {
        return Err("--labels: expected growing numbers, 4 at least".into());
    }
    let images = Images::read(&arguments.features)?;
    if budgets
        .last()
        .is_some_and(|&last| last > images.labels.len() / 2)
    {
        return Err(format!("--labels: the pool has {} images", images.labels.len() / 2).into());
    }
    let mut table = Table::new(
        "strategies",
        "Accuracy, and the difference to random choice.",
    )
    .columns(["strategy", "labels", "accuracy", "points more than random"]);
    let mut random = Vec::new();
    for strategy in Strategy::ALL {
        let seeds = (1..=arguments.seeds).map(|seed| images.simulate(strategy, budgets, seed));
        let by_seed = seeds.collect::<AnyResult<Vec<_>>>()?;
        for (round, budget) in budgets.iter().enumerate() {
            let repeats: Vec<Repeat> = by_seed.iter().map(|rounds| rounds[round].clone()).collect();
            let accuracy = Summary::of_shares(&repeats)?;
            let difference = if strategy == Strategy::Random {
                random.push(repeats);
                String::new()
            } else {
                let difference = PairedComparison::of(&repeats, &random[round])?.difference;
                let (low, high) = difference.interval.unwrap_or((f64::NAN, f64::NAN));
                let [mean, low, high] = [difference.mean, low, high].map(|share| 100.0 * share);
                format!("{mean:.1} ({low:.1} to {high:.1})")
            };
            table = table.row([
                Cell::Text(strategy.to_string()),
                Cell::from(*budget),
                Cell::share(accuracy.mean),
                Cell::Text(difference),
            ]);
        }
    }
    say(table);
    Ok(())
}
