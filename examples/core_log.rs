//! From photographs of core sections to a log of drilling disturbance by depth, on a synthetic
//! hole whose truth is known: tiles, self-supervision, a classifier from the labels of every
//! other section, and the log of the sections without labels beside the truth.
//!
//! `cargo run --release --example core_log`

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use simclr::classifier::{Classifier, ClassifierConfig};
use simclr::data::{
    Disturbance, Groups, ImageTable, SyntheticHole, SyntheticHoleConfig, decode_file,
};
use simclr::drillcore::{
    ColumnMap, DepthLog, DepthTable, IntervalTable, LogComparison, LogOutput, LogSettings, Tile,
    TilePrediction, TileRun, TileSettings, intervals_by_depth,
};
use simclr::eval::metrics::RocCurve;
use simclr::model::Stem;
use simclr::prelude::*;
use simclr::progress::Silent;
use simclr_cli::device::DeviceArgument;
use simclr_cli::terminal::{AnyResult, exit, say};

/// The disturbances of the hole.
const KINDS: [Disturbance; 5] = [
    Disturbance::FlowIn,
    Disturbance::None,
    Disturbance::Soupy,
    Disturbance::Brecciated,
    Disturbance::UpArching,
];

/// Makes a log of a synthetic hole from photographs of its sections.
#[derive(Debug, Parser)]
pub(crate) struct Arguments {
    /// The folder for everything. An interrupted training goes on where it stopped.
    #[arg(long, default_value = "runs/core-log")]
    pub(crate) model_dir: PathBuf,
    /// How many sections of 1.5 m are photographed.
    #[arg(long, default_value_t = 24)]
    pub(crate) sections: usize,
    /// How many kinds of disturbance there are.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(3..=5))]
    pub(crate) kinds: u8,
    /// Side of the images that the network sees, in pixels.
    #[arg(long, default_value_t = 48)]
    pub(crate) image_size: usize,
    /// Passes over the tiles.
    #[arg(long, default_value_t = 30)]
    pub(crate) train_epochs: usize,
    /// Seed of everything.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) device: DeviceArgument,
}

fn main() -> ExitCode {
    exit(|| run(&Arguments::parse()).map(|_| ()))
}

/// The log of the sections without labels, against the truth.
pub(crate) fn run(arguments: &Arguments) -> AnyResult<LogComparison> {
    let dir = &arguments.model_dir;
    let hole = arguments.photograph()?;
    let columns = ColumnMap::default();
    let depths = DepthTable::read(&dir.join("sections.csv"), &columns)?;
    let truth = IntervalTable::read(&dir.join("disturbance.csv"), &columns)?;

    // Tiles that overlap by half. Their classes come from the table of intervals.
    let cut_dir = dir.join("cut");
    if cut_dir.exists() {
        fs::remove_dir_all(&cut_dir)?;
    }
    let photographs = ImageFolder::unlabelled(dir.join("sections"))?;
    let cut = TileRun::default()
        .with_settings(TileSettings::default().with_side(80).with_overlap(0.5))
        .with_depths(Some(depths))
        .with_intervals(Some(truth.clone()))
        .cut(
            photographs.paths(),
            &cut_dir,
            |path| decode_file(path),
            |_| (),
        )?;
    let (tiles, sections) = (cut.tiles, cut.sections.len());
    say(format_args!(
        "tiles: {} of {sections} sections",
        tiles.len()
    ));

    // Self-supervision sees them all, without their classes.
    let images = ImageTable::read(cut_dir.join("tiles.csv"))?;
    let run = arguments
        .pretrain()
        .device(arguments.device.open()?)
        .run(images.clone(), dir.join("pretrain"))?;

    // The classes of every other section are known.
    let mut labelled_sections = Vec::new();
    for index in (0..hole.len()).step_by(2) {
        labelled_sections.push(hole.truth(index)?.name);
    }
    let is_labelled = |index: usize| labelled_sections.contains(&tiles[index].section);
    let class = |index: usize| tiles[index].class.as_deref();
    let labelled = images.filtered(|index| is_labelled(index) && class(index).is_some())?;
    let split = split(&labelled, arguments.seed)?;
    let config = ClassifierConfig::default().with_policy(Policy::probe(arguments.image_size));
    let classifier = Classifier::fit(&run.encoder, &split, &config, &mut Silent)?;
    classifier.save(dir.join("classifier.safetensors"))?;
    let figures = &classifier.info().figures;
    say(format_args!(
        "classifier: accuracy {:.1} % on {} test tiles; calibration error {:.3} before \
         temperature scaling and {:.3} after",
        100.0 * figures.accuracy,
        split.test.len(),
        figures.ece_before,
        figures.ece_after
    ));

    // A class that no label shows should be novel.
    let unknown = Some(KINDS[0].name());
    let known = |index: usize| class(index).is_some() && class(index) != unknown;
    let known = images.filtered(|index| is_labelled(index) && known(index))?;
    let known = self::split(&known, arguments.seed)?;
    let without = Classifier::fit(&run.encoder, &known, &config, &mut Silent)?;
    let others: Vec<usize> = (0..tiles.len())
        .filter(|&index| !is_labelled(index))
        .collect();
    let classified: Vec<usize> = others
        .iter()
        .copied()
        .filter(|&index| class(index).is_some())
        .collect();
    let novelty: Vec<f64> = without
        .predict(&images.subset(classified.clone())?)?
        .iter()
        .map(|prediction| prediction.novelty)
        .collect();
    let is_unknown: Vec<bool> = classified
        .iter()
        .map(|&index| class(index) == unknown)
        .collect();
    say(format_args!(
        "novelty: ROC area {:.3} for {}, which this classifier has never seen",
        RocCurve::new(&is_unknown, &novelty)?.area,
        KINDS[0].name()
    ));

    // The log of the sections without labels.
    let predictions = classifier.predict(&images.subset(others.clone())?)?;
    let others: Vec<Tile> = others.iter().map(|&index| tiles[index].clone()).collect();
    let by_depth = predictions
        .into_iter()
        .zip(&others)
        .map(|(prediction, tile)| {
            let (top, bottom) = (tile.top_depth_m?, tile.bottom_depth_m?);
            Some(TilePrediction::new(top, bottom, prediction.probabilities))
        });
    let by_depth: Option<Vec<TilePrediction>> = by_depth.collect();
    let log = DepthLog::new(
        &by_depth.ok_or("a tile has no depth")?,
        classifier.classes(),
        &LogSettings::default(),
    )?;
    let comparison = LogOutput::default()
        .with_well("U9999A".to_owned())
        .with_tiles(Some((&others, &cut_dir)))
        .with_truth(Some(&intervals_by_depth(&truth, &others)))
        .write(&log, &dir.join("log"))?
        .ok_or("the log was not compared")?;
    say(format_args!(
        "core_log: {:.1} % of {:.1} m without labels have the right class, half of the \
         boundaries lie within {:.1} cm -> {}",
        100.0 * comparison.agreement,
        comparison.known,
        comparison.median_boundary_error_cm().unwrap_or(f64::NAN),
        dir.join("log/log.html").display()
    ));
    Ok(comparison)
}

/// A split of tiles that have a class; tiles of a section stay together.
fn split(tiles: &ImageTable, seed: u64) -> AnyResult<Split<Subset>> {
    let groups = Groups::by_pattern(tiles, "^(.*)_r")?;
    let fractions = Fractions {
        train: 0.6,
        validation: 0.2,
    };
    Ok(tiles.split_grouped(&groups, fractions, Seed(seed))?)
}

impl Arguments {
    /// Photographs the hole, and writes the tables that its database would export.
    fn photograph(&self) -> AnyResult<SyntheticHole> {
        let config = SyntheticHoleConfig::default()
            .with_sections(self.sections)
            .with_pixels_per_cm(12.0)
            .with_kinds(KINDS[..usize::from(self.kinds)].to_vec())
            .with_seed(Seed(self.seed));
        let hole = SyntheticHole::new(config)?;
        hole.write(&self.model_dir)?;
        Ok(hole)
    }

    /// A small network.
    fn pretrain(&self) -> Pretrain {
        let mut config = PretrainConfig::resnet(18)
            .with_image_size(self.image_size)
            .with_batch_size(100)
            .with_seed(Seed(self.seed))
            .with_small_batches(self.train_epochs)
            .with_linear_classifier(false);
        config.encoder.stem = Stem::ImageNet;
        Pretrain::new(config).progress(ProgressMode::Auto)
    }
}
