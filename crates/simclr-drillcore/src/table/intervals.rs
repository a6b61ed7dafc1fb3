//! Intervals with classes.

use std::path::Path;

use super::columns::ColumnMap;
use super::depths::is_named_after;
use super::reader::Table;
use crate::error::{Error, Result};

/// Intervals may overlap by so much, in metres, before they contradict each other.
const ROUNDING_M: f64 = 0.002;

/// A part of a section or of a hole with a class.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LabelledInterval {
    /// The section that offsets are counted in, or none if they are depths.
    pub section: Option<String>,
    /// Depth, or offset from the section's top, in metres.
    pub top: f64,
    /// Its lower end.
    pub bottom: f64,
    /// The class.
    pub class: String,
}

/// Intervals with classes, by offset in sections (IODP's columns, top and bottom offset in cm) or by
/// depth (top and bottom depth in m).
#[derive(Debug, Clone, PartialEq)]
pub struct IntervalTable {
    intervals: Vec<LabelledInterval>,
}

impl IntervalTable {
    /// Reads and checks a table.
    ///
    /// # Errors
    /// [`Error::Table`] if columns or values are missing, an interval ends above its top, or
    /// intervals of different classes overlap.
    pub fn read(path: &Path, map: &ColumnMap) -> Result<Self> {
        let table = Table::read(path, map)?;
        table.require("class", "classes")?;
        let by_offset = table.has("top_offset") && table.has("bottom_offset");
        if !by_offset {
            table.require("top", "top offsets or top depths")?;
            table.require("bottom", "bottom offsets or bottom depths")?;
        }
        let mut rows = Vec::new();
        for row in table.rows() {
            let (top, bottom) = if by_offset {
                (
                    row.required("top_offset", 0.01)?,
                    row.required("bottom_offset", 0.01)?,
                )
            } else {
                (row.required("top", 1.0)?, row.required("bottom", 1.0)?)
            };
            if bottom <= top {
                return Err(row.error(format!(
                    "the interval ends at {bottom} m, not below its top at {top} m"
                )));
            }
            let class = row
                .text("class")
                .ok_or_else(|| row.error("the interval has no class"))?;
            let section = by_offset.then(|| row.section()).transpose()?;
            let class = class.to_owned();
            let interval = LabelledInterval {
                section,
                top,
                bottom,
                class,
            };
            rows.push((row.line(), interval));
        }
        rows.sort_by(|(_, a), (_, b)| a.section.cmp(&b.section).then(a.top.total_cmp(&b.top)));
        for pair in rows.windows(2) {
            let ((above, first), (below, second)) = (&pair[0], &pair[1]);
            let overlap = first.bottom - second.top > ROUNDING_M && first.section == second.section;
            if overlap && first.class != second.class {
                let reason = format!("{} overlaps {} of line {above}", second.class, first.class);
                return Err(Error::table(path, *below, reason));
            }
        }
        Ok(Self {
            intervals: rows.into_iter().map(|(_, interval)| interval).collect(),
        })
    }

    /// The intervals, section by section from the top.
    pub fn intervals(&self) -> &[LabelledInterval] {
        &self.intervals
    }

    /// The class that covers most of a part of a section, and its share of the part. `offset` are top
    /// and bottom from the section's top in metres; `depth` is that of the section's top.
    pub fn class_of(
        &self,
        section: &str,
        offset: (f64, f64),
        depth: Option<f64>,
    ) -> Option<(&str, f64)> {
        let mut shares: Vec<(&str, f64)> = Vec::new();
        for interval in &self.intervals {
            let shift = match &interval.section {
                Some(name) if is_named_after(section, name) => 0.0,
                Some(_) => continue,
                None => depth?,
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
        assert_eq!(
            table.class_of("x", (0.0, 0.5), Some(10.0)).unwrap().0,
            "crack"
        );
        assert_eq!(table.class_of("x", (0.0, 0.5), Some(20.0)), None);
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
            ("1,2,\n", "has no class"),
            ("1,-999.25,none\n", "stands for a missing value"),
        ] {
            let error = read(&format!("{header}{rows}")).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
