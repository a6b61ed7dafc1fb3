//! `simclr explain`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use candle_core::{IndexOp, Tensor};
use clap::Args;
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use simclr_classifier::{Classifier, Heatmap};
use simclr_data::{Dataset, DatasetExt, ImageFiles, ImageTable, ViewLoader, decode_file};
use simclr_drillcore::{Tile, read_tiles};
use simclr_files::normalized_name;
use simclr_progress::{ProgressMode, Stage, StepUpdate};
use simclr_report::Report;

use crate::device::DeviceArgument;
use crate::folders::check_outside;
use crate::images::{self, png};
use crate::outputs::check_report;
use crate::terminal::{AnyResult, complain, say};

/// Width of one of the pictures side by side, in pixels.
const WIDTH: u32 = 192;
/// Pixels between them.
const SPACE: u32 = 8;
/// How the names of the files begin with the pictures of images, and of sections.
const IMAGE: &str = "image";
const SECTION: &str = "section";

/// Shows which parts of images a classifier read their classes from.
///
/// Writes `report.html` with a picture of each image, or of each section whose tiles are given:
/// the image, its occlusion map and, where the classifier's head allows, its class-activation map.
/// Orange speaks for the predicted class, blue against it.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A folder of images, or the `tiles.csv` of `simclr tiles`.
    images: PathBuf,
    /// A classifier, as `simclr probe` makes it.
    #[arg(long)]
    classifier: PathBuf,
    /// The folder for pictures and page, outside of the images'.
    #[arg(long)]
    out: PathBuf,
    /// Leave out images of a folder that cannot be read, and list them.
    #[arg(long)]
    skip_unreadable: bool,
    /// Only these sections of a `tiles.csv` (repeatable).
    #[arg(long)]
    section: Vec<String>,
    /// The occlusion map has so many cells a side; it takes the square of it in predictions.
    #[arg(long, default_value_t = 6)]
    cells: usize,
    /// At most so many images.
    #[arg(long, default_value_t = 100)]
    most: usize,
    #[command(flatten)]
    device: DeviceArgument,
}

/// An image with its maps.
struct Explained {
    name: String,
    class: String,
    confidence: f64,
    /// Image, occlusion and class activation, as far as there is one.
    pictures: Vec<RgbImage>,
}

impl Arguments {
    pub(crate) fn run(&self, progress: ProgressMode) -> AnyResult {
        check_report("--out", &self.out)?;
        let is_folder = self.images.is_dir();
        if is_folder {
            check_outside("--out", &self.out, [&self.images])?;
        } else if self.skip_unreadable {
            return Err("--skip-unreadable is for a folder, and a table of tiles was given".into());
        }
        let classifier = Classifier::load_on(&self.classifier, &self.device.open()?)?;
        let report = if is_folder {
            if !self.section.is_empty() {
                return Err(
                    "--section is for a tiles.csv, and a folder of images was given".into(),
                );
            }
            self.of_folder(&classifier, progress)?
        } else {
            self.of_sections(&classifier, progress)?
        };
        images::remove_pictures(&self.out, &[IMAGE, SECTION])?;
        let page = report.write(&self.out)?;
        say(format_args!("explain: {}", page.display()));
        Ok(())
    }

    fn report(&self) -> Report {
        let question = "Which parts of an image does the classifier read its class from?";
        let legend = "From left to right: the image, its occlusion map (by how much the class's \
                      probability falls where a square is covered) and its class-activation map \
                      (what each place adds to the class's logit beyond what it adds to the other \
                      classes'). Orange speaks for the class, blue against it; each map is scaled \
                      to its own largest value.";
        Report::new("Why", question).text(legend)
    }

    fn of_folder(&self, classifier: &Classifier, progress: ProgressMode) -> AnyResult<Report> {
        let images = images::of_folder(&self.images, self.skip_unreadable)?;
        let count = images.len().min(self.most);
        let paths = images.paths()[..count].to_vec();
        let subset = images.subset(Vec::from_iter(0..count))?;
        let explained = self.explain(classifier, &subset, &paths, progress)?;
        if count < images.len() {
            let left = images.len() - count;
            complain(format_args!(
                "warning: {left} more images are left out by --most"
            ));
        }
        let mut report = self.report();
        for (index, image) in explained.iter().enumerate() {
            let caption = format!("{}: {} ({:.2})", image.name, image.class, image.confidence);
            let picture = beside(&image.pictures);
            report = report.image(format!("{IMAGE}-{}", index + 1), png(picture)?, caption);
        }
        Ok(report)
    }

    fn of_sections(&self, classifier: &Classifier, progress: ProgressMode) -> AnyResult<Report> {
        let tiles = read_tiles(&self.images)?;
        let folders: BTreeSet<PathBuf> = tiles.iter().map(|tile| self.folder_of(tile)).collect();
        check_outside("--out", &self.out, &folders)?;
        let sections: BTreeSet<&str> = tiles.iter().map(|tile| tile.section.as_str()).collect();
        let is_same = |one: &str, other: &str| normalized_name(one) == normalized_name(other);
        let is_missing = |section: &&String| !sections.iter().any(|known| is_same(known, section));
        if let Some(section) = self.section.iter().find(is_missing) {
            let table = self.images.display();
            let some = Vec::from_iter(sections.iter().copied().take(5)).join(", ");
            let count = sections.len();
            return Err(format!(
                "{table}: there is no section {section} among its {count} ({some}, ...)"
            )
            .into());
        }
        let chosen = |index: &usize| {
            let section = &tiles[*index].section;
            self.section.is_empty() || self.section.iter().any(|asked| is_same(asked, section))
        };
        let all: Vec<usize> = (0..tiles.len()).filter(chosen).collect();
        let indices: Vec<usize> = all.iter().copied().take(self.most).collect();
        if indices.len() < all.len() {
            let left = all.len() - indices.len();
            complain(format_args!(
                "warning: {left} more tiles are left out by --most"
            ));
        }
        let images = ImageTable::read(&self.images)?;
        if images.len() != tiles.len() {
            let (table, rows) = (self.images.display(), tiles.len());
            let reason = format!("{table}: {rows} rows are about {} tiles", images.len());
            return Err(reason.into());
        }
        images::check_files(&self.images, &images, indices.iter().copied())?;
        // Where they are, which may be under another Unicode form of the table's names.
        let paths = indices.iter().filter_map(|&index| images.file(index));
        let paths: Vec<PathBuf> = paths.collect();
        let images = images.subset(indices.clone())?;
        let explained = self.explain(classifier, &images, &paths, progress)?;
        let mut sections: BTreeMap<&str, Vec<(&Tile, &Explained)>> = BTreeMap::new();
        for (&index, explained) in indices.iter().zip(&explained) {
            let tile = &tiles[index];
            sections
                .entry(&tile.section)
                .or_default()
                .push((tile, explained));
        }
        let mut report = self.report();
        for (index, (section, mut tiles)) in sections.into_iter().enumerate() {
            tiles.sort_by_key(|(tile, _)| tile.top);
            let runs = tiles.chunk_by(|a, b| a.1.class == b.1.class);
            let classes: Vec<&str> = runs.map(|run| run[0].1.class.as_str()).collect();
            let caption = format!("{section}, from the top: {}", classes.join(", "));
            let name = format!("{SECTION}-{}", index + 1);
            report = report.image(name, png(strip(&tiles))?, caption);
        }
        Ok(report)
    }

    /// The folder of a tile: the highest one beside the table.
    fn folder_of(&self, tile: &Tile) -> PathBuf {
        let mut steps = Path::new(&tile.tile).components();
        match (steps.next(), steps.next()) {
            (Some(folder), Some(_)) => self.images.with_file_name(folder),
            _ => self.images.with_file_name(""),
        }
    }

    fn explain(
        &self,
        classifier: &Classifier,
        images: &(impl Dataset + Clone + 'static),
        paths: &[PathBuf],
        progress: ProgressMode,
    ) -> AnyResult<Vec<Explained>> {
        let policy = classifier.info().policy.clone();
        let loader = ViewLoader::evaluation(images.shared(), policy, 1)?;
        let mut progress = progress.start(Stage::new("explain", images.len() as u64));
        let mut explained = Vec::with_capacity(images.len());
        for (batch, path) in loader.epochs(0..1)?.zip(paths) {
            let view = batch?.views.i(0)?;
            explained.push(self.explain_one(classifier, &view, path)?);
            progress.step(&StepUpdate {
                images: 1,
                ..StepUpdate::default()
            });
        }
        progress.finish("done");
        Ok(explained)
    }

    fn explain_one(
        &self,
        classifier: &Classifier,
        view: &Tensor,
        path: &Path,
    ) -> AnyResult<Explained> {
        let predictions = classifier.predict_batch(&view.unsqueeze(0)?)?;
        let prediction = predictions.first().ok_or("the classifier said nothing")?;
        let class = prediction.class;
        let image = RgbImage::try_from(decode_file(path)?)?;
        let height = WIDTH * image.height() / image.width().max(1);
        let small = imageops::resize(&image, WIDTH, height.max(1), FilterType::Triangle);
        let mut maps = vec![classifier.occlusion(view, class, self.cells)?];
        // Some heads have none.
        maps.extend(classifier.class_activation(view, class).ok());
        let drawn = maps
            .iter()
            .map(|map| overlay(&small, map))
            .collect::<Vec<_>>();
        let name = path.file_name().unwrap_or_default();
        Ok(Explained {
            name: name.to_string_lossy().into_owned(),
            class: classifier.classes()[class].clone(),
            confidence: prediction.confidence,
            pictures: [vec![small], drawn].concat(),
        })
    }
}

/// A grey picture with a map in colours over it.
fn overlay(picture: &RgbImage, map: &Heatmap) -> RgbImage {
    let largest = map
        .values
        .iter()
        .fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
    let (width, height) = (f64::from(picture.width()), f64::from(picture.height()));
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let value = map.at((f64::from(y) + 0.5) / height, (f64::from(x) + 0.5) / width) / largest;
        let [red, green, blue] = picture.get_pixel(x, y).0.map(f32::from);
        let grey = 0.299 * red + 0.587 * green + 0.114 * blue;
        let color = if value > 0.0 {
            [230.0, 120.0, 0.0]
        } else {
            [0.0, 100.0, 200.0]
        };
        let strength = 0.75 * value.abs().min(1.0);
        Rgb(color.map(|color| (grey * (1.0 - strength) + color * strength) as u8))
    })
}

/// Pictures of one height beside each other.
fn beside(pictures: &[RgbImage]) -> RgbImage {
    let height = pictures.iter().map(RgbImage::height).max().unwrap_or(1);
    let columns = pictures.len() as u32;
    let mut all = white(columns * (WIDTH + SPACE) - SPACE, height);
    for (column, picture) in (0..).zip(pictures) {
        imageops::replace(&mut all, picture, i64::from(column * (WIDTH + SPACE)), 0);
    }
    all
}

/// The tiles of a section where they lie in its photograph.
fn strip(tiles: &[(&Tile, &Explained)]) -> RgbImage {
    let top = tiles.iter().map(|(tile, _)| tile.top).min().unwrap_or(0);
    let row = |tile: &Tile| {
        let scale = f64::from(WIDTH) / tile.width.max(1) as f64;
        ((tile.top - top) as f64 * scale) as u32
    };
    let drawn: Vec<(u32, RgbImage)> = tiles
        .iter()
        .map(|(tile, explained)| (row(tile), beside(&explained.pictures)))
        .collect();
    let height = drawn
        .iter()
        .map(|(row, picture)| row + picture.height())
        .max();
    let width = drawn.iter().map(|(_, picture)| picture.width()).max();
    let mut all = white(width.unwrap_or(1), height.unwrap_or(1));
    for (row, picture) in &drawn {
        imageops::replace(&mut all, picture, 0, i64::from(*row));
    }
    all
}

fn white(width: u32, height: u32) -> RgbImage {
    RgbImage::from_pixel(width, height, Rgb([255; 3]))
}
