//! What columns are called, in which unit their numbers are.

use std::collections::BTreeMap;
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
            "picture",
            "image",
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

    /// The place and the header of a column.
    pub(super) fn find<'h>(&self, column: &str, headers: &'h [String]) -> Option<(usize, &'h str)> {
        let place = match self.headers.get(column) {
            Some(header) => headers.iter().position(|other| other == header),
            None => {
                let (_, words) = KNOWN.iter().find(|(name, _)| *name == column)?;
                let of_word =
                    |word: &&str| headers.iter().position(|header| plain(header) == **word);
                words.iter().find_map(of_word)
            }
        };
        place.map(|place| (place, headers[place].as_str()))
    }

    /// A header that the map names and the table lacks.
    pub(super) fn missing(&self, headers: &[String]) -> Option<&str> {
        let mut named = self.headers.values();
        named
            .find(|header| !headers.contains(header))
            .map(String::as_str)
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

/// Metres per unit, for a header that names one in brackets or at its end.
pub(super) fn unit(header: &str) -> Option<f64> {
    let in_brackets = header
        .split(['(', '['])
        .nth(1)
        .and_then(|rest| rest.split([')', ']']).next());
    let at_end = header.rsplit([' ', '_']).next();
    let metres = |unit: &str| match unit.trim().to_ascii_lowercase().as_str() {
        "m" | "meter" | "metre" | "meters" | "metres" => Some(1.0),
        "cm" => Some(0.01),
        "mm" => Some(0.001),
        "ft" | "feet" => Some(0.3048),
        _ => None,
    };
    in_brackets
        .and_then(metres)
        .or_else(|| at_end.and_then(metres))
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
        for (header, metres) in [
            ("Top [cm]", 0.01),
            ("depth_m", 1.0),
            ("Length (ft)", 0.3048),
        ] {
            assert_eq!(unit(header), Some(metres));
        }
        assert_eq!(unit("Top depth CSF-A"), None);

        let map: ColumnMap = "top=From".parse().unwrap();
        assert_eq!(map.find("top", &headers), None);
        assert_eq!(map.missing(&headers), Some("From"));
    }
}
