//! The files of a log.

use std::fs;
use std::path::{Path, PathBuf};

use image::imageops::{self, FilterType};
use rayon::prelude::*;
use serde::Serialize;
use simclr_files::write_bytes;
use simclr_report::{Cell, Report, Svg, Table};

use super::comparison::{LogComparison, known_intervals};
use super::depth_log::{Bed, DepthLog};
use super::drawing::{Drawing, StripPicture};
use super::las::{Samples, las, las_intervals};
use crate::error::{Error, Result, check};
use crate::setters::setters;
use crate::tiles::{Tile, data_uri, to_csv};

/// Side of the photographs in a log, in pixels.
const PICTURE: u32 = 64;
/// Height of a drawing of the whole hole and of a page, in pixels.
const HEIGHT: f64 = 1400.0;

/// What is written about a log, and how.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LogOutput<'a> {
    /// The name of the hole. Default: `hole`.
    pub well: String,
    /// The tiles, and the folder that their files are in, for the strip of photographs. Default: none.
    pub tiles: Option<(&'a [Tile], &'a Path)>,
    /// The true classes by depth: top, bottom and name. Default: none.
    pub truth: Option<&'a [(f64, f64, String)]>,
    /// Metres per page. Default: 10.
    pub page: f64,
    /// Metres between the values of the LAS file, in whole micrometres. Default: 0.01.
    pub step: f64,
}

impl Default for LogOutput<'_> {
    fn default() -> Self {
        Self {
            well: "hole".to_owned(),
            tiles: None,
            truth: None,
            page: 10.0,
            step: 0.01,
        }
    }
}

impl<'a> LogOutput<'a> {
    setters! {
        with_well(well: String);
        with_tiles(tiles: Option<(&'a [Tile], &'a Path)>);
        with_truth(truth: Option<&'a [(f64, f64, String)]>);
        with_page(page: f64);
        with_step(step: f64);
    }

    /// Writes `log.csv` (top, bottom, class and confidence of each interval; gaps have no class),
    /// `log.las` (LAS 2.0, a line per step), `intervals.las` (LAS 3.0, a line per interval), `log.svg`
    /// (the whole hole) and `log.html` (also page by page, with photographs) into the folder `dir`.
    /// Returns the figures against the truth, if that is known.
    ///
    /// # Errors
    /// A setting out of range, a photograph of a tile that cannot be read, a true class that is none of
    /// the log's; [`Error::File`]. But for the last nothing is written then.
    pub fn write(&self, log: &DepthLog, dir: &Path) -> Result<Option<LogComparison>> {
        self.validate()?;
        let samples = Samples::new(log.range(), self.step)?;
        let truth = known_intervals(log.classes(), self.truth.unwrap_or_default())?;
        let compared = self.truth.map(|_| LogComparison::with_known(log, &truth));
        let comparison = compared.transpose()?;
        let drawings = Drawings {
            log,
            pictures: self.pictures()?,
            truth,
        };
        let range = log.range();
        let one_page = range.1 - range.0 <= self.page;
        let whole = drawings.svg("hole", &self.well, range, one_page);
        let mut report = Report::new(
            format!("Log of {}", self.well),
            "Which class is at which depth, and how sure is that?",
        )
        .section("Classes")
        .table(class_table(log));
        if let Some(comparison) = &comparison {
            report = against_truth(report, log, comparison);
        }
        report = report.section("Whole hole").figure(
            "hole",
            Svg::new(whole.clone()),
            "Classes by depth, and how probable each was found to be; gaps are white.",
        );
        if !one_page {
            report = self.page_by_page(report, &drawings);
        }
        fs::create_dir_all(dir).map_err(simclr_files::Error::io(dir))?;
        let table = dir.join("log.csv");
        write_bytes(&table, &beds_csv(log, &table)?)?;
        for (name, text) in [
            ("log.las", las(log, &self.well, &samples)),
            ("intervals.las", las_intervals(log, &self.well)),
            ("log.svg", whole),
        ] {
            write_bytes(&dir.join(name), text.as_bytes())?;
        }
        report.write_page(dir, "log.html")?;
        Ok(comparison)
    }

    fn validate(&self) -> Result<()> {
        check(
            self.page > 0.0 && self.page.is_finite(),
            "page",
            "a length above 0 metres",
            self.page,
        )
    }

    /// A drawing of each page that has a class.
    fn page_by_page(&self, report: Report, drawings: &Drawings<'_>) -> Report {
        let mut report = report.section("Page by page");
        let (first, last) = drawings.log.range();
        // Above the datum depths are negative.
        let pages = (first / self.page).floor() as i64..(last / self.page).ceil() as i64;
        for page in pages {
            let (top, bottom) = (page as f64 * self.page, (page + 1) as f64 * self.page);
            let mut beds = drawings.log.beds().iter();
            if !beds.any(|bed| bed.class.is_some() && bed.top < bottom && bed.bottom > top) {
                continue;
            }
            let title = format!("{}, {top} to {bottom} m", self.well);
            let name = format!("page-{:04}", page + 1);
            let svg = drawings.svg(&name, &title, (top, bottom), true);
            report = report.figure(name, Svg::new(svg), title);
        }
        report
    }

    /// The tiles' photographs, made small; where tiles overlap much, the upper one.
    fn pictures(&self) -> Result<Vec<StripPicture>> {
        let Some((tiles, dir)) = self.tiles else {
            return Ok(Vec::new());
        };
        let place = |tile: &'a Tile| {
            Some((
                tile.top_depth_m?,
                tile.bottom_depth_m?,
                dir.join(&tile.tile),
            ))
        };
        let mut places: Vec<(f64, f64, PathBuf)> = tiles.iter().filter_map(place).collect();
        places.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut end = f64::NEG_INFINITY;
        places.retain(|(top, bottom, _)| {
            let is_new = bottom - end > 0.1 * (bottom - top);
            if is_new {
                end = *bottom;
            }
            is_new
        });
        let read = |(top, bottom, path): &(f64, f64, PathBuf)| {
            let picture = image::open(path).map_err(|error| Error::Photograph {
                path: path.clone(),
                source: error.into(),
            })?;
            let small =
                imageops::resize(&picture.into_rgb8(), PICTURE, PICTURE, FilterType::Triangle);
            Ok(StripPicture {
                top: *top,
                bottom: *bottom,
                data: data_uri(&path.display().to_string(), &small)?,
            })
        };
        places.par_iter().map(read).collect()
    }
}

/// What the drawings of a log show.
struct Drawings<'a> {
    log: &'a DepthLog,
    pictures: Vec<StripPicture>,
    truth: Vec<(f64, f64, usize)>,
}

impl Drawings<'_> {
    /// A part of the hole, perhaps with photographs.
    fn svg(&self, name: &str, title: &str, range: (f64, f64), with_pictures: bool) -> String {
        Drawing {
            log: self.log,
            name,
            title,
            range,
            pixels_per_metre: HEIGHT / (range.1 - range.0),
            pictures: if with_pictures { &self.pictures } else { &[] },
            truth: &self.truth,
        }
        .svg()
    }
}

/// A row of `log.csv`.
#[derive(Serialize)]
struct BedRow<'a> {
    top_m: String,
    bottom_m: String,
    class: &'a str,
    confidence: String,
}

fn beds_csv(log: &DepthLog, path: &Path) -> Result<Vec<u8>> {
    let row = |bed: &Bed| {
        let class = bed.class.and_then(|class| log.classes().get(class));
        BedRow {
            top_m: format!("{:.4}", bed.top),
            bottom_m: format!("{:.4}", bed.bottom),
            class: class.map_or("", String::as_str),
            confidence: class.map_or(String::new(), |_| format!("{:.4}", bed.confidence)),
        }
    };
    let rows: Vec<_> = log.beds().iter().map(row).collect();
    to_csv(path, &rows)
}

fn class_table(log: &DepthLog) -> Table {
    let length = |class: Option<usize>| -> f64 {
        let beds = log.beds().iter().filter(|bed| bed.class == class);
        // The sum of nothing would be minus zero.
        beds.fold(0.0, |sum, bed| sum + (bed.bottom - bed.top))
    };
    let gaps = length(None);
    let (top, bottom) = log.range();
    let logged = bottom - top - gaps;
    let caption = format!("{logged:.2} m from {top:.2} to {bottom:.2} m, and {gaps:.2} m in gaps.");
    let mut table =
        Table::new("classes", caption).columns(["class", "intervals", "metres", "share"]);
    for (class, name) in log.classes().iter().enumerate() {
        let count = log
            .beds()
            .iter()
            .filter(|bed| bed.class == Some(class))
            .count();
        let metres = length(Some(class));
        table = table.row([
            name.as_str().into(),
            count.into(),
            metres.into(),
            Cell::share(metres / logged),
        ]);
    }
    table
}

fn against_truth(report: Report, log: &DepthLog, comparison: &LogComparison) -> Report {
    let mut text = format!(
        "Of {:.2} m whose class is known, {:.1} % have the right one. By metre, the share of a class is wrong \
         by {:.1} percentage points on average.",
        comparison.known,
        100.0 * comparison.agreement,
        100.0 * comparison.share_error
    );
    if let Some(median) = comparison.median_boundary_error_cm() {
        text.push_str(&format!(
            " From a known boundary in logged core ({} in all) it is {median:.1} cm to the nearest \
             of the log's {}, in the median.",
            comparison.boundary_errors_cm.len(),
            comparison.log_boundaries
        ));
    }
    let names = log
        .classes()
        .iter()
        .flat_map(|class| [format!("{class}, log"), format!("{class}, truth")]);
    let columns = ["metre".to_owned(), "known (m)".to_owned()]
        .into_iter()
        .chain(names);
    let mut table = Table::new("metres", "Shares of the classes by metre.").columns(columns);
    for metre in &comparison.metres {
        let shares = metre
            .log
            .iter()
            .zip(&metre.truth)
            .flat_map(|(log, truth)| [*log, *truth]);
        let top = (metre.top as i64).to_string();
        let cells = [Cell::from(top), metre.known.into()].into_iter();
        table = table.row(cells.chain(shares.map(Cell::share)));
    }
    report.section("Against the truth").text(text).table(table)
}
