//! What a report consists of.

use std::path::Path;

use simclr_files::write_bytes;

use crate::error::{Error, Result};
use crate::svg::Svg;
use crate::table::Table;

/// The folder of figures and images below a report.
pub(crate) const FIGURES: &str = "figures";
/// The folder of tables below a report.
pub(crate) const TABLES: &str = "tables";
const PNG_SIGNATURE: [u8; 8] = [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a];

/// A block of a report.
#[derive(Debug, Clone)]
pub(crate) enum Block {
    Finding(String),
    Section(String),
    Subsection(String),
    Text(String),
    Code(String),
    Table(Table),
    /// A table behind a heading that opens it.
    Folded(String, Table),
    Figure(Picture<Svg>),
    Image(Picture<Vec<u8>>),
}

/// A picture with its caption.
#[derive(Debug, Clone)]
pub(crate) struct Picture<T> {
    pub(crate) name: String,
    pub(crate) content: T,
    pub(crate) caption: String,
}

impl Block {
    /// The folder and name of the block's file, without its ending.
    pub(crate) fn file(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::Table(table) | Self::Folded(_, table) => Some((TABLES, table.name())),
            Self::Figure(figure) => Some((FIGURES, &figure.name)),
            Self::Image(image) => Some((FIGURES, &image.name)),
            Self::Finding(_)
            | Self::Section(_)
            | Self::Subsection(_)
            | Self::Text(_)
            | Self::Code(_) => None,
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Self::Table(table) | Self::Folded(_, table) => table.check(),
            Self::Image(image) if !image.content.starts_with(&PNG_SIGNATURE) => {
                Err(Error::Report {
                    block: format!("image `{}`", image.name),
                    reason: "the bytes are not those of a PNG file".into(),
                })
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        let Some((folder, name)) = self.file() else {
            return Ok(());
        };
        let path = |ending: &str| dir.join(folder).join(format!("{name}.{ending}"));
        match self {
            Self::Table(table) | Self::Folded(_, table) => table.save_csv(&path("csv")),
            Self::Figure(figure) => figure.content.save(&path("svg")),
            Self::Image(image) => Ok(write_bytes(&path("png"), &image.content)?),
            _ => Ok(()),
        }
    }
}
