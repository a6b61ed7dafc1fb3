//! `simclr tiles`.

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use simclr_data::RowReader;
use simclr_drillcore::{
    ColumnMap, Crop, DepthTable, Scale, SectionOutcome, TileRun, TileSettings, read_tables,
};
use simclr_progress::{ProgressMode, Stage, StepUpdate};

use crate::folders::check_outside;
use crate::options::DecodeArguments;
use crate::terminal::{AnyResult, complain, say};

/// What places intervals in photographs.
const SCALES: [&str; 3] = ["depths", "pixels_per_cm", "core_width_cm"];

/// Cuts photographs of core sections into square tiles of the core's width.
///
/// Writes the tiles, `tiles.csv` (where each is, with its depth and its class), `sections.csv` and a
/// preview of each section. The core is looked for in each photograph, between liner, tray, ruler and
/// colour card; gaps between its pieces are left out.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("tables").args(["depths", "intervals"]).multiple(true))]
#[command(group = ArgGroup::new("scales").args(SCALES).multiple(true))]
pub(crate) struct Arguments {
    /// Photographs, or folders of them: upright, top of the core at the top.
    #[arg(required = true)]
    sections: Vec<PathBuf>,
    /// The folder for tiles, tables and previews.
    #[arg(long)]
    out: PathBuf,
    /// Side of the tiles in pixels.
    #[arg(long, default_value_t = 256)]
    side: usize,
    /// The share of its side by which a tile overlaps the one above it.
    #[arg(long, default_value_t = 0.0)]
    overlap: f64,
    /// Leave out tiles with a smaller share of core.
    #[arg(long, default_value_t = 0.8)]
    min_core_fraction: f64,
    /// Where the core is in every photograph: LEFT,TOP,WIDTH,HEIGHT in pixels.
    #[arg(long)]
    crop: Option<Crop>,
    /// Scale of every photograph. Default: by the section's length in the table of depths.
    #[arg(long, conflicts_with = "core_width_cm")]
    pixels_per_cm: Option<f64>,
    /// Width of the core, from which the scale of each photograph follows.
    #[arg(long)]
    core_width_cm: Option<f64>,
    /// A table with the depths of the sections (CSV; IODP's columns, or others by --column).
    #[arg(long)]
    depths: Option<PathBuf>,
    /// A table of intervals with classes (CSV; by offset in sections, or by depth): labels the tiles.
    #[arg(long, requires = "scales")]
    intervals: Option<PathBuf>,
    /// The share of a tile that its class has to cover.
    #[arg(long, default_value_t = 0.75, requires = "intervals")]
    min_class_share: f64,
    /// What a column of the tables is called: COLUMN=HEADER, as in `top=Depth from (m)` (repeatable). A
    /// table without this header needs one of the usual ones.
    #[arg(long, requires = "tables")]
    column: Vec<ColumnMap>,
    #[command(flatten)]
    decode: DecodeArguments,
}

impl Arguments {
    pub(crate) fn run(&self, progress: ProgressMode) -> AnyResult {
        let scale = match (self.pixels_per_cm, self.core_width_cm) {
            (Some(scale), _) => Scale::PixelsPerCm(scale),
            (_, Some(width)) => Scale::CoreWidthCm(width),
            _ => Scale::FromLength,
        };
        let columns = self
            .column
            .iter()
            .cloned()
            .fold(ColumnMap::default(), ColumnMap::and);
        let settings = TileSettings::default()
            .with_side(self.side)
            .with_overlap(self.overlap)
            .with_min_core_fraction(self.min_core_fraction)
            .with_crop(self.crop)
            .with_scale(scale)
            .with_min_class_share(self.min_class_share);
        let (depths, intervals) = read_tables(
            self.depths.as_deref(),
            self.intervals.as_deref().as_slice(),
            &columns,
        )?;
        for warning in depths.iter().flat_map(DepthTable::warnings) {
            complain(format_args!("warning: {warning}"));
        }
        let run = TileRun::default()
            .with_settings(settings)
            .with_depths(depths)
            .with_intervals(intervals.into_iter().next());
        let mut photographs = Vec::new();
        for path in &self.sections {
            if path.is_dir() {
                check_outside("--out", &self.out, [path])?;
                photographs.extend(self.decode.photographs(path)?.paths().iter().cloned());
            } else {
                photographs.push(path.clone());
            }
        }
        let mut progress = progress.start(Stage::new("tiles", photographs.len() as u64));
        let mut notes = Vec::new();
        let done = |outcome: &SectionOutcome| {
            if !outcome.note.is_empty() {
                notes.push(format!("{}: {}", outcome.section, outcome.note));
            }
            progress.step(&StepUpdate::default());
        };
        let options = self.decode.options();
        let open = |path: &Path| RowReader::open(path, &options);
        let report = run.cut(&photographs, &self.out, open, done);
        // They are no progress: --quiet does not hide them, and a bar would be in their way.
        drop(progress);
        for warning in &notes {
            complain(format_args!("warning: {warning}"));
        }
        let report = report?;
        for warning in &report.warnings {
            complain(format_args!("warning: {warning}"));
        }
        let left_out: usize = report.sections.iter().map(|section| section.left_out).sum();
        let without = report
            .sections
            .iter()
            .filter(|section| section.tiles == 0)
            .count();
        let labelled = report
            .tiles
            .iter()
            .filter(|tile| tile.class.is_some())
            .count();
        say(format_args!(
            "tiles: {} of {} sections ({left_out} squares left out, {without} sections without tiles, {labelled} tiles \
             with a class) -> {}",
            report.tiles.len(),
            report.sections.len(),
            self.out.join("tiles.csv").display()
        ));
        Ok(())
    }
}
