//! What columns are called, in which unit their numbers are.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// The columns that tables may have, and the words for them in headers, as IODP's data base
/// exports them first. Case, blanks, punctuation and units in brackets do not count.
const KNOWN: [(&str, &[&str]); 14] = [
    ("exp", &["exp", "expedition", "leg"]),
    ("site", &["site"]),
    ("hole", &["hole", "well", "borehole"]),
    ("core", &["core"]),
    ("type", &["type", "coretype", "cortype"]),
    ("section", &["sect", "section", "sec", "sc"]),
    ("half", &["aw", "half", "sectionhalf", "secthalf"]),
    (
        "name",
        &[
            "name",
            "photograph",
            "photo",
            "picture",
            "image",
            "imagename",
            "imagefile",
            "imagefilename",
            "file",
            "filename",
            "sample",
        ],
    ),
    (
        "top",
        &[
            "topdepthcsfa",
            "secttopdepthcsfa",
            "topdepth",
            "depthcsfa",
            "topdepthmbsf",
            "topmbsf",
            "topdepthmd",
            "top",
        ],
    ),
    (
        "bottom",
        &[
            "bottomdepthcsfa",
            "sectbottomdepthcsfa",
            "bottomdepth",
            "bottomdepthmbsf",
            "bottommbsf",
            "bottomdepthmd",
            "bottom",
        ],
    ),
    (
        "length",
        &[
            "curatedlength",
            "length",
            "sectionlength",
            "linerlength",
            "recoveredlength",
        ],
    ),
    ("top_offset", &["topoffset", "offsettop", "offset"]),
    ("bottom_offset", &["bottomoffset", "offsetbottom"]),
    (
        "class",
        &[
            "class",
            "label",
            "drillingdisturbancetype",
            "disturbancetype",
            "drillingdisturbance",
            "disturbance",
            "lithology",
        ],
    ),
];

/// The columns of lengths, whose headers may end with a unit without brackets.
const MEASURED: [&str; 5] = ["top", "bottom", "length", "top_offset", "bottom_offset"];

/// What units are called, and metres per unit. `in` is none of them, for it is a word as well.
const UNITS: [(&[&str], f64); 7] = [
    (
        &[
            "m", "meter", "meters", "metre", "metres", "mbsf", "mbrf", "mbgl", "mcd", "rmcd",
        ],
        1.0,
    ),
    (&["km"], 1000.0),
    (&["dm"], 0.1),
    (
        &[
            "cm",
            "centimeter",
            "centimeters",
            "centimetre",
            "centimetres",
        ],
        0.01,
    ),
    (
        &[
            "mm",
            "millimeter",
            "millimeters",
            "millimetre",
            "millimetres",
        ],
        0.001,
    ),
    (&["ft", "feet", "foot", "'", "\u{2019}", "\u{2032}"], 0.3048),
    (&["inch", "inches", "\"", "''", "\u{2033}"], 0.0254),
];

/// Words in brackets that say what depths are counted from, and no unit.
const REFERENCES: [&str; 16] = [
    "csf", "ccsf", "dsf", "drf", "wsf", "wmsf", "md", "tvd", "tvdss", "bsf", "bgl", "kb", "rkb",
    "curated", "driller", "logger",
];

/// What the columns of a table are called, where the known words do not fit:
/// `top=Depth from (m)` for the column of top depths.
///
/// ```
/// use simclr_drillcore::ColumnMap;
///
/// let map: ColumnMap = "name=Photo".parse()?;
/// let map = map.and("top=Depth from (m)".parse()?);
/// assert!("thickness=L".parse::<ColumnMap>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnMap {
    headers: BTreeMap<String, String>,
}

impl ColumnMap {
    /// Both maps; of two headers for a column the other's.
    pub fn and(mut self, other: Self) -> Self {
        self.headers.extend(other.headers);
        self
    }

    /// The place and the header of a column. Where the table lacks the header that the map names, the
    /// known words count: the map is for another table, then.
    pub(super) fn find<'h>(&self, column: &str, headers: &'h [String]) -> Option<(usize, &'h str)> {
        let named = self.headers.get(column);
        let named = named.and_then(|header| headers.iter().position(|other| other == header));
        let place = named.or_else(|| {
            let (_, words) = KNOWN.iter().find(|(name, _)| *name == column)?;
            let find = |form: fn(&str) -> String| {
                let of_word =
                    |word: &&str| headers.iter().position(|header| form(header) == **word);
                words.iter().find_map(of_word)
            };
            let is_measured = MEASURED.contains(&column);
            find(plain).or_else(|| find(without_unit).filter(|_| is_measured))
        })?;
        Some((place, headers[place].as_str()))
    }

    /// The headers of columns that are none of those that tables may have.
    pub(super) fn unused<'h>(&self, headers: &'h [String]) -> Vec<&'h str> {
        let used = KNOWN
            .iter()
            .filter_map(|(name, _)| self.find(name, headers));
        let used: BTreeSet<usize> = used.map(|(place, _)| place).collect();
        let places = headers.iter().enumerate();
        let unused = places.filter(|(place, header)| !used.contains(place) && !header.is_empty());
        unused.map(|(_, header)| header.as_str()).collect()
    }

    /// The headers that the map names.
    pub(super) fn named(&self) -> impl Iterator<Item = &str> {
        self.headers.values().map(String::as_str)
    }
}

impl FromStr for ColumnMap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = KNOWN.map(|(name, _)| name).join(", ");
        let expected = || format!("expected COLUMN=HEADER with a column of {names}; found {text}");
        let (column, header) = text.split_once('=').ok_or_else(expected)?;
        if !KNOWN.iter().any(|(name, _)| *name == column) {
            return Err(expected());
        }
        let headers = BTreeMap::from([(column.to_owned(), header.trim().to_owned())]);
        Ok(Self { headers })
    }
}

/// A header in small letters and digits, without what stands in brackets.
fn plain(header: &str) -> String {
    let words = header.split(['(', '[']).next().unwrap_or_default();
    let letters = words.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}

/// A header as [`plain`] has it, without the unit that it ends with: `length` for `Length cm`.
fn without_unit(header: &str) -> String {
    let is_no_word = |letter: char| !letter.is_alphanumeric();
    let words = header.split(['(', '[']).next().unwrap_or_default();
    match words.trim_end_matches(is_no_word).rsplit_once(is_no_word) {
        Some((name, last)) if metres(&last.to_lowercase()).is_some() => plain(name),
        _ => plain(words),
    }
}

/// Metres per unit, for a header that names one in brackets or at its end: the word among others, as
/// in `(ft MD)`. Brackets without a unit have to say what depths are counted from.
pub(super) fn unit(header: &str) -> Result<Option<f64>, String> {
    let (outside, inside) = parts(header);
    let words = words(&inside);
    let mut units = words.iter().filter_map(|word| metres(word));
    if let Some(unit) = units.next() {
        if units.all(|other| other == unit) {
            return Ok(Some(unit));
        }
        return Err("names two units: name one".to_owned());
    }
    let is_reference = |word: &String| REFERENCES.contains(&word.as_str());
    if words.is_empty() || words.iter().any(is_reference) {
        return Ok(self::words(&outside).last().and_then(|word| metres(word)));
    }
    let known = UNITS.map(|(names, _)| names[0]).join(", ");
    Err(format!(
        "has no known unit in its brackets; known units are {known}"
    ))
}

/// What stands outside of a header's brackets, and what in them.
fn parts(header: &str) -> (String, String) {
    let (mut outside, mut inside) = (String::new(), String::new());
    let mut is_inside = false;
    for letter in header.chars() {
        let part = if is_inside { &mut inside } else { &mut outside };
        match letter {
            '(' | '[' | ')' | ']' => {
                is_inside = matches!(letter, '(' | '[');
                part.push(' ');
            }
            letter => part.push(letter),
        }
    }
    (outside, inside)
}

/// The words in small letters. Signs for feet and inches are words of their own.
fn words(text: &str) -> Vec<String> {
    let is_word =
        |letter: char| letter.is_alphanumeric() || "'\"\u{2019}\u{2032}\u{2033}".contains(letter);
    let words = text.split(|letter| !is_word(letter));
    let words = words.filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

fn metres(word: &str) -> Option<f64> {
    let unit = UNITS.iter().find(|(names, _)| names.contains(&word));
    unit.map(|(_, metres)| *metres)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_data_base_and_of_others_are_found_with_their_units() {
        let headers =
            ["Sect", "A/W", "Top depth CSF-A (m)", "Curated length (m)"].map(str::to_owned);
        let map = ColumnMap::default();
        assert_eq!(map.find("section", &headers), Some((0, "Sect")));
        assert_eq!(map.find("half", &headers).unwrap().0, 1);
        assert_eq!(map.find("top", &headers).unwrap().0, 2);
        assert_eq!(map.find("length", &headers).unwrap().0, 3);
        assert_eq!(map.find("class", &headers), None);
        let map: ColumnMap = "top=From".parse().unwrap();
        let other = ["From", "Top depth"].map(str::to_owned);
        assert_eq!(map.find("top", &other).unwrap().0, 0);
        // The header of another table.
        assert_eq!(map.find("top", &headers).unwrap().0, 2);
        for header in ["Photograph", "photo", "File", "image"] {
            assert_eq!(
                map.find("name", &[header.to_owned()]),
                Some((0, header)),
                "{header}"
            );
        }
    }

    #[test]
    fn units_at_the_end_are_no_part_of_a_name() {
        let map = ColumnMap::default();
        for (column, header, metres) in [
            ("top", "Top mbsf", 1.0),
            ("top", "Top depth ft", 0.3048),
            ("bottom", "Bottom mcd", 1.0),
            ("bottom", "Bottom depth MD (m)", 1.0),
            ("bottom", "bottom_depth_ft (MD)", 0.3048),
            ("length", "Length cm", 0.01),
            ("length", "Curated length, cm.", 0.01),
            ("top_offset", "Top offset cm", 0.01),
            ("bottom_offset", "Bottom offset mm", 0.001),
        ] {
            assert_eq!(map.find(column, &[header.to_owned()]), Some((0, header)));
            assert_eq!(unit(header), Ok(Some(metres)), "{header}");
        }
        // A header that is a known word comes first, and other columns have no unit.
        let headers = ["Length cm", "Length", "Core m", "Yards"].map(str::to_owned);
        assert_eq!(map.find("length", &headers), Some((1, "Length")));
        assert_eq!(map.find("core", &headers), None);
        assert_eq!(map.unused(&headers), ["Length cm", "Core m", "Yards"]);
    }

    #[test]
    fn what_has_a_top_has_a_bottom() {
        let words = |name| KNOWN.iter().find(|(known, _)| *known == name).unwrap().1;
        let pairs = [("top", "bottom"), ("top_offset", "bottom_offset")];
        for (word, other) in pairs.iter().flat_map(|&(top, bottom)| {
            let tops = words(top).iter().filter(|word| word.contains("top"));
            tops.map(move |word| (word, bottom))
        }) {
            let bottom = word.replace("top", "bottom");
            assert!(words(other).contains(&&*bottom), "{bottom}");
        }
    }

    #[test]
    fn units_are_words_in_brackets_or_at_the_end() {
        for (header, metres) in [
            ("Top [cm]", 0.01),
            ("depth_m", 1.0),
            ("Length (ft)", 0.3048),
            ("top depth (ft MD)", 0.3048),
            ("Top depth [feet below KB]", 0.3048),
            ("top depth (')", 0.3048),
            ("top depth (m CSF-A)", 1.0),
            ("top depth (MD) [ft]", 0.3048),
            ("top depth (mbsf)", 1.0),
            ("top depth (km)", 1000.0),
            ("depth_ft (MD)", 0.3048),
        ] {
            assert_eq!(unit(header), Ok(Some(metres)), "{header}");
        }
        for header in ["Top depth CSF-A", "Top depth (CSF-A)", "Top depth ()"] {
            assert_eq!(unit(header), Ok(None), "{header}");
        }
        for header in [
            "top depth (fathoms)",
            "top depth [yd]",
            "top depth (m or ft)",
        ] {
            assert!(unit(header).is_err(), "{header}");
        }
    }
}
