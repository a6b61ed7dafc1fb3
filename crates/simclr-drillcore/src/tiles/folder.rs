//! A folder of section photographs to a folder of tiles.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use simclr_augment::{RowSink, RowSource};
use simclr_files::FirstSpellings;

use super::output::{Section, write_preview, write_section};
use super::overview::Overview;
use super::plan::{PlannedTile, plan_tiles};
use super::report::{SectionOutcome, TilesReport};
use super::settings::{Scale, TileSettings};
use super::tile::Tile;
use super::work_folder::WorkFolder;
use crate::error::{Error, Result};
use crate::outline::CoreOutline;
use crate::setters::setters;
use crate::table::{DepthTable, Extent, IntervalTable, SectionDepth, stem};

/// The scale and the length in the table may differ by this share.
const SCALE_TOLERANCE: f64 = 0.05;

/// What cutting needs beside the photographs.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct TileRun {
    /// How sections are cut.
    pub settings: TileSettings,
    /// The depths of the sections. Default: none are known.
    pub depths: Option<DepthTable>,
    /// Classes by interval. Default: none.
    pub intervals: Option<IntervalTable>,
}

impl TileRun {
    setters! {
        with_settings(settings: TileSettings);
        with_depths(depths: Option<DepthTable>);
        with_intervals(intervals: Option<IntervalTable>);
    }

    /// Cuts photographs, one at a time, into `out`: a folder of tiles per section in `tiles/`, a
    /// preview of each in `previews/`, `tiles.csv` and `sections.csv`. `open` opens a photograph,
    /// `done` is told about each section.
    ///
    /// A photograph is read twice: to find the core, and to cut the tiles. Of its rows, only those
    /// are held that the next tiles need, so one that need not be in memory to be read (a
    /// [`RowSource`] other than a decoded image) is never there as a whole.
    ///
    /// A section in which no core is found has a note in `sections.csv` and no tiles. Tiles and
    /// previews are in the hidden folder `.unfinished` of `out` until all are there, so that those
    /// of an interrupted run are in no later one.
    ///
    /// # Errors
    /// Before anything is written: two photographs of one name, a section that the table of depths
    /// lacks, intervals that are all of other sections or depths, a setting out of range, a folder
    /// that holds tiles already. Later: [`Error::Photograph`] if one cannot be read,
    /// [`Error::File`], and [`Error::NoCore`] if there is no tile at all.
    pub fn cut<P, E>(
        &self,
        photographs: &[PathBuf],
        out: &Path,
        open: impl Fn(&Path) -> Result<P, E>,
        mut done: impl FnMut(&SectionOutcome),
    ) -> Result<TilesReport>
    where
        P: RowSource<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.settings.validate()?;
        let sections = names(photographs)?;
        let depths = self.depths_of(sections.keys())?;
        let strays = self.check_intervals(sections.keys(), &depths)?;
        let tables = (self.depths.as_ref(), self.intervals.as_ref());
        let shared = [
            tables.0.and_then(|table| table.shared(sections.keys())),
            tables.1.and_then(|table| table.shared(sections.keys())),
        ];
        let work = WorkFolder::new(out)?;
        let mut report = TilesReport {
            tiles: Vec::new(),
            sections: Vec::new(),
            warnings: strays
                .into_iter()
                .chain(shared.into_iter().flatten())
                .collect(),
        };
        for ((name, path), depth) in sections.iter().zip(&depths) {
            let photograph = open(path).map_err(unreadable(path))?;
            let read = |sink: &mut dyn RowSink| {
                let read = photograph.read_rows(sink);
                read.map_err(unreadable(path))
            };
            let (outcome, tiles) = self.cut_one(name, depth.as_ref(), work.path(), read)?;
            done(&outcome);
            report.sections.push(outcome);
            report.tiles.extend(tiles);
        }
        if report.tiles.is_empty() {
            let notes = report.sections.iter().map(|section| section.note.as_str());
            let first = notes
                .clone()
                .find(|note| !note.is_empty())
                .unwrap_or("all squares were left out");
            return Err(Error::mismatch(
                "tiles",
                format!("not one in {} photographs: {first}", sections.len()),
            ));
        }
        work.finish(&report)?;
        Ok(report)
    }

    /// Writes the tiles and the preview of a section, whose rows `read` gives.
    fn cut_one(
        &self,
        name: &str,
        depth: Option<&SectionDepth>,
        work: &Path,
        read: impl Fn(&mut dyn RowSink) -> Result<()>,
    ) -> Result<(SectionOutcome, Vec<Tile>)> {
        let mut overview = Overview::new(self.settings.crop);
        // To the end: nothing is written of a file that is damaged anywhere.
        read(&mut overview)?;
        let outline = match overview.outline(name, self.settings.crop) {
            Ok(outline) => outline,
            Err(error @ (Error::NoCore { .. } | Error::Setting { .. })) => {
                return Ok((SectionOutcome::without_tiles(name, &error), Vec::new()));
            }
            Err(error) => return Err(error),
        };
        let section = Section {
            planned: plan_tiles(&outline, &self.settings),
            outline,
            size: overview.size,
        };
        let (outcome, tiles) = self.describe(name, &section, depth);
        write_section(work, name, &section, &tiles, self.settings.side, read)?;
        write_preview(work, name, overview, &section)?;
        Ok((outcome, tiles))
    }

    /// That intervals are about photographs, and what is unusual about that.
    fn check_intervals<'n>(
        &self,
        names: impl Iterator<Item = &'n String>,
        depths: &'n [Option<SectionDepth>],
    ) -> Result<Option<String>> {
        let Some(intervals) = &self.intervals else {
            return Ok(None);
        };
        let extent = |(name, depth): (&'n String, &'n Option<SectionDepth>)| Extent {
            name,
            hole: depth.as_ref().and_then(|depth| depth.hole.as_deref()),
            depths: depth.as_ref().map(SectionDepth::ends),
        };
        let places: Vec<Extent<'_>> = names.zip(depths).map(extent).collect();
        intervals.check_places(&places)
    }

    /// The depth of each section, if there is a table of them.
    fn depths_of<'n>(
        &self,
        names: impl Iterator<Item = &'n String>,
    ) -> Result<Vec<Option<SectionDepth>>> {
        let find = |name: &String| {
            let depth = self.depths.as_ref().map(|table| table.find(name).cloned());
            depth.transpose()
        };
        names.map(find).collect()
    }

    fn describe(
        &self,
        name: &str,
        section: &Section,
        depth: Option<&SectionDepth>,
    ) -> (SectionOutcome, Vec<Tile>) {
        let outline = &section.outline;
        let length_m = depth.and_then(|depth| depth.length);
        let scale = match self.settings.scale {
            Scale::PixelsPerCm(scale) => Some(scale),
            Scale::CoreWidthCm(width) => Some(outline.width / width),
            Scale::FromLength => length_m.map(|length| outline.length / (100.0 * length)),
        };
        let kept = section.planned.iter().filter(|tile| tile.kept);
        let tiles = kept.map(|planned| self.describe_tile(name, section, planned, scale, depth));
        let tiles: Vec<Tile> = tiles.collect();
        let outcome = SectionOutcome {
            section: name.to_owned(),
            tiles: tiles.len(),
            left_out: section.planned.len() - tiles.len(),
            width: Some(rounded(outline.width, 10.0)),
            length: Some(rounded(outline.length, 10.0)),
            tilt: Some(rounded(outline.tilt, 1e3)),
            pixels_per_cm: scale.map(|scale| rounded(scale, 1e3)),
            note: notes(outline, scale, length_m).join("; "),
        };
        (outcome, tiles)
    }

    /// One tile: its place, its depths and its class, as far as they are known.
    fn describe_tile(
        &self,
        name: &str,
        section: &Section,
        planned: &PlannedTile,
        scale: Option<f64>,
        depth: Option<&SectionDepth>,
    ) -> Tile {
        let ends = (planned.top, planned.top + planned.side);
        let offset = scale.map(|scale| (ends.0 / scale, ends.1 / scale));
        let metres = offset.map(|(top, bottom)| (top / 100.0, bottom / 100.0));
        let class = self.intervals.as_ref().zip(metres);
        let class = class.and_then(|(table, metres)| {
            let class = table.class_of(name, metres, depth);
            class.filter(|(_, share)| *share >= self.settings.min_class_share)
        });
        let [left, top, width, height] = bounds(section, ends);
        let top_m = depth.map(|depth| depth.top);
        let at = |metres: Option<f64>| {
            let depth = top_m.zip(metres);
            depth.map(|(top, metres)| rounded(top + metres, 1e4))
        };
        Tile {
            tile: format!("tiles/{name}/{name}_r{:06}.png", planned.top.round() as u64),
            section: name.to_owned(),
            hole: depth.and_then(|depth| depth.hole.clone()),
            left,
            top,
            width,
            height,
            tilt: rounded(section.outline.tilt, 1e3),
            top_offset_cm: offset.map(|(top, _)| rounded(top, 1e3)),
            bottom_offset_cm: offset.map(|(_, bottom)| rounded(bottom, 1e3)),
            top_depth_m: at(metres.map(|(top, _)| top)),
            bottom_depth_m: at(metres.map(|(_, bottom)| bottom)),
            core_fraction: rounded(planned.core_fraction, 1e3),
            class: class.map(|(class, _)| class.to_owned()),
        }
    }
}

/// What should be looked at in a section.
fn notes(outline: &CoreOutline, scale: Option<f64>, length_m: Option<f64>) -> Vec<String> {
    let mut notes = Vec::new();
    if !outline.has_edges {
        notes.push(
            "the picture seems to be cut to the core: its border is the core's edge".to_owned(),
        );
    }
    if let Some((left, right)) = outline.second_core {
        notes.push(format!(
            "what lies in the columns {left:.0} to {right:.0} looks like another core, of which nothing is \
             cut: a photograph is of one section"
        ));
    }
    if let (Some(scale), Some(length)) = (scale, length_m) {
        let seen = outline.length / scale / 100.0;
        if (seen / length - 1.0).abs() > SCALE_TOLERANCE {
            notes.push(format!(
                "{seen:.3} m of core are in the picture, but its length is {length:.3} m"
            ));
        }
    }
    if scale.is_none() {
        notes.push(
            "no scale: neither pixels per centimetre nor a width or length of the core".to_owned(),
        );
    }
    notes
}

fn rounded(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}

/// The box of pixels that a square of the core lies in: left, top, width and height.
fn bounds(section: &Section, (top, bottom): (f64, f64)) -> [usize; 4] {
    let half = section.outline.width / 2.0;
    let corners = [(-half, top), (half, top), (-half, bottom), (half, bottom)];
    let corners = corners.map(|(across, along)| section.outline.locate(across, along));
    let range = |values: [f64; 4], size: usize| {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(0.0, f64::max);
        let low = (low.round().max(0.0) as usize).min(size - 1);
        (low, (high.round() as usize).clamp(low + 1, size) - low)
    };
    let (left, width) = range(corners.map(|corner| corner.0), section.size.1);
    let (top, height) = range(corners.map(|corner| corner.1), section.size.0);
    [left, top, width, height]
}

/// The photographs by name. Tables may name them in another Unicode form, so no two may differ in
/// that alone.
fn names(photographs: &[PathBuf]) -> Result<BTreeMap<String, &PathBuf>> {
    let mut names = BTreeMap::new();
    let mut spellings = FirstSpellings::default();
    for path in photographs {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = stem(&name).to_owned();
        if let Some(forms) = spellings.other_form(&name) {
            let reason = format!("two photographs: {forms}");
            return Err(Error::mismatch(path.display().to_string(), reason));
        }
        if let Some(other) = names.insert(name.clone(), path) {
            let reason = format!(
                "two photographs have this name: {} and {}",
                other.display(),
                path.display()
            );
            return Err(Error::mismatch(name, reason));
        }
    }
    Ok(names)
}

fn unreadable<E>(path: &Path) -> impl Fn(E) -> Error
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    move |source| Error::Photograph {
        path: path.to_owned(),
        source: source.into(),
    }
}
