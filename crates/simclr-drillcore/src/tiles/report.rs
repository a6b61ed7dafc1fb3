//! What came of cutting a folder of photographs.

use serde::Serialize;

use super::tile::Tile;
use crate::error::Error;

/// What became of a section: a row of `sections.csv`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SectionOutcome {
    /// The photograph's name without its extension.
    pub section: String,
    /// How many tiles were kept.
    pub tiles: usize,
    /// How many were left out.
    pub left_out: usize,
    /// Width of the core in pixels.
    pub width: Option<f64>,
    /// Length of the core in pixels.
    pub length: Option<f64>,
    /// The angle in degrees by which it is turned.
    pub tilt: Option<f64>,
    /// Pixels per centimetre.
    pub pixels_per_cm: Option<f64>,
    /// Why there are no tiles, or what is unusual.
    pub note: String,
}

/// The result of cutting a folder.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TilesReport {
    /// The tiles, section by section from the top.
    pub tiles: Vec<Tile>,
    /// What became of each section.
    pub sections: Vec<SectionOutcome>,
    /// What is unusual about the tables: intervals that no photograph is of, sections that several
    /// are of.
    pub warnings: Vec<String>,
}

impl SectionOutcome {
    pub(super) fn without_tiles(section: &str, reason: &Error) -> Self {
        Self {
            section: section.to_owned(),
            tiles: 0,
            left_out: 0,
            width: None,
            length: None,
            tilt: None,
            pixels_per_cm: None,
            note: reason.to_string(),
        }
    }
}
