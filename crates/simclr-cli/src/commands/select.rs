//! `simclr select`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::Args;
use image::{DynamicImage, RgbImage};
use simclr_classifier::Classifier;
use simclr_data::{Dataset, DatasetExt, Groups, ImageFolder, Seed, decode_file};
use simclr_files::{FileFinder, FirstSpellings, normalized_name};
use simclr_labels::{LabelFormat, read_labels};
use simclr_progress::{ProgressMode, Stage};
use simclr_report::{Cell, Report, Table};
use simclr_selection::{Choice, Pool, SelectionConfig, Strategy};

use crate::device::DeviceArgument;
use crate::folders::check_outside;
use crate::images::{self, png};
use crate::outputs::{check_report, foreign_part};
use crate::terminal::{AnyResult, say};

/// Side of the pictures on the page, in pixels.
const THUMBNAIL: u32 = 160;
/// The name of the table.
const TABLE: &str = "next.csv";
/// How the names of the pictures' files begin.
const PICTURE: &str = "image";

/// Says which images to label next, and why.
///
/// Writes `next.csv` (rank, image, the most probable classes, the reason; the column `class` is
/// empty for the label) and `report.html` with the pictures.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The images: a folder, searched to the bottom.
    images: PathBuf,
    /// A classifier, as `simclr probe` makes it: its encoder's features say which images look
    /// alike, its probabilities about which it is unsure.
    #[arg(long)]
    classifier: PathBuf,
    /// The folder for table and page, outside of the images'.
    #[arg(long)]
    out: PathBuf,
    /// Leave out images that cannot be read, and list them.
    #[arg(long)]
    skip_unreadable: bool,
    /// How images are chosen: random, uncertainty, coreset, typicality or mixed.
    #[arg(long, default_value_t = Strategy::Mixed)]
    strategy: Strategy,
    /// How many images.
    #[arg(long, default_value_t = 30)]
    count: usize,
    /// At most so many images of each group (see --group-by).
    #[arg(long, requires = "group_by")]
    per_group: Option<usize>,
    /// What a group's file names agree in, captured by this regular expression: `^(.*)_r` for the
    /// tiles of a section.
    #[arg(long, requires = "per_group")]
    group_by: Option<String>,
    /// A table (CSV) of the images that have a label already, as `image,class`.
    #[arg(long)]
    labels: Option<PathBuf>,
    /// Seed of clusters and of random choices.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    device: DeviceArgument,
}

impl Arguments {
    pub(crate) fn run(&self, progress: ProgressMode) -> AnyResult {
        let config = SelectionConfig::default()
            .with_strategy(self.strategy)
            .with_count(self.count)
            .with_per_group(self.per_group)
            .with_seed(Seed(self.seed));
        config.validate()?;
        check_outside("--out", &self.out, [&self.images])?;
        check_report("--out", &self.out)?;
        self.check_table()?;
        let classifier = Classifier::load_on(&self.classifier, &self.device.open()?)?;
        let images = images::of_folder(&self.images, self.skip_unreadable)?;
        let labelled = self.labelled(&images)?;
        let stage = Stage::new("select", Classifier::prediction_steps(images.len()) as u64);
        let mut progress = progress.start(stage);
        let described = classifier.describe(images.shared(), progress.as_mut())?;
        progress.finish("done");
        let classes = classifier.classes();
        let mut pool = Pool::new(&described.features, described.size)?
            .with_labelled(&labelled)?
            .with_probabilities(described.probabilities(), classes.len())?;
        if let Some(pattern) = &self.group_by {
            let groups = Groups::by_pattern(&images, pattern)?;
            pool = pool.with_groups(
                (0..images.len())
                    .filter_map(|index| groups.group_of(index))
                    .collect(),
            )?;
        }
        let row = |choice: &Choice| {
            let prediction = &described.predictions[choice.index];
            Row {
                image: images.name(choice.index),
                path: images.paths()[choice.index].clone(),
                first: classes[prediction.class].clone(),
                second: classes[prediction.second].clone(),
                reason: choice.reason.clone(),
            }
        };
        let rows: Vec<Row> = pool.select(&config)?.iter().map(row).collect();
        let page = self.page(&rows, images.len())?;
        images::remove_pictures(&self.out, &[PICTURE])?;
        let page = page.write(&self.out)?;
        self.table(&rows).save_csv(&self.out.join(TABLE))?;
        say(format_args!(
            "select: {} of {} images by {} -> {}",
            rows.len(),
            images.len() - labelled.len(),
            self.strategy,
            page.display()
        ));
        Ok(())
    }
}

/// What is written about an image.
struct Row {
    image: String,
    path: PathBuf,
    first: String,
    second: String,
    reason: String,
}

impl Arguments {
    /// Fails if a table is there that this command has not written: its page stands beside it.
    fn check_table(&self) -> AnyResult {
        if foreign_part(&self.out, "report.html", &[TABLE]).is_none() {
            return Ok(());
        }
        let table = self.out.join(TABLE);
        let reason = "is there already, and without `report.html` beside it this is no folder of \
                      ours: it would be replaced; take another folder";
        Err(format!("--out: {} {reason}", table.display()).into())
    }

    /// The images that have a label already.
    fn labelled(&self, images: &ImageFolder) -> AnyResult<Vec<usize>> {
        let Some(table) = &self.labels else {
            return Ok(Vec::new());
        };
        let labels = read_labels(table, LabelFormat::Csv)?;
        // Paths in the table are relative to the table, or to the images.
        let folder = table.parent().unwrap_or(Path::new(""));
        let (mut paths, mut finder) = (HashSet::new(), FileFinder::default());
        for label in &labels {
            let path = finder.find(folder, &label.image)?;
            paths.extend(path.canonicalize().ok());
        }
        let names = labels.iter().map(|label| normalized_name(&label.image));
        let names: HashSet<_> = names.collect();
        let (mut labelled, mut spellings) = (Vec::new(), FirstSpellings::default());
        for (index, path) in images.paths().iter().enumerate() {
            let name = images.name(index);
            let is_named = names.contains(&*normalized_name(&name));
            if let Some(forms) = spellings.other_form(&name).filter(|_| is_named) {
                let table = table.display();
                return Err(format!("{table}: a label is about two images: {forms}").into());
            }
            if is_named || path.canonicalize().is_ok_and(|path| paths.contains(&path)) {
                labelled.push(index);
            }
        }
        if labelled.is_empty() {
            return Err(format!(
                "{}: none of its {} labels is about an image below {}",
                table.display(),
                labels.len(),
                self.images.display()
            )
            .into());
        }
        Ok(labelled)
    }

    /// The table with an empty column for the classes.
    fn table(&self, rows: &[Row]) -> Table {
        let caption = format!(
            "{} images to label, chosen by {}.",
            rows.len(),
            self.strategy
        );
        let columns = [
            "rank",
            "image",
            "class",
            "most probable",
            "second",
            "reason",
        ];
        let table = Table::new("next", caption).columns(columns);
        (1..)
            .zip(rows)
            .fold(table, |table, (rank, row): (usize, &Row)| {
                let [image, first, second, reason] =
                    [&row.image, &row.first, &row.second, &row.reason]
                        .map(|text| Cell::Text(text.clone()));
                let class = Cell::Text(String::new());
                table.row([rank.into(), image, class, first, second, reason])
            })
    }

    fn page(&self, rows: &[Row], images: usize) -> AnyResult<Report> {
        let finding = format!(
            "{} of {images} images are worth a label next, by the strategy {}.",
            rows.len(),
            self.strategy
        );
        let question = "Which images should be labelled next?";
        let mut report = Report::new("Images to label", question).finding(finding);
        for (rank, row) in (1..).zip(rows) {
            let name = format!("{PICTURE}-{rank}");
            let caption = format!(
                "{rank}. {}: {} or {}; {}.",
                row.image, row.first, row.second, row.reason
            );
            report = report.image(name, thumbnail(&row.path)?, caption);
        }
        Ok(report.section("Table").table(self.table(rows)))
    }
}

/// A small picture of an image, as PNG.
fn thumbnail(path: &Path) -> AnyResult<Vec<u8>> {
    let image = DynamicImage::ImageRgb8(RgbImage::try_from(decode_file(path)?)?);
    png(image.thumbnail(THUMBNAIL, THUMBNAIL))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Select {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn labelled(dir: &Path) -> AnyResult<Vec<usize>> {
        let (images, table) = (dir.join("images"), dir.join("labels.csv"));
        let [folder, labels] = [&images, &table].map(|path| path.as_os_str());
        let options = ["--classifier", "c", "--out", "o", "--labels"].map(str::as_ref);
        let line = ["select".as_ref(), folder].into_iter().chain(options);
        let select = Select::parse_from(line.chain([labels]));
        select
            .arguments
            .labelled(&images::of_folder(&images, false)?)
    }

    #[test]
    fn labels_are_about_images_whatever_the_unicode_form_of_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let (composed, decomposed) = ("K\u{f6}ln.png", "Ko\u{308}ln.png");
        let images = dir.path().join("images");
        std::fs::create_dir(&images).unwrap();
        let image = simclr_data::DecodedImage::new(2, 2, vec![7; 12]).unwrap();
        for name in ["a.png", decomposed] {
            simclr_data::save_png(&image, images.join(name)).unwrap();
        }
        // By its path from the table's folder, and by its name below the images' folder.
        for name in [&format!("images/{composed}"), composed] {
            let rows = format!("image,class\n{name},x\n");
            std::fs::write(dir.path().join("labels.csv"), rows).unwrap();
            let expected = images::of_folder(&images, false).unwrap();
            let index = (0..2).find(|index| expected.name(*index) == decomposed);
            assert_eq!(labelled(dir.path()).unwrap(), [index.unwrap()]);
        }
        // Elsewhere the file system takes the two for one file.
        if cfg!(target_os = "linux") {
            simclr_data::save_png(&image, images.join(composed)).unwrap();
            let error = labelled(dir.path()).unwrap_err().to_string();
            assert!(error.contains("a label is about two images"), "{error}");
        }
    }
}
