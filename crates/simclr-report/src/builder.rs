//! Putting a report together and writing it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{html, settings};
use crate::plot::Svg;
use crate::run::{Manifest, Session, write_atomically};
use crate::table::Table;
use crate::{Error, Result};

const FIGURES: &str = "figures";
const TABLES: &str = "tables";
const PNG_SIGNATURE: [u8; 8] = [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a];

/// A report under construction. The parts appear in the order in which they
/// are added.
#[derive(Debug, Clone)]
pub struct Report {
    pub(super) title: String,
    pub(super) question: String,
    pub(super) parts: Vec<Part>,
    pub(super) manifest: Manifest,
}

/// A part of a report.
#[derive(Debug, Clone)]
pub(super) enum Part {
    Section(String),
    Text(String),
    Table(Table),
    Figure(Picture<Svg>),
    Image(Picture<Vec<u8>>),
}

/// A picture with its caption.
#[derive(Debug, Clone)]
pub(super) struct Picture<T> {
    pub(super) name: String,
    pub(super) content: T,
    pub(super) caption: String,
}

impl Report {
    /// A report with a title and the question that the experiment asks.
    pub fn new(title: impl Into<String>, question: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            question: question.into(),
            parts: Vec::new(),
            manifest: Manifest::default(),
        }
    }

    /// Begins a section.
    pub fn section(self, heading: impl Into<String>) -> Self {
        self.with(Part::Section(heading.into()))
    }

    /// Adds a paragraph.
    pub fn text(self, paragraph: impl Into<String>) -> Self {
        self.with(Part::Text(paragraph.into()))
    }

    /// Adds a section with a table of the configuration's fields.
    ///
    /// # Errors
    /// [`Error::Json`] if it cannot be serialised.
    pub fn settings(self, settings: &impl Serialize) -> Result<Self> {
        let settings = serde_json::to_value(settings).map_err(Error::json("settings".as_ref()))?;
        let table = settings::table("settings", "Every setting of the run.", &settings);
        Ok(self.section("Settings").table(table))
    }

    /// Adds a table.
    pub fn table(self, table: Table) -> Self {
        self.with(Part::Table(table))
    }

    /// Adds a figure; `name` becomes the name of its file.
    pub fn figure(self, name: impl Into<String>, figure: Svg, caption: impl Into<String>) -> Self {
        self.with(Part::Figure(Picture {
            name: name.into(),
            content: figure,
            caption: caption.into(),
        }))
    }

    /// Adds an image, the bytes of a PNG file; `name` becomes the name of its
    /// file.
    pub fn image(self, name: impl Into<String>, png: Vec<u8>, caption: impl Into<String>) -> Self {
        self.with(Part::Image(Picture {
            name: name.into(),
            content: png,
            caption: caption.into(),
        }))
    }

    /// States the seeds, data and sessions of the run that is reported on.
    /// Without it the report states the process that writes it.
    pub fn manifest(mut self, manifest: Manifest) -> Self {
        self.manifest = manifest;
        self
    }

    /// Writes `report.html` into the folder `dir`, the figures and images into
    /// `figures/` and the tables, as CSV, into `tables/`. Returns the path of
    /// the report, which is written last.
    ///
    /// # Errors
    /// [`Error::Report`] if a name is not made of letters, digits, `-` and `_`,
    /// is taken twice, an image is no PNG file or a table's row does not fit
    /// its columns; [`Error::Io`].
    pub fn write(mut self, dir: impl AsRef<Path>) -> Result<PathBuf> {
        let dir = dir.as_ref();
        if self.manifest.sessions.is_empty() {
            self.manifest.sessions.push(Session::current());
        }
        self.check_names()?;
        self.parts.iter().try_for_each(Part::check)?;
        for folder in [FIGURES, TABLES] {
            let folder = dir.join(folder);
            fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        }
        for part in &self.parts {
            part.write(dir)?;
        }
        let path = dir.join("report.html");
        let page = html::page(&self).into_string();
        write_atomically(&path, |file| file.write_all(page.as_bytes()))?;
        Ok(path)
    }

    fn with(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }

    fn check_names(&self) -> Result<()> {
        let mut seen = Vec::new();
        for file in self.parts.iter().filter_map(Part::file) {
            let (_, name) = file;
            let wrong = |reason: &str| Error::Report {
                part: format!("`{name}`"),
                reason: reason.to_owned(),
            };
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if name.is_empty() || !name.chars().all(plain) {
                return Err(wrong("a name is made of letters, digits, - and _"));
            }
            if seen.contains(&file) {
                return Err(wrong("two parts have this name"));
            }
            seen.push(file);
        }
        Ok(())
    }
}

impl Part {
    /// The folder and name of the part's file, without its ending.
    fn file(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::Section(_) | Self::Text(_) => None,
            Self::Table(table) => Some((TABLES, &table.name)),
            Self::Figure(figure) => Some((FIGURES, &figure.name)),
            Self::Image(image) => Some((FIGURES, &image.name)),
        }
    }

    fn check(&self) -> Result<()> {
        match self {
            Self::Table(table) => table.check(),
            Self::Image(image) if !image.content.starts_with(&PNG_SIGNATURE) => {
                Err(Error::Report {
                    part: format!("image `{}`", image.name),
                    reason: "the bytes are not those of a PNG file".into(),
                })
            }
            _ => Ok(()),
        }
    }

    fn write(&self, dir: &Path) -> Result<()> {
        match self {
            Self::Section(_) | Self::Text(_) => Ok(()),
            Self::Table(table) => {
                let path = dir.join(TABLES).join(format!("{}.csv", table.name));
                write_atomically(&path, |file| table.write_csv(file))
            }
            Self::Figure(figure) => {
                let path = dir.join(FIGURES).join(format!("{}.svg", figure.name));
                figure.content.save(&path)
            }
            Self::Image(image) => {
                let path = dir.join(FIGURES).join(format!("{}.png", image.name));
                write_atomically(&path, |file| file.write_all(&image.content))
            }
        }
    }
}
