//! Does it help to know where images come from? Pretraining with both views of one image, against
//! pretraining whose second views are of neighbours in depth, with and without neighbours among the
//! negatives, on synthetic holes whose sediment drifts with depth.
//!
//! `cargo run --release --example depth_positives`
//!
//! Each seed has a hole of its own, on whose tiles all methods begin with the same weights. Logistic
//! regression learns the disturbance from few tiles of every other section, and is tested on the
//! sections between them. Differences are to plain pretraining with the same seeds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use simclr::data::{
    DepthGuidance, Disturbance, ImageTable, SyntheticHole, SyntheticHoleConfig, decode_file,
};
use simclr::drillcore::{ColumnMap, DepthTable, IntervalTable, Tile, TileRun, TileSettings};
use simclr::eval::analysis::{PairedComparison, Repeat, Summary};
use simclr::eval::probes::LogisticProbe;
use simclr::prelude::*;
use simclr::report::{Cell, Table};
use simclr_cli::device::DeviceArgument;
use simclr_cli::terminal::{AnyResult, exit, say};

/// Compares pretraining that knows depths with pretraining that does not.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// The folder for everything. An interrupted comparison goes on where it stopped.
    #[arg(long, default_value = "runs/depth-positives")]
    pub(crate) model_dir: PathBuf,
    /// Metres within which the second view's image is drawn.
    #[arg(long, default_value_t = 0.1)]
    pub(crate) radius: f64,
    /// Metres within which images are no negatives of each other.
    #[arg(long, default_value_t = 0.5)]
    pub(crate) mask_negatives: f64,
    /// How many seeds.
    #[arg(long, default_value_t = 5)]
    pub(crate) seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    pub(crate) first_seed: u64,
    /// How many sections of 1.5 m a hole has.
    #[arg(long, default_value_t = 16)]
    pub(crate) sections: usize,
    /// Metres within which the sediment changes.
    #[arg(long, default_value_t = 5.0)]
    pub(crate) drift: f64,
    /// How many tiles have labels.
    #[arg(long, default_value_t = 60)]
    pub(crate) labels: usize,
    /// Passes over the tiles.
    #[arg(long, default_value_t = 20)]
    pub(crate) train_epochs: usize,
    #[command(flatten)]
    pub(crate) device: DeviceArgument,
}

/// Side of the images that the network sees, in pixels.
const IMAGE_SIZE: usize = 32;

/// The tiles of a hole.
struct Hole {
    images: ImageTable,
    tiles: Vec<Tile>,
}

/// What a method comes to with one seed.
struct Outcome {
    repeat: Repeat,
    macro_f1: f64,
}

fn main() -> ExitCode {
    exit(|| run(&Arguments::parse()))
}

pub(crate) fn run(arguments: &Arguments) -> AnyResult {
    let device = arguments.device.open()?;
    let plain = DepthGuidance::default();
    let positives = plain.with_positive_radius(Some(arguments.radius));
    let mask = Some(arguments.mask_negatives);
    let methods = [
        ("plain", plain),
        ("positives", positives),
        ("mask", plain.with_negative_distance(mask)),
        ("both", positives.with_negative_distance(mask)),
    ];
    let mut outcomes: Vec<Vec<Outcome>> = methods.iter().map(|_| Vec::new()).collect();
    for seed in arguments.first_seed..arguments.first_seed + arguments.seeds {
        let dir = arguments.model_dir.join(format!("seed-{seed}"));
        let hole = arguments.hole(&dir, seed)?;
        for ((name, guidance), outcomes) in methods.iter().zip(&mut outcomes) {
            let run = arguments
                .pretrain(*guidance, seed)
                .device(device.clone())
                .run(hole.images.unlabelled(), dir.join(name))?;
            outcomes.push(arguments.judge(&run.encoder, &hole, seed)?);
        }
    }
    let mut table = Table::new(
        "depth",
        "Accuracy and macro F1 on sections without labels, and the differences to plain \
         pretraining in points: accuracy with a 95 % interval, macro F1 with its standard \
         deviation over seeds.",
    )
    .columns([
        "method",
        "accuracy",
        "macro F1",
        "accuracy: more than plain",
        "macro F1: more than plain",
    ]);
    let repeats = |outcomes: &[Outcome]| -> Vec<Repeat> {
        outcomes
            .iter()
            .map(|outcome| outcome.repeat.clone())
            .collect()
    };
    let plain = &outcomes[0];
    for ((name, _), outcomes) in methods.iter().zip(&outcomes) {
        let accuracy = Summary::of_shares(&repeats(outcomes))?;
        let f1: Vec<f64> = outcomes.iter().map(|outcome| outcome.macro_f1).collect();
        let (mut of_accuracy, mut of_f1) = (String::new(), String::new());
        if *name != "plain" {
            let difference = PairedComparison::of(&repeats(outcomes), &repeats(plain))?.difference;
            let (low, high) = difference.interval.unwrap_or((f64::NAN, f64::NAN));
            let [mean, low, high] = [difference.mean, low, high].map(|share| 100.0 * share);
            of_accuracy = format!("{mean:.1} ({low:.1} to {high:.1})");
            let pairs = f1.iter().zip(plain);
            let differences: Vec<f64> = pairs.map(|(f1, plain)| f1 - plain.macro_f1).collect();
            let difference = Summary::of(&differences)?;
            let deviation = difference.standard_deviation.unwrap_or(f64::NAN);
            of_f1 = format!("{:.1} ± {:.1}", 100.0 * difference.mean, 100.0 * deviation);
        }
        table = table.row([
            Cell::from(*name),
            Cell::share(accuracy.mean),
            Cell::share(Summary::of(&f1)?.mean),
            Cell::Text(of_accuracy),
            Cell::Text(of_f1),
        ]);
    }
    say(table);
    Ok(())
}

impl Arguments {
    /// Photographs a hole and cuts it into tiles that overlap by half.
    fn hole(&self, dir: &Path, seed: u64) -> AnyResult<Hole> {
        let config = SyntheticHoleConfig::default()
            .with_sections(self.sections)
            .with_pixels_per_cm(8.0)
            .with_drift_m(Some(self.drift))
            .with_kinds(vec![
                Disturbance::FlowIn,
                Disturbance::None,
                Disturbance::Soupy,
                Disturbance::Brecciated,
                Disturbance::UpArching,
            ])
            .with_seed(Seed(seed));
        SyntheticHole::new(config)?.write(dir)?;
        let cut = dir.join("cut");
        if cut.exists() {
            fs::remove_dir_all(&cut)?;
        }
        let columns = ColumnMap::default();
        let intervals = IntervalTable::read(&dir.join("disturbance.csv"), &columns)?;
        let photographs = ImageFolder::unlabelled(dir.join("sections"))?;
        let report = TileRun::default()
            .with_settings(TileSettings::default().with_side(40).with_overlap(0.5))
            .with_depths(Some(DepthTable::read(&dir.join("sections.csv"), &columns)?))
            .with_intervals(Some(intervals))
            .cut(photographs.paths(), &cut, |path| decode_file(path), |_| ())?;
        Ok(Hole {
            images: ImageTable::read(cut.join("tiles.csv"))?,
            tiles: report.tiles,
        })
    }

    /// A small network.
    fn pretrain(&self, guidance: DepthGuidance, seed: u64) -> Pretrain {
        let mut config = PretrainConfig::resnet(18)
            .with_image_size(IMAGE_SIZE)
            .with_batch_size(100)
            .with_seed(Seed(seed))
            .with_small_batches(self.train_epochs)
            .with_linear_classifier(false)
            .with_depth_guidance(guidance);
        config.encoder.stem = Stem::ImageNet;
        Pretrain::new(config).progress(ProgressMode::Auto)
    }

    /// Logistic regression on few labels, tested on other sections.
    fn judge(&self, encoder: &FrozenEncoder, hole: &Hole, seed: u64) -> AnyResult<Outcome> {
        let policy = Policy::probe(IMAGE_SIZE);
        // Tiles come section by section.
        let sections = hole.tiles.chunk_by(|a, b| a.section == b.section);
        let numbered = sections.enumerate();
        let section_of: Vec<usize> = numbered
            .flat_map(|(number, tiles)| vec![number; tiles.len()])
            .collect();
        let with_class = |odd: usize| {
            let tiles = hole.tiles.iter().enumerate();
            tiles
                .filter(|(index, tile)| tile.class.is_some() && section_of[*index] % 2 == odd)
                .map(|(index, _)| index)
                .collect::<Vec<_>>()
        };
        let (pool, test) = (hole.images.subset(with_class(0))?, with_class(1));
        let fraction = (self.labels as f64 / pool.len() as f64).min(1.0);
        let labelled = pool.label_budget(fraction, Seed(seed))?;
        let features = |images: &Subset| Features::extract(encoder, images.shared(), &policy);
        let (labelled, tested) = (
            features(&labelled)?,
            features(&hole.images.subset(test.clone())?)?,
        );
        // Every fourth label chooses the penalty.
        let (validation, train): (Vec<_>, Vec<_>) =
            (0..labelled.len()).partition(|place| place % 4 == 3);
        let report = LogisticProbe::default().fit(
            labelled.select(&train)?.examples()?,
            labelled.select(&validation)?.examples()?,
            tested.examples()?,
            &tested.class_names,
        )?;
        // Tiles of a section depend on each other, and each seed has a hole of its own.
        let unit = |index: &usize| seed as usize * self.sections + section_of[*index];
        Ok(Outcome {
            macro_f1: report.test.macro_f1,
            repeat: Repeat {
                seed: Seed(seed),
                units: test.iter().map(unit).collect(),
                ..Repeat::of(&report.test)
            },
        })
    }
}
