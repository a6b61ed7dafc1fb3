//! Intervals with classes.

use std::path::{Path, PathBuf};

use simclr_files::FirstSpellings;

use super::columns::ColumnMap;
use super::depths::SectionDepth;
use super::names::{PlaceNames, few, is_same_hole, section_of, shared};
use super::reader::{Row, Table, check_named};
use crate::error::{Error, Result};

/// Intervals may overlap by so much, in metres, before they contradict each other.
const ROUNDING_M: f64 = 0.002;

/// A part of a section or of a hole with a class.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LabelledInterval {
    /// The hole that depths are of, if the table names it. Offsets are of the section alone.
    pub hole: Option<String>,
    /// The section that offsets are counted in, or none if they are depths.
    pub section: Option<String>,
    /// Depth, or offset from the section's top, in metres.
    pub top: f64,
    /// Its lower end.
    pub bottom: f64,
    /// The class.
    pub class: String,
}

impl LabelledInterval {
    fn of_row(row: &Row<'_>, by_offset: bool) -> Result<Self> {
        let (top, bottom, default) = match by_offset {
            true => ("top_offset", "bottom_offset", 0.01),
            false => ("top", "bottom", 1.0),
        };
        let (top, bottom) = (row.required(top, default)?, row.required(bottom, default)?);
        if bottom <= top {
            return Err(row.error(format!(
                "the interval ends at {bottom} m, not below its top at {top} m"
            )));
        }
        let class = row
            .text("class")
            .ok_or_else(|| row.error("the interval has no class"))?;
        Ok(Self {
            hole: row.hole().filter(|_| !by_offset),
            section: by_offset.then(|| row.section()).transpose()?,
            top,
            bottom,
            class: class.to_owned(),
        })
    }

    /// Writes its names as rows above write them.
    fn spell(&mut self, places: &mut PlaceNames, classes: &mut FirstSpellings) {
        let names = [&mut self.hole, &mut self.section];
        for name in names.into_iter().flatten() {
            *name = places.of(name);
        }
        self.class = classes.of(&self.class);
    }

    /// The section, or the hole, in which it is counted.
    pub(crate) fn place(&self) -> (&Option<String>, &Option<String>) {
        (&self.hole, &self.section)
    }

    /// What it is called in messages.
    fn label(&self) -> String {
        match (&self.section, &self.hole) {
            (Some(section), _) => section.clone(),
            (None, Some(hole)) => format!("{} to {} m of {hole}", self.top, self.bottom),
            (None, None) => format!("{} to {} m", self.top, self.bottom),
        }
    }
}

/// Where there is something that intervals can be about.
#[derive(Debug, Clone)]
pub(crate) struct Extent<'a> {
    /// The photograph's name.
    pub(crate) name: &'a str,
    pub(crate) hole: Option<&'a str>,
    /// Top and bottom depth in metres, if they are known.
    pub(crate) depths: Option<(f64, f64)>,
}

/// Intervals with classes, by offset in sections (IODP's columns, top and bottom offset in cm) or by
/// depth (top and bottom depth in m).
///
/// Where intervals of one class overlap, they are one.
#[derive(Debug, Clone, PartialEq)]
pub struct IntervalTable {
    path: PathBuf,
    intervals: Vec<LabelledInterval>,
    /// Whether no two holes are named.
    is_of_one_hole: bool,
}

impl IntervalTable {
    /// Reads and checks a table.
    ///
    /// # Errors
    /// [`Error::Table`] if columns or values are missing, an interval ends above its top, or
    /// intervals of different classes overlap.
    pub fn read(path: &Path, map: &ColumnMap) -> Result<Self> {
        let table = Table::read(path, map)?;
        check_named(map, &[&table])?;
        Self::of_rows(&table)
    }

    pub(super) fn of_rows(table: &Table) -> Result<Self> {
        table.require("class", "classes")?;
        let by_offset = table.has("top_offset") && table.has("bottom_offset");
        if !by_offset {
            table.require("top", "top offsets or top depths")?;
            table.require("bottom", "bottom offsets or bottom depths")?;
        }
        let mut rows = Vec::new();
        let (mut places, mut classes) = (PlaceNames::default(), FirstSpellings::default());
        for row in table.rows() {
            let mut interval = LabelledInterval::of_row(&row, by_offset)?;
            interval.spell(&mut places, &mut classes);
            if !by_offset && table.has("hole") && row.text("hole").is_none() {
                return Err(row.error("the interval names no hole"));
            }
            rows.push((row.line(), interval));
        }
        rows.sort_by(|(_, a), (_, b)| a.place().cmp(&b.place()).then(a.top.total_cmp(&b.top)));
        check_overlaps(table.path(), &rows)?;
        let intervals = united(rows.into_iter().map(|(_, interval)| interval).collect());
        let mut holes = intervals.windows(2);
        Ok(Self {
            path: table.path().to_owned(),
            is_of_one_hole: holes.all(|pair| pair[0].hole == pair[1].hole),
            intervals,
        })
    }

    /// The intervals, section by section (or hole by hole) from the top.
    pub fn intervals(&self) -> &[LabelledInterval] {
        &self.intervals
    }

    /// The section of the table that a photograph is named after.
    pub(crate) fn section_of(&self, photograph: &str) -> Option<&str> {
        let named = self.intervals.iter();
        let named = named.filter_map(|interval| interval.section.as_deref());
        section_of(photograph, named, |name| name)
    }

    /// What is unusual about photographs: several have the intervals of one section.
    pub(crate) fn shared<'n>(
        &'n self,
        photographs: impl Iterator<Item = &'n String>,
    ) -> Option<String> {
        let section = |photograph: &str| self.section_of(photograph);
        shared(&self.path, "intervals", photographs, section)
    }

    /// Whether depths are of this hole. Where sections name no hole, all are of one.
    pub(crate) fn is_of_hole(&self, interval: &LabelledInterval, hole: Option<&str>) -> bool {
        match (&interval.hole, hole) {
            (Some(named), Some(hole)) => is_same_hole(named, hole),
            (Some(_), None) => self.is_of_one_hole,
            (None, _) => true,
        }
    }

    /// The class that covers most of a part of a section, and its share of the part. `offset` are top
    /// and bottom from the section's top in metres; `depth` is the place of the section.
    pub fn class_of(
        &self,
        section: &str,
        offset: (f64, f64),
        depth: Option<&SectionDepth>,
    ) -> Option<(&str, f64)> {
        let named = self.section_of(section);
        let mut shares: Vec<(&str, f64)> = Vec::new();
        for interval in &self.intervals {
            let shift = match (&interval.section, depth) {
                (Some(name), _) if named == Some(name) => 0.0,
                (None, Some(depth)) if self.is_of_hole(interval, depth.hole.as_deref()) => {
                    depth.top
                }
                _ => continue,
            };
            let (top, bottom) = (offset.0 + shift, offset.1 + shift);
            let common = interval.bottom.min(bottom) - interval.top.max(top);
            if common > 0.0 {
                let share = common / (bottom - top);
                match shares
                    .iter_mut()
                    .find(|(class, _)| *class == interval.class)
                {
                    Some((_, sum)) => *sum += share,
                    None => shares.push((&interval.class, share)),
                }
            }
        }
        shares.into_iter().max_by(|(_, a), (_, b)| a.total_cmp(b))
    }

    /// What is unusual about intervals and the photographs that they are to be about: some belong to
    /// none.
    ///
    /// # Errors
    /// [`Error::Table`] if none belongs to any.
    pub(crate) fn check_places(&self, places: &[Extent<'_>]) -> Result<Option<String>> {
        let sections: Vec<_> = places
            .iter()
            .map(|place| self.section_of(place.name))
            .collect();
        let is_at = |interval: &LabelledInterval, place: &Extent<'_>| {
            let (top, bottom) = place.depths.unwrap_or((f64::INFINITY, f64::NEG_INFINITY));
            self.is_of_hole(interval, place.hole) && interval.top < bottom && interval.bottom > top
        };
        let belongs = |interval: &&LabelledInterval| match &interval.section {
            Some(name) => sections.contains(&Some(name)),
            None => places.iter().any(|place| is_at(interval, place)),
        };
        let strays: Vec<_> = self.intervals.iter().filter(|one| !belongs(one)).collect();
        if strays.is_empty() {
            return Ok(None);
        }
        let (count, all) = (strays.len(), self.intervals.len());
        let mut labels: Vec<String> = strays.into_iter().map(LabelledInterval::label).collect();
        labels.dedup();
        let (labels, there) = (few(&labels), described(places));
        if count < all {
            let path = self.path.display();
            return Ok(Some(format!(
                "{path}: {count} of {all} intervals belong to no photograph: {labels}; {there}"
            )));
        }
        let reason = format!("none of the intervals belongs to a photograph: {labels}; {there}");
        Err(Error::table(&self.path, None, reason))
    }
}

/// The photographs that there are, with their depths.
fn described(places: &[Extent<'_>]) -> String {
    let place = |place: &Extent<'_>| match (place.depths, place.hole) {
        (Some((top, bottom)), Some(hole)) => {
            format!("{} ({top:.2} to {bottom:.2} m of {hole})", place.name)
        }
        (Some((top, bottom)), None) => format!("{} ({top:.2} to {bottom:.2} m)", place.name),
        (None, _) => format!("{} (depth unknown)", place.name),
    };
    format!("there are {}", few(places.iter().map(place)))
}

/// That intervals of different classes do not overlap. Rows are in the order of their places and tops.
fn check_overlaps(path: &Path, rows: &[(u64, LabelledInterval)]) -> Result<()> {
    // The deepest interval of each class so far, with its line.
    let mut above: Vec<&(u64, LabelledInterval)> = Vec::new();
    for row in rows {
        let (line, interval) = row;
        above.retain(|(_, other)| other.place() == interval.place());
        let overlaps = |(_, other): &&&(u64, LabelledInterval)| {
            other.class != interval.class && other.bottom - interval.top > ROUNDING_M
        };
        if let Some((other_line, other)) = above.iter().find(overlaps) {
            let (class, other) = (&interval.class, &other.class);
            let reason = format!("{class} overlaps {other} of line {other_line}");
            return Err(Error::table(path, *line, reason));
        }
        let same = above
            .iter_mut()
            .find(|(_, other)| other.class == interval.class);
        match same {
            Some(deepest) if deepest.1.bottom < interval.bottom => *deepest = row,
            Some(_) => {}
            None => above.push(row),
        }
    }
    Ok(())
}

/// Intervals of one class that overlap as one.
fn united(mut intervals: Vec<LabelledInterval>) -> Vec<LabelledInterval> {
    // The order of tops is kept within a class.
    intervals.sort_by(|a, b| (a.place(), &a.class).cmp(&(b.place(), &b.class)));
    intervals.dedup_by(|next, last| {
        let overlap =
            last.place() == next.place() && last.class == next.class && next.top < last.bottom;
        if overlap {
            last.bottom = last.bottom.max(next.bottom);
        }
        overlap
    });
    intervals.sort_by(|a, b| a.place().cmp(&b.place()).then(a.top.total_cmp(&b.top)));
    intervals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<IntervalTable> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disturbance.csv");
        std::fs::write(&path, text).unwrap();
        IntervalTable::read(&path, &ColumnMap::default())
    }

    #[test]
    fn parts_of_sections_have_the_class_that_covers_most_of_them() {
        let header = "Exp,Site,Hole,Core,Type,Sect,A/W,Top offset (cm),Bottom offset (cm),Class\n";
        let table = read(&format!(
            "{header}9,U1,A,1,H,2,A,0,30,none\n9,U1,A,1,H,2,A,30,50,soupy\n"
        ))
        .unwrap();
        let class = |top, bottom| table.class_of("9-U1A-1H-2-A", (top, bottom), None);
        assert_eq!(class(0.1, 0.2).unwrap(), ("none", 1.0));
        let (name, share) = class(0.28, 0.33).unwrap();
        assert!(name == "soupy" && (share - 0.6).abs() < 1e-9, "{share}");
        assert_eq!(class(0.6, 0.7), None);
        assert_eq!(table.class_of("9-U1A-1H-3-A", (0.1, 0.2), None), None);

        let table = read("top depth (m),bottom depth (m),class\n10,11.5,crack\n").unwrap();
        let class = |top| table.class_of("x", (0.0, 0.5), Some(&place(None, top)));
        assert_eq!(class(10.0).unwrap().0, "crack");
        assert_eq!(class(20.0), None);
        assert_eq!(table.class_of("x", (0.0, 0.5), None), None);
    }

    fn place(hole: Option<&str>, top: f64) -> SectionDepth {
        SectionDepth {
            name: "x".to_owned(),
            hole: hole.map(str::to_owned),
            top,
            length: None,
        }
    }

    #[test]
    fn depths_are_of_their_hole_alone() {
        let rows = "hole,top,bottom,class\nA,10,10.9,crack\nB,20,20.9,none\n";
        let table = read(rows).unwrap();
        let class = |hole, top| {
            let class = table.class_of("x", (0.0, 0.5), Some(&place(hole, top)));
            class.map(|(class, _)| class)
        };
        assert_eq!(class(Some("A"), 10.0), Some("crack"));
        assert_eq!(class(Some("B"), 10.0), None);
        assert_eq!(class(Some("b"), 20.0), Some("none"));
        assert_eq!(class(None, 10.0), None);
        let error = read("hole,top,bottom,class\nA,1,2,x\n,2,3,x\n").unwrap_err();
        assert!(
            error
                .to_string()
                .contains("line 3: the interval names no hole")
        );
    }

    #[test]
    fn labels_go_to_the_longest_name_that_fits() {
        let rows =
            "name,top offset (cm),bottom offset (cm),class\nBH1,0,50,crack\nBH1-2,0,50,none\n";
        let table = read(rows).unwrap();
        let class = |section| table.class_of(section, (0.1, 0.2), None).unwrap();
        assert_eq!(class("BH1-2"), ("none", 1.0));
        assert_eq!(class("BH1-3_dry"), ("crack", 1.0));
    }

    #[test]
    fn sections_and_holes_that_differ_in_case_alone_are_one() {
        let sections = "name,top offset,bottom offset,class\nBH1,0,50,crack\n";
        let table = read(&format!("{sections}bh1,50,100,none\n")).unwrap();
        let class = |section, top| table.class_of(section, (top, top + 0.1), None);
        assert_eq!(class("BH1", 0.6), Some(("none", 1.0)));
        assert_eq!(class("bh1", 0.1), Some(("crack", 1.0)));
        let holes = "hole,top,bottom,class\nA,0,50,crack\n";
        for rows in [
            sections.to_owned() + "bh1,40,100,none\n",
            holes.to_owned() + "a,40,60,x\n",
        ] {
            let error = read(&rows).unwrap_err().to_string();
            assert!(error.contains("overlaps crack of line 2"), "{error}");
        }
        let names = ["BH1-1", "BH1-2"].map(str::to_owned);
        let warning = table.shared(names.iter()).unwrap();
        assert!(
            warning.contains("have the intervals of one section"),
            "{warning}"
        );
    }

    #[test]
    fn intervals_of_one_class_that_overlap_count_once() {
        let rows = "0,0.4,crack\n0,0.4,crack\n0.2,0.5,crack\n0.5,1,none\n";
        let table = read(&format!("top,bottom,class\n{rows}")).unwrap();
        assert_eq!(table.intervals().len(), 2);
        let class = table.class_of("x", (0.0, 0.8), Some(&place(None, 0.0)));
        let (class, share) = class.unwrap();
        assert!(class == "crack" && (share - 0.625).abs() < 1e-9, "{share}");
    }

    #[test]
    fn intervals_without_a_photograph_are_told() {
        let extent = |name, depths| Extent {
            name,
            hole: Some("A"),
            depths,
        };
        let rows = "name,top offset,bottom offset,class\nBH1,0,5,x\nBH2,0,5,x\nBH2,5,9,y\n";
        let table = read(rows).unwrap();
        let check = |places: &[Extent<'_>]| table.check_places(places);
        assert_eq!(
            check(&[extent("BH1", None), extent("BH2", None)]).unwrap(),
            None
        );
        let warning = check(&[extent("BH1", None)]).unwrap().unwrap();
        assert!(
            warning.contains("2 of 3 intervals belong to no photograph: BH2; there are BH1"),
            "{warning}"
        );
        let error = check(&[extent("BH3", None)]).unwrap_err().to_string();
        assert!(
            error
                .contains("none of the intervals belongs to a photograph: BH1, BH2; there are BH3"),
            "{error}"
        );

        let table = read("hole,top,bottom,class\nA,1,2,x\nB,1,2,y\n").unwrap();
        let places = [extent("BH1", Some((1.5, 3.0)))];
        let warning = table.check_places(&places).unwrap().unwrap();
        assert!(
            warning.contains("1 to 2 m of B; there are BH1 (1.50 to 3.00 m of A)"),
            "{warning}"
        );
        let unknown = table.check_places(&[extent("BH1", None)]);
        let error = unknown.unwrap_err().to_string();
        assert!(error.contains("BH1 (depth unknown)"), "{error}");
    }

    #[test]
    fn intervals_that_cannot_be_are_refused() {
        let header = "top,bottom,class\n";
        for (rows, expected) in [
            ("2,1,crack\n", "ends at 1 m, not below its top at 2 m"),
            (
                "1,2,crack\n1.5,3,none\n",
                "line 3: none overlaps crack of line 2",
            ),
            (
                "1,9,crack\n2,3,crack\n4,5,none\n",
                "line 4: none overlaps crack of line 2",
            ),
            ("1,2,\n", "has no class"),
            ("1,-999.25,none\n", "stands for a missing value"),
        ] {
            let error = read(&format!("{header}{rows}")).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
