//! Putting a report together and writing it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use simclr_files::write_bytes;

use crate::block::{Block, FIGURES, Picture, TABLES};
use crate::error::{Error, Result};
use crate::foreign::check_foreign;
use crate::html;
use crate::svg::Svg;
use crate::table::Table;

/// A report under construction. The blocks appear in the order in which they
/// are added.
#[derive(Debug, Clone)]
pub struct Report {
    title: String,
    question: String,
    blocks: Vec<Block>,
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

    /// Says what was found, in a paragraph that stands out: the first thing that readers see if it
    /// is added first. Several stand together.
    pub fn finding(self, text: impl Into<String>) -> Self {
        self.with(Block::Finding(text.into()))
    }

    /// Begins a section.
    pub fn section(self, heading: impl Into<String>) -> Self {
        self.with(Block::Section(heading.into()))
    }

    /// Begins a part of a section.
    pub fn subsection(self, heading: impl Into<String>) -> Self {
        self.with(Block::Subsection(heading.into()))
    }

    /// Adds a paragraph.
    pub fn text(self, paragraph: impl Into<String>) -> Self {
        self.with(Block::Text(paragraph.into()))
    }

    /// Adds a section with a folded table of the configuration's fields.
    ///
    /// # Errors
    /// As [`Table::settings`].
    pub fn settings(self, settings: &impl Serialize) -> Result<Self> {
        let table = Table::settings("settings", "Every setting of the run.", settings)?;
        Ok(self.section("Settings").folded("Show the settings", table))
    }

    /// Adds a table.
    pub fn table(self, table: Table) -> Self {
        self.with(Block::Table(table))
    }

    /// Adds a table that is folded away behind `summary`, until readers open it.
    pub fn folded(self, summary: impl Into<String>, table: Table) -> Self {
        self.with(Block::Folded(summary.into(), table))
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
    /// its columns; [`Error::Foreign`] if a page is there that is no report of ours;
    /// [`Error::File`].
    pub fn write(self, dir: impl AsRef<Path>) -> Result<PathBuf> {
        self.write_page(dir, "report.html")
    }

    /// [`Self::write`] with another name for the page.
    ///
    /// # Errors
    /// As [`Self::write`]; [`Error::Report`] if the page's name is that of a place outside of the
    /// folder.
    pub fn write_page(self, dir: impl AsRef<Path>, page: &str) -> Result<PathBuf> {
        let dir = dir.as_ref();
        if Path::new(page).file_name() != Some(OsStr::new(page)) {
            return Err(Error::Report {
                block: format!("page `{page}`"),
                reason: "expected the name of a file".to_owned(),
            });
        }
        self.check_names()?;
        self.blocks.iter().try_for_each(Block::check)?;
        let path = dir.join(page);
        check_foreign(&path)?;
        for folder in [FIGURES, TABLES] {
            let folder = dir.join(folder);
            fs::create_dir_all(&folder).map_err(simclr_files::Error::io(&folder))?;
        }
        for block in &self.blocks {
            block.write(dir)?;
        }
        let text = html::page(&self.title, &self.question, &self.blocks)?.into_string();
        write_bytes(&path, text.as_bytes())?;
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
            // Not every file system tells capitals apart.
            let file = (file.0, name.to_ascii_lowercase());
            if seen.contains(&file) {
                return Err(wrong("two blocks have this name"));
            }
            seen.push(file);
        }
        Ok(())
    }
}

#[cfg(test)]
#[cfg(feature = "plots")]
mod tests {
    use super::*;
    use crate::plot::{LineChart, Series};
    use crate::table::{Cell, Estimate};
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    const HOSTILE: &str = "<script>alert(\"1\")</script> & co";

    /// The smallest PNG file.
    fn png() -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let image = image::RgbImage::new(1, 1);
        image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    fn report() -> Report {
        let line = Series::new(HOSTILE, vec![(0.0, 1.0), (1.0, 2.0)]);
        let figure = LineChart::new(HOSTILE).series(line).render().unwrap();
        let table = Table::new("t", HOSTILE).columns([HOSTILE]);
        let table = table.row([HOSTILE.into()]);
        Report::new(HOSTILE, HOSTILE)
            .finding(HOSTILE)
            .subsection(HOSTILE)
            .settings(&serde_json::json!({ HOSTILE: HOSTILE }))
            .unwrap()
            .section(HOSTILE)
            .text(HOSTILE)
            .table(table)
            .figure("f", figure, HOSTILE)
            .image("i", png(), HOSTILE)
            .code(HOSTILE)
    }

    fn page(report: &Report) -> String {
        let page = html::page(&report.title, &report.question, &report.blocks);
        page.unwrap().into_string()
    }

    #[test]
    fn nothing_that_users_write_becomes_markup() {
        let page = page(&report());
        assert!(!page.contains("<script"), "{page}");
        let escaped = page.matches("&lt;script&gt;").count();
        assert!(escaped >= 18, "{escaped}");
    }

    #[test]
    fn nothing_is_fetched_from_elsewhere() {
        let page = page(&report());
        let outside = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!outside.contains("http") && !outside.contains("@import"));
        assert!(page.contains("src=\"data:image/png;base64,iVBORw0KGgo"));
        assert!(page.contains("<svg "));
    }

    #[test]
    fn the_page_alone_holds_every_file() {
        let dir = tempfile::tempdir().unwrap();
        let page = std::fs::read_to_string(report().write(dir.path()).unwrap()).unwrap();
        for (file, kind) in [
            ("tables/t.csv", "text/csv;charset=utf-8"),
            ("tables/settings.csv", "text/csv;charset=utf-8"),
            ("figures/f.svg", "image/svg+xml"),
            ("figures/i.png", "image/png"),
        ] {
            let bytes = std::fs::read(dir.path().join(file)).unwrap();
            let link = format!("data:{kind};base64,{}", BASE64_STANDARD.encode(bytes));
            assert!(page.contains(&link), "{file}");
        }
    }

    #[test]
    fn tables_have_row_headers_names_and_intervals_below_the_mean() {
        let accuracy = Cell::Estimate(Estimate {
            count: 3,
            mean: 0.83,
            standard_deviation: Some(0.03),
            interval: Some((0.7555, 0.9045)),
        });
        let table = Table::new("t", "Accuracies.").columns(["method", "accuracy"]);
        let table = table.row(["pretrained".into(), accuracy]);
        let page = page(&Report::new("", "").folded("All", table));
        for part in [
            "<details><summary>All</summary>",
            "<table aria-labelledby=\"table-t\">",
            "<span id=\"table-t\">Accuracies.</span>",
            "<th scope=\"row\">pretrained</th>",
            "83.0 ± 3.0\u{a0}%<small>75.5 to 90.5</small>",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
    }

    #[test]
    fn a_report_is_written_with_its_figures_and_tables_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = report().write(dir.path()).unwrap();
        assert!(std::fs::read_to_string(path).unwrap().ends_with("</html>"));
        let image = std::fs::read(dir.path().join("figures/i.png")).unwrap();
        assert_eq!(image, png());
        let svg = std::fs::read_to_string(dir.path().join("figures/f.svg")).unwrap();
        assert!(svg.ends_with("</svg>\n"));
        for table in ["settings", "t"] {
            assert!(dir.path().join(format!("tables/{table}.csv")).exists());
        }
    }

    #[test]
    fn a_page_of_somebody_else_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let page = dir.path().join("report.html");
        std::fs::write(&page, "<html><p>My notes</p></html>").unwrap();
        let error = report().write(dir.path()).unwrap_err();
        assert!(matches!(&error, Error::Foreign { path } if *path == page));
        assert!(error.to_string().contains("take another folder"), "{error}");
        let kept = std::fs::read_to_string(&page).unwrap();
        assert_eq!(kept, "<html><p>My notes</p></html>");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);

        // Our own are, also those of versions whose pages did not name their generator.
        std::fs::remove_file(&page).unwrap();
        report().write(dir.path()).unwrap();
        report().write(dir.path()).unwrap();
        let text = std::fs::read_to_string(&page).unwrap();
        let older = text.replace("<meta name=\"generator\" content=\"simclr-report\">", "");
        assert_ne!(older, text);
        std::fs::write(&page, older).unwrap();
        report().write(dir.path()).unwrap();
        // A page of another name stands beside one of somebody else.
        std::fs::write(&page, "mine").unwrap();
        report().write_page(dir.path(), "log.html").unwrap();
    }

    #[test]
    fn a_report_that_cannot_be_written_whole_is_not_begun() {
        let dir = tempfile::tempdir().unwrap();
        let table = |name| Table::new(name, "");
        let with = |table| Report::new("", "").table(table);
        let unequal = table("a").row(["x".into()]);
        let no_image = Report::new("", "").image("a", vec![1, 2], "");
        for (report, message) in [
            (with(table("../x")), "letters, digits"),
            (with(table("")), "letters, digits"),
            (with(table("a")).table(table("a")), "two blocks"),
            (with(unequal), "1 cells for 0 columns"),
            (no_image, "not those of a PNG"),
        ] {
            let error = report.write(dir.path()).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        }
        // A table and a figure may share a name: their files differ.
        let figure = LineChart::new("").render().unwrap();
        let report = with(table("a")).figure("a", figure, "");
        report.write(dir.path()).unwrap();
    }
}
