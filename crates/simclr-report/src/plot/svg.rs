//! A finished figure.

use std::path::Path;

use plotters::prelude::{IntoDrawingArea, SVGBackend, WHITE};

use simclr_files::write_bytes;

use super::canvas::{Canvas, DrawError, Pixel, units};
use crate::error::{Error, Result};

/// An SVG document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Svg {
    text: String,
}

impl Svg {
    /// Draws a figure of `size` (width and height in pixels) on white; `title`
    /// also becomes the document's title, which screen readers read out.
    ///
    /// plotters draws on whole coordinates, so that the canvas has several of
    /// them to the pixel.
    pub(super) fn draw(
        title: &str,
        (width, height): Pixel,
        content: impl FnOnce(&Canvas<'_>) -> Result<(), DrawError>,
    ) -> Result<Self> {
        let mut text = String::new();
        let size = (units(width).unsigned_abs(), units(height).unsigned_abs());
        {
            let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
            area.fill(&WHITE)
                .and_then(|()| content(&Canvas::new(area.clone())))
                .and_then(|()| area.present())
                .map_err(|error| Error::Plot {
                    figure: title.to_owned(),
                    reason: error.to_string(),
                })?;
        }
        // In place of plotters' root element, whose pixels are the units.
        let body = text.split_once('>').map_or("", |(_root, body)| body);
        let text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {} {}\"><title>{}</title>{body}",
            size.0,
            size.1,
            escape(title)
        );
        Ok(Self { text })
    }

    /// The document, without an XML declaration: it can stand in HTML as it is.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Writes the document to a file, atomically.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn save(&self, path: &Path) -> Result<()> {
        Ok(write_bytes(path, self.text.as_bytes())?)
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::style::{INK, TextSize};
    use super::super::test_support::assert_well_formed;
    use super::*;

    #[test]
    fn a_figure_is_well_formed_whatever_the_texts_in_it() {
        let title = "F1 < 0.5 & \"falling\"]]>";
        let svg = Svg::draw(title, (200.0, 100.0), |canvas| {
            canvas.text("a < b & c", (10.0, 10.0), TextSize::Body, &INK)
        })
        .unwrap();
        assert_well_formed(svg.as_str());
        assert!(
            svg.as_str()
                .contains("<title>F1 &lt; 0.5 &amp; \"falling\"]]&gt;</title>")
        );
        assert!(svg.as_str().contains("a &lt; b &amp; c"));
    }

    #[test]
    fn a_figure_is_saved_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("figure.svg");
        let svg = Svg::draw("empty", (10.0, 10.0), |_| Ok(())).unwrap();
        svg.save(&path).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), svg.as_str());
    }
}
