//! From photographs of core sections to a log of drilling disturbance by depth, on a synthetic
//! hole whose truth is known: tiles, self-supervision, a classifier from the labels of every
//! other section, and the log of the sections without labels beside the truth.
//!
//! `cargo run --release --example core_log`

use std::fs;
use std::path::{Path, PathBuf};
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
    let truth = IntervalTable::read(&dir.join("disturbance.csv"), &ColumnMap::default())?;
    let tiles = cut(dir, &truth)?;

    // Self-supervision sees all tiles, without their classes.
    let images = ImageTable::read(dir.join("cut/tiles.csv"))?;
    let run = arguments
        .pretrain()
        .device(arguments.device.open()?)
        .run(images.clone(), dir.join("pretrain"))?;

    // The classes of every other section are known.
    let mut labelled_sections = Vec::new();
    for index in (0..hole.len()).step_by(2) {
        labelled_sections.push(hole.truth(index)?.name);
    }
    let is_labelled = |index: &usize| labelled_sections.contains(&tiles[*index].section);
    let (labelled, others) = (0..tiles.len()).partition(is_labelled);
    let core = Core {
        arguments,
        encoder: run.encoder,
        images,
        tiles,
        labelled,
        others,
    };
    let classifier = core.classifier()?;
    core.look_for_the_unknown()?;
    core.log(&classifier, &truth)
}

/// Cuts the photographs into tiles that overlap by half. Their classes come from the table of
/// intervals.
fn cut(dir: &Path, truth: &IntervalTable) -> AnyResult<Vec<Tile>> {
    let cut_dir = dir.join("cut");
    if cut_dir.exists() {
        fs::remove_dir_all(&cut_dir)?;
    }
    let depths = DepthTable::read(&dir.join("sections.csv"), &ColumnMap::default())?;
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
    let (tiles, sections) = (cut.tiles.len(), cut.sections.len());
    say(format_args!("tiles: {tiles} of {sections} sections"));
    Ok(cut.tiles)
}

/// The tiles of the hole, and an encoder that has seen them.
struct Core<'a> {
    arguments: &'a Arguments,
    encoder: FrozenEncoder,
    images: ImageTable,
    tiles: Vec<Tile>,
    /// The tiles of sections whose classes are known, and the others.
    labelled: Vec<usize>,
    others: Vec<usize>,
}

impl Core<'_> {
    fn class(&self, index: usize) -> Option<&str> {
        self.tiles[index].class.as_deref()
    }

    /// A classifier from the labels.
    fn classifier(&self) -> AnyResult<Classifier> {
        let (classifier, tested) = self.fit(|_| true)?;
        classifier.save(self.arguments.model_dir.join("classifier.safetensors"))?;
        let figures = &classifier.info().figures;
        say(format_args!(
            "classifier: accuracy {:.1} % on {tested} test tiles; calibration error {:.3} before \
             temperature scaling and {:.3} after",
            100.0 * figures.accuracy,
            figures.ece_before,
            figures.ece_after
        ));
        Ok(classifier)
    }

    /// A class that no label shows should be novel.
    fn look_for_the_unknown(&self) -> AnyResult {
        let unknown = KINDS[0].name();
        let (without, _) = self.fit(|class| class != unknown)?;
        let others = self.others.iter().copied();
        let classified: Vec<usize> = others.filter(|&i| self.class(i).is_some()).collect();
        let predictions = without.predict(&self.images.subset(classified.clone())?)?;
        let novelty: Vec<f64> = predictions.iter().map(|tile| tile.novelty).collect();
        let is_unknown = classified.iter().map(|&i| self.class(i) == Some(unknown));
        say(format_args!(
            "novelty: ROC area {:.3} for {unknown}, which this classifier has never seen",
            RocCurve::new(&is_unknown.collect::<Vec<_>>(), &novelty)?.area,
        ));
        Ok(())
    }

    /// A classifier of those labelled tiles whose class is to be used, and how many it was tested
    /// on.
    fn fit(&self, is_used: impl Fn(&str) -> bool) -> AnyResult<(Classifier, usize)> {
        let is_used = |index| self.class(index).is_some_and(&is_used);
        let labelled = |index| self.labelled.contains(&index) && is_used(index);
        let split = split(&self.images.filtered(labelled)?, self.arguments.seed)?;
        let policy = Policy::probe(self.arguments.image_size);
        let config = ClassifierConfig::default().with_policy(policy);
        let classifier = Classifier::fit(&self.encoder, &split, &config, &mut Silent)?;
        Ok((classifier, split.test.len()))
    }

    /// The log of the sections without labels.
    fn log(&self, classifier: &Classifier, truth: &IntervalTable) -> AnyResult<LogComparison> {
        let predictions = classifier.predict(&self.images.subset(self.others.clone())?)?;
        let tiles: Vec<Tile> = self.others.iter().map(|&i| self.tiles[i].clone()).collect();
        let by_depth = predictions.into_iter().zip(&tiles);
        let by_depth = by_depth.map(|(prediction, tile)| {
            let (top, bottom) = (tile.top_depth_m?, tile.bottom_depth_m?);
            Some(TilePrediction::new(top, bottom, prediction.probabilities))
        });
        let by_depth: Option<Vec<TilePrediction>> = by_depth.collect();
        let log = DepthLog::new(
            &by_depth.ok_or("a tile has no depth")?,
            classifier.classes(),
            &LogSettings::default(),
        )?;
        let dir = &self.arguments.model_dir;
        let comparison = LogOutput::default()
            .with_well("U9999A".to_owned())
            .with_tiles(Some((&tiles, &dir.join("cut"))))
            .with_truth(Some(&intervals_by_depth(truth, &tiles)))
            .write(&log, &dir.join("log"))?
            .ok_or("the log was not compared")?;
        let page = dir.join("log/log.html");
        say(format_args!(
            "core_log: {} -> {}",
            summary(&comparison),
            page.display()
        ));
        Ok(comparison)
    }
}

/// How the log of the sections without labels compares with the truth.
pub(crate) fn summary(comparison: &LogComparison) -> String {
    let error = comparison.median_boundary_error_cm();
    let error = error.map_or("none".to_owned(), |error| format!("{error:.1} cm"));
    format!(
        "{:.1} % of {:.1} m without labels have the right class; boundaries: median error {error}",
        100.0 * comparison.agreement,
        comparison.known
    )
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
