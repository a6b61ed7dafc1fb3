//! Putting a report together and writing it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use simclr_files::write_bytes;

use crate::block::{Block, FIGURES, Picture, TABLES};
use crate::error::{Error, Result};
use crate::plot::Svg;
use crate::table::Table;
use crate::{html, settings};

/// A report under construction. The blocks appear in the order in which they
/// are added.
#[derive(Debug, Clone)]
pub struct Report {
    pub(crate) title: String,
    pub(crate) question: String,
    pub(crate) blocks: Vec<Block>,
}

impl Report {
    /// A report with a title and the question that the experiment asks.
    pub fn new(title: impl Into<String>, question: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            question: question.into(),
            blocks: Vec::new(),
        }
    }

    /// Begins a section.
    pub fn section(self, heading: impl Into<String>) -> Self {
        self.with(Block::Section(heading.into()))
    }

    /// Adds a paragraph.
    pub fn text(self, paragraph: impl Into<String>) -> Self {
        self.with(Block::Text(paragraph.into()))
    }

    /// Adds a section with a table of the configuration's fields.
    ///
    /// # Errors
    /// [`Error::Report`] if it cannot be serialised.
    pub fn settings(self, settings: &impl Serialize) -> Result<Self> {
        let settings = serde_json::to_value(settings).map_err(|error| Error::Report {
            block: "settings".into(),
            reason: error.to_string(),
        })?;
        let table = settings::table("settings", "Every setting of the run.", &settings);
        Ok(self.section("Settings").table(table))
    }

    /// Adds a table.
    pub fn table(self, table: Table) -> Self {
        self.with(Block::Table(table))
    }

    /// Adds a figure; `name` becomes the name of its file.
    pub fn figure(self, name: impl Into<String>, figure: Svg, caption: impl Into<String>) -> Self {
        self.with(Block::Figure(Picture {
            name: name.into(),
            content: figure,
            caption: caption.into(),
        }))
    }

    /// Adds an image, the bytes of a PNG file; `name` becomes the name of its
    /// file.
    pub fn image(self, name: impl Into<String>, png: Vec<u8>, caption: impl Into<String>) -> Self {
        self.with(Block::Image(Picture {
            name: name.into(),
            content: png,
            caption: caption.into(),
        }))
    }

    /// Adds text in a fixed-width font, such as a command line.
    pub fn code(self, code: impl Into<String>) -> Self {
        self.with(Block::Code(code.into()))
    }

    /// Writes `report.html` into the folder `dir`, the figures and images into
    /// `figures/` and the tables, as CSV, into `tables/`. Returns the path of
    /// the report, which is written last.
    ///
    /// # Errors
    /// [`Error::Report`] if a name is not made of letters, digits, `-` and `_`,
    /// is taken twice, an image is no PNG file or a table's row does not fit
    /// its columns; [`Error::File`].
    pub fn write(self, dir: impl AsRef<Path>) -> Result<PathBuf> {
        let dir = dir.as_ref();
        self.check_names()?;
        self.blocks.iter().try_for_each(Block::check)?;
        for folder in [FIGURES, TABLES] {
            let folder = dir.join(folder);
            fs::create_dir_all(&folder).map_err(simclr_files::Error::io(&folder))?;
        }
        for block in &self.blocks {
            block.write(dir)?;
        }
        let path = dir.join("report.html");
        let page = html::page(&self).into_string();
        write_bytes(&path, page.as_bytes())?;
        Ok(path)
    }

    fn with(mut self, block: Block) -> Self {
        self.blocks.push(block);
        self
    }

    fn check_names(&self) -> Result<()> {
        let mut seen = Vec::new();
        for file in self.blocks.iter().filter_map(Block::file) {
            let (_, name) = file;
            let wrong = |reason: &str| Error::Report {
                block: format!("`{name}`"),
                reason: reason.to_owned(),
            };
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if name.is_empty() || !name.chars().all(plain) {
                return Err(wrong("a name is made of letters, digits, - and _"));
            }
            if seen.contains(&file) {
                return Err(wrong("two blocks have this name"));
            }
            seen.push(file);
        }
        Ok(())
    }
}
