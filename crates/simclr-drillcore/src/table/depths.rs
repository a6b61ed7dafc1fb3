//! The depths of sections.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::columns::ColumnMap;
use super::names::{PlaceNames, few, section_of, shared};
use super::reader::{Row, Table, check_named};
use crate::error::{Error, Result};

/// Depths and lengths in tables are rounded to centimetres, so ends may differ by this.
const ROUNDING_M: f64 = 0.011;
/// Depths and lengths of the same section differ by less.
const SAME_M: f64 = 0.001;
/// No section is longer.
const LONGEST_M: f64 = 20.0;
/// No hole is deeper.
pub(crate) const DEEPEST_M: f64 = 13_000.0;

/// A section's place in its hole.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SectionDepth {
    /// IODP's name without the half, such as `403-U1618A-1H-2`, or the table's own.
    pub name: String,
    /// The hole, such as `403-U1618A`, if the table has columns for it.
    pub hole: Option<String>,
    /// Depth of its top in metres.
    pub top: f64,
    /// Its length in metres, if the table has it.
    pub length: Option<f64>,
}

impl SectionDepth {
    /// Top and bottom in metres; without a length, as far down as a section can reach.
    pub(crate) fn ends(&self) -> (f64, f64) {
        (self.top, self.top + self.length.unwrap_or(LONGEST_M))
    }
}

/// The depths of sections, from a table with IODP's columns (Exp, Site, Hole, Core, Type, Sect,
/// A/W, top depth CSF-A, length) or others through a [`ColumnMap`].
///
/// Lengths are the curated ones where the table has several, or follow from top and bottom.
/// Units stand in the headers (`(m)`, `(cm)`, `(ft)`); without, metres are meant.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthTable {
    path: PathBuf,
    sections: Vec<SectionDepth>,
    warnings: Vec<String>,
}

/// A section with what it is checked by.
struct Entry {
    depth: SectionDepth,
    line: u64,
    core: String,
    /// Core and section in the order from the top.
    order: (u64, u64),
}

impl Entry {
    fn of_row(row: &Row<'_>, index: usize) -> Result<Self> {
        let top = row.required("top", 1.0)?;
        let length = match (row.metres("length", 1.0)?, row.metres("bottom", 1.0)?) {
            (Some(length), _) => Some(length),
            (None, bottom) => bottom.map(|bottom| bottom - top),
        };
        if length.is_some_and(|length| length <= 0.0) {
            return Err(row.error("the section's length is not above 0"));
        }
        let number = |column| {
            let text = row.text(column).unwrap_or_default();
            // The core catcher comes after all numbered sections.
            let catcher = text.eq_ignore_ascii_case("CC");
            text.parse().ok().or(catcher.then_some(u64::MAX))
        };
        let order = number("core").zip(number("section"));
        let part = |column| row.text(column).unwrap_or_default().to_owned();
        Ok(Self {
            line: row.line(),
            core: part("core") + &part("type"),
            order: order.unwrap_or((0, index as u64)),
            depth: SectionDepth {
                name: row.section()?,
                hole: row.hole(),
                top,
                length,
            },
        })
    }

    /// Writes the names of section and hole as rows above write them.
    fn spell(&mut self, names: &mut PlaceNames) {
        let section = &mut self.depth;
        section.name = names.of(&section.name);
        section.hole = section.hole.as_deref().map(|hole| names.of(hole));
    }

    /// Another row of the section, for its halves may have rows of their own: it has to say the same.
    fn repeat(&mut self, row: &Row<'_>, other: &Self) -> Result<()> {
        let (before, now) = (&mut self.depth, &other.depth);
        if (before.top - now.top).abs() > SAME_M {
            return Err(row.error(format!(
                "{} begins at {} m, but at {} m in line {}",
                now.name, now.top, before.top, self.line
            )));
        }
        if let (Some(first), Some(second)) = (before.length, now.length)
            && (first - second).abs() > SAME_M
        {
            return Err(row.error(format!(
                "{} is {second} m long, but {first} m in line {}",
                now.name, self.line
            )));
        }
        before.length = before.length.or(now.length);
        Ok(())
    }
}

impl DepthTable {
    /// Reads and checks a table.
    ///
    /// # Errors
    /// [`Error::Table`] if columns or values are missing, depths go backwards, sections of a core
    /// overlap, a section is there twice with different depths or lengths, or units are mixed up.
    pub fn read(path: &Path, map: &ColumnMap) -> Result<Self> {
        let table = Table::read(path, map)?;
        check_named(map, &[&table])?;
        Self::of_rows(&table)
    }

    pub(super) fn of_rows(table: &Table) -> Result<Self> {
        table.require("top", "top depths")?;
        if !(table.has("core") && table.has("section")) {
            table.require(
                "name",
                "sections (Exp, Site, Hole, Core, Type, Sect) or names",
            )?;
        }
        let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
        let mut names = PlaceNames::default();
        for (index, row) in table.rows().enumerate() {
            let mut entry = Entry::of_row(&row, index)?;
            entry.spell(&mut names);
            match entries.get_mut(&entry.depth.name) {
                Some(before) => before.repeat(&row, &entry)?,
                None => {
                    entries.insert(entry.depth.name.clone(), entry);
                }
            }
        }
        let mut entries: Vec<Entry> = entries.into_values().collect();
        entries.sort_by(|a, b| (&a.depth.hole, a.order).cmp(&(&b.depth.hole, b.order)));
        let mut warnings = check(table.path(), &entries)?;
        warnings.extend(without_lengths(table));
        Ok(Self {
            path: table.path().to_owned(),
            sections: entries.into_iter().map(|entry| entry.depth).collect(),
            warnings,
        })
    }

    /// The sections from the top, hole by hole.
    pub fn sections(&self) -> &[SectionDepth] {
        &self.sections
    }

    /// What is unusual but no error: cores that overlap, as they do where more was recovered than
    /// drilled; columns that are not used where there are no lengths.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The section that a photograph or a label is named after: its name begins with the section's,
    /// up to the end of a word. The longest such name counts.
    ///
    /// # Errors
    /// [`Error::Table`] if there is none.
    pub fn find(&self, name: &str) -> Result<&SectionDepth> {
        self.section_of(name).ok_or_else(|| {
            let names = few(self.sections.iter().map(|section| &section.name));
            let reason = format!("no section that {name} is named after (the table has {names})");
            Error::table(&self.path, None, reason)
        })
    }

    fn section_of(&self, photograph: &str) -> Option<&SectionDepth> {
        section_of(photograph, self.sections.iter(), |section| &section.name)
    }

    /// What is unusual about photographs: several have the depths of one section.
    pub(crate) fn shared<'n>(
        &'n self,
        photographs: impl Iterator<Item = &'n String>,
    ) -> Option<String> {
        let name = |photograph: &str| Some(self.section_of(photograph)?.name.as_str());
        shared(&self.path, "depths", photographs, name)
    }
}

/// Says which columns are not used where none has the sections' lengths: it may be one of them.
fn without_lengths(table: &Table) -> Option<String> {
    let unused = table.unused();
    if table.has("length") || table.has("bottom") || unused.is_empty() {
        return None;
    }
    let path = table.path().display();
    Some(format!(
        "{path}: no column of lengths or bottom depths; these are not used: {}; name one with --column \
         length=HEADER or bottom=HEADER",
        unused.join(", ")
    ))
}

fn check(path: &Path, entries: &[Entry]) -> Result<Vec<String>> {
    for entry in entries {
        let SectionDepth {
            name, top, length, ..
        } = &entry.depth;
        let deep = *top > DEEPEST_M;
        if deep || length.is_some_and(|length| length > LONGEST_M) {
            let what = if deep {
                format!("begins at {top} m")
            } else {
                format!("is {} m long", length.unwrap_or(0.0))
            };
            let reason = format!(
                "{name} {what}: are its centimetres or feet taken for metres? Name the unit in the header, as in (cm)"
            );
            return Err(Error::table(path, entry.line, reason));
        }
    }
    let mut warnings = Vec::new();
    let pairs = entries
        .windows(2)
        .filter(|pair| pair[0].depth.hole == pair[1].depth.hole);
    for pair in pairs {
        let (above, below) = (&pair[0], &pair[1]);
        let (first, second) = (&above.depth, &below.depth);
        if second.top < first.top {
            let reason = format!(
                "depth goes backwards: {} begins at {} m, and {} above it at {} m",
                second.name, second.top, first.name, first.top
            );
            return Err(Error::table(path, below.line, reason));
        }
        let overlap = first.top + first.length.unwrap_or(0.0) - second.top;
        if overlap > ROUNDING_M {
            let what = format!(
                "{} begins at {} m, {overlap:.3} m above the end of {}",
                second.name, second.top, first.name
            );
            if above.core == below.core {
                let reason =
                    format!("sections overlap: {what}; are depths and lengths in the same unit?");
                return Err(Error::table(path, below.line, reason));
            }
            warnings.push(format!("cores overlap: {what}"));
        }
    }
    Ok(warnings)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str =
        "Exp,Site,Hole,Core,Type,Sect,A/W,Top depth CSF-A (m),Curated length (m)\n";

    fn read(text: &str) -> Result<DepthTable> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sections.csv");
        std::fs::write(&path, text).unwrap();
        DepthTable::read(&path, &ColumnMap::default())
    }

    fn message(rows: &str) -> String {
        read(&format!("{HEADER}{rows}")).unwrap_err().to_string()
    }

    #[test]
    fn sections_are_found_by_the_names_of_their_photographs() {
        let rows = "403,U1618,A,1,H,1,A,0.0,1.5\n403,U1618,A,1,H,1,W,0.0,1.5\n\
                    403,U1618,A,1,H,10,A,1.5,1.2\n403,U1618,A,1,H,CC,A,2.7,0.2\n";
        let table = read(&format!("\u{feff}{HEADER}{rows}")).unwrap();
        assert_eq!(table.sections().len(), 3);
        let find = |name| table.find(name).map(|section| section.top);
        assert_eq!(find("403-U1618A-1H-1-A_SHLF123_trim").unwrap(), 0.0);
        assert_eq!(find("403-u1618a-1h-10-W").unwrap(), 1.5);
        assert_eq!(find("403-U1618A-1H-CC-A").unwrap(), 2.7);
        let error = find("403-U1618A-1H-2-A").unwrap_err().to_string();
        assert!(
            error.contains(
                "no section that 403-U1618A-1H-2-A is named after (the table has 403-U1618A-1H-1, \
                 403-U1618A-1H-10, 403-U1618A-1H-CC)"
            ),
            "{error}"
        );
    }

    #[test]
    fn other_tables_have_names_and_units_of_their_own() {
        let table =
            read("image;top [ft];bottom [ft]\nbox1.jpg;100;103\nbox2.jpg;103;106\n").unwrap();
        let first = table.find("box1").unwrap();
        assert!((first.top - 30.48).abs() < 1e-9);
        assert!((first.length.unwrap() - 0.9144).abs() < 1e-9);
    }

    #[test]
    fn names_that_differ_in_case_alone_are_one() {
        let read = |rows: &str| read(&format!("name,top (m),length (m)\n{rows}"));
        let error = read("BH1,10,1\nbh1,20,1\n").unwrap_err().to_string();
        let expected = "line 3: BH1 begins at 20 m, but at 10 m in line 2";
        assert!(error.ends_with(expected), "{error}");
        let table = read("BH1,10,1\nbh1,10,1\n").unwrap();
        assert_eq!(table.sections().len(), 1);
        assert_eq!(table.find("Bh1_dry").unwrap().top, 10.0);

        let rows = "403,U1618,A,1,H,1,A,0.0,1.5\n403,U1618,a,1,H,2,A,1.2,1.5\n";
        assert!(message(rows).contains("sections overlap"));
    }

    #[test]
    fn photographs_that_share_a_section_are_told() {
        let table = read("name,top (m)\nBH1,10\nBH2-1,20\nBH2-2,21\n").unwrap();
        let shared = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            table.shared(names.iter())
        };
        assert_eq!(shared(&["BH1-1", "BH2-1", "BH2-2"]), None);
        let warning = shared(&["BH1-1", "BH1-2", "BH2-1"]).unwrap();
        let expected = "several photographs have the depths of one section, as if they showed the \
                        same part of the core: BH1-1, BH1-2 (BH1)";
        assert!(warning.ends_with(expected), "{warning}");

        // Halves with rows of their own; what stands behind no number is no half.
        let rows = "403-U1618A-1H-2-A,10\n403-U1618A-1H-2-W,10\n1H-CC-A,12\n1H-CC-W,12\nBH1-A,20\nBH1-W,30\n";
        let table = read(&format!("name,top (m)\n{rows}")).unwrap();
        let names = rows
            .lines()
            .map(|row| row.split(',').next().unwrap().to_owned());
        let warning = table.shared(names.collect::<Vec<_>>().iter()).unwrap();
        let expected = "the core: 1H-CC-A, 1H-CC-W (1H-CC), 403-U1618A-1H-2-A, 403-U1618A-1H-2-W \
                        (403-U1618A-1H-2)";
        assert!(warning.ends_with(expected), "{warning}");
    }

    #[test]
    fn tables_without_lengths_tell_which_columns_are_not_used() {
        let table = read("name,Top depth MD (m),Thickness,Base MD\nBH1,10,1,11\n").unwrap();
        assert_eq!(table.warnings().len(), 1);
        let expected = "sections.csv: no column of lengths or bottom depths; these are not used: \
                        Thickness, Base MD; name one with --column length=HEADER or bottom=HEADER";
        assert!(table.warnings()[0].ends_with(expected), "{table:?}");
        for table in [
            "name,top\nBH1,10\n",
            "name,top,Length cm,note\nBH1,10,50,wet\n",
        ] {
            assert!(read(table).unwrap().warnings().is_empty(), "{table}");
        }
    }

    #[test]
    fn a_number_with_a_point_is_no_extension() {
        let table = read("name,top (m),length (m)\nBH12_10.5,10.5,0.3\nBH12_10.8.JPG,10.8,0.3\n");
        let table = table.unwrap();
        assert_eq!(table.find("BH12_10.5").unwrap().top, 10.5);
        assert_eq!(table.find("BH12_10.8").unwrap().top, 10.8);
    }

    #[test]
    fn depths_that_cannot_be_are_refused_with_their_line() {
        let first = "403,U1618,A,1,H,1,A,0.0,1.5\n";
        for (rows, expected) in [
            ("403,U1618,A,1,H,2,A,1.2,1.5\n", "line 3: sections overlap"),
            (
                "403,U1618,A,1,H,2,A,-0.5,1.5\n",
                "line 3: depth goes backwards",
            ),
            (
                "403,U1618,A,1,H,2,A,1.5,150\n",
                "150 m long: are its centimetres",
            ),
            (
                "403,U1618,A,1,H,2,A,-999.25,1.5\n",
                "line 3: `Top depth CSF-A (m)` is -999.25, which stands for",
            ),
            ("403,U1618,A,1,H,2,A,,1.5\n", "no value for `top`"),
            ("403,U1618,A,1,H,2,A,deep,1.5\n", "expected a number"),
            ("403,U1618,A,1,H,1,W,1.5,1.5\n", "but at 0 m in line 2"),
            (
                "403,U1618,A,1,H,1,W,0.0,1.2\n",
                "line 3: 403-U1618A-1H-1 is 1.2 m long, but 1.5 m in line 2",
            ),
            ("403,U1618,A,1,H,2,A,1.5,0\n", "length is not above 0"),
        ] {
            let error = message(&(first.to_owned() + rows));
            assert!(error.contains(expected), "{error}");
        }
        assert!(message("").contains("no rows"));
        let error = read("Depth,Section\n1,2\n").unwrap_err().to_string();
        assert!(error.contains("no column of top depths"), "{error}");
    }

    #[test]
    fn cores_may_overlap_with_a_warning() {
        let rows = "403,U1618,A,1,H,1,A,0.0,1.5\n403,U1618,A,2,H,1,A,1.4,1.5\n";
        let table = read(&format!("{HEADER}{rows}")).unwrap();
        assert!(table.warnings()[0].contains("0.100 m above the end of 403-U1618A-1H-1"));
    }
}
