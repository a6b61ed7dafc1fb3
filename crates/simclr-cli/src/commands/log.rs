//! `simclr log`.

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, ValueEnum};
use simclr_drillcore::{
    ColumnMap, DepthLog, Error as DrillcoreError, LogOutput, LogSettings, Predictions, Smoothing,
    intervals_by_depth, read_tables, read_tiles, stay_from_intervals, tiles_of_hole,
};
use simclr_report::check_foreign;

use crate::options::metres;
use crate::outputs::check_parts;
use crate::terminal::{AnyResult, complain, say, with_sources};

/// Makes a log by depth of what a classifier said about tiles.
///
/// Writes `log.csv` (intervals), `log.las` (curves, LAS 2.0), `intervals.las`
/// (intervals, LAS 3.0), `log.svg` and `log.html` (pictures of the core,
/// classes and confidence by depth).
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("tables").args(["intervals", "truth"]).multiple(true))]
pub(crate) struct Arguments {
    /// The predictions of `simclr predict` (CSV).
    #[arg(long)]
    predictions: PathBuf,
    /// The `tiles.csv` of `simclr tiles`, made with a table of depths.
    #[arg(long)]
    tiles: PathBuf,
    /// The folder for the log.
    #[arg(long)]
    out: PathBuf,
    /// How neighbours in depth influence each other [default: none; hmm with --stay or --intervals].
    #[arg(long, value_enum)]
    smoothing: Option<SmoothingName>,
    /// The probability that one centimetre further down the class is the same [default: 0.97, or from
    /// --intervals].
    #[arg(long)]
    stay: Option<f64>,
    /// Labelled intervals (CSV), from whose thickness the probability of a change follows.
    #[arg(long, conflicts_with = "stay")]
    intervals: Option<PathBuf>,
    /// Thinner intervals become part of a neighbour: a number with m, cm or mm.
    #[arg(long, default_value = "5cm", value_parser = metres)]
    min_length: f64,
    /// Metres between the values in the LAS file.
    #[arg(long, default_value = "1cm", value_parser = metres)]
    step: f64,
    /// Length of a page.
    #[arg(long, default_value = "10m", value_parser = metres)]
    page: f64,
    /// Take the tiles of this hole alone: a name in the column `hole` of the tiles.
    #[arg(long)]
    hole: Option<String>,
    /// The name of the hole in the log [default: that of --hole, or `hole`].
    #[arg(long)]
    well: Option<String>,
    /// The true intervals, by section or by depth (CSV), to compare the log with.
    #[arg(long)]
    truth: Option<PathBuf>,
    /// What a column of the tables of intervals is called: COLUMN=HEADER (repeatable).
    #[arg(long, requires = "tables")]
    column: Vec<ColumnMap>,
    /// Leave the pictures of the core out.
    #[arg(long)]
    no_pictures: bool,
}

/// What is written beside `log.html`.
const BESIDE_PAGE: [&str; 6] = [
    "log.csv",
    "log.las",
    "intervals.las",
    "log.svg",
    "tables",
    "figures",
];

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SmoothingName {
    /// Not at all.
    None,
    /// A hidden Markov model, for predictions that flicker from tile to tile.
    Hmm,
}

impl Arguments {
    pub(crate) fn run(&self) -> AnyResult {
        // Before what is beside the page is replaced.
        check_foreign(self.out.join("log.html"))?;
        check_parts("--out", &self.out, "log.html", &BESIDE_PAGE)?;
        let mut tiles = read_tiles(&self.tiles)?;
        if let Some(hole) = &self.hole {
            tiles = tiles_of_hole(&tiles, hole)?;
        }
        let predictions = Predictions::read(&self.predictions)?;
        let (predicted, without) = predictions.of_tiles(&tiles)?;
        let withheld = predictions.withheld(&tiles);
        for (count, what) in [
            (without - withheld, "no prediction"),
            (withheld, "a class that was withheld (predict --abstain)"),
        ] {
            if count > 0 {
                let all = tiles.len();
                complain(format_args!(
                    "warning: {count} of {all} tiles have {what} and are gaps in the log"
                ));
            }
        }
        let columns = self
            .column
            .iter()
            .cloned()
            .fold(ColumnMap::default(), ColumnMap::and);
        let paths = [&self.intervals, &self.truth].into_iter().flatten();
        let paths: Vec<&Path> = paths.map(PathBuf::as_path).collect();
        let (_, tables) = read_tables(None, &paths, &columns)?;
        let mut tables = tables.into_iter();
        let intervals = self.intervals.as_ref().and_then(|_| tables.next());
        let truth = tables.next();
        let stay = intervals.as_ref().map(stay_from_intervals).or(self.stay);
        let smoothing = match (self.smoothing, stay) {
            (Some(SmoothingName::None), Some(_)) => {
                return Err("--stay and --intervals are for --smoothing hmm".into());
            }
            (None | Some(SmoothingName::None), None) => Smoothing::None,
            (_, Some(stay)) => Smoothing::Viterbi { stay },
            (Some(SmoothingName::Hmm), None) => Smoothing::VITERBI,
        };
        let settings = LogSettings::default()
            .with_smoothing(smoothing)
            .with_min_length(self.min_length);
        let log = DepthLog::new(&predicted, &predictions.classes, &settings)?;
        if let Some(table) = &truth {
            table.check_tiles(&tiles)?;
        }
        let truth = truth.map(|table| intervals_by_depth(&table, &tiles));
        let folder = self.tiles.parent().unwrap_or(Path::new(""));
        let well = self.well.as_ref().or(self.hole.as_ref()).cloned();
        let output = LogOutput::default()
            .with_well(well.unwrap_or_else(|| LogOutput::default().well))
            .with_tiles((!self.no_pictures).then_some((tiles.as_slice(), folder)))
            .with_truth(truth.as_deref())
            .with_page(self.page)
            .with_step(self.step);
        let comparison = output.write(&log, &self.out);
        let comparison = comparison.map_err(|error| self.with_table(error))?;
        let intervals = log.beds().iter().filter(|bed| bed.class.is_some()).count();
        let (top, bottom) = log.range();
        say(format_args!(
            "log: {intervals} intervals from {top:.2} to {bottom:.2} m -> {}",
            self.out.join("log.html").display()
        ));
        if let Some(comparison) = comparison {
            say(format_args!(
                "truth: {:.1} % of {:.2} m have the right class; shares by metre are wrong by {:.1} points; boundaries: \
                 median error {}",
                100.0 * comparison.agreement,
                comparison.known,
                100.0 * comparison.share_error,
                comparison
                    .median_boundary_error_cm()
                    .map_or("none".to_owned(), |error| format!("{error:.1} cm"))
            ));
        }
        Ok(())
    }

    /// Names the table behind a picture that cannot be read.
    fn with_table(&self, error: DrillcoreError) -> Box<dyn Error + Send + Sync> {
        if !matches!(error, DrillcoreError::Photograph { .. }) {
            return error.into();
        }
        let (table, error) = (self.tiles.display(), with_sources(&error));
        format!("{table}: {error}; --no-pictures leaves the pictures of the core out").into()
    }
}
