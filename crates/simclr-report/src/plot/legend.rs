//! The key to a figure's series or classes, to the right of the plot.

use plotters::prelude::{Color, RGBColor};

use super::canvas::{Align, Canvas, DrawError, Marker, Pixel, stroke};
use super::style::{BODY_SIZE, INK, fit, text_width};
use crate::error::Result;

/// The distance between two lines.
const LINE: f64 = 20.0;
const SYMBOL: f64 = 26.0;
const WIDEST: f64 = 240.0;

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Symbol {
    pub(super) colour: RGBColor,
    pub(super) line: Option<Dash>,
    pub(super) marker: Option<Marker>,
}

/// Dash and gap in pixels; a gap of 0 is a whole line.
pub(super) type Dash = (f64, f64);

impl Symbol {
    /// Draws the series' line through `points`.
    pub(super) fn draw_line(&self, canvas: &Canvas<'_>, points: &[Pixel]) -> Result<(), DrawError> {
        match self.line {
            Some((_, 0.0)) => canvas.path(points, stroke(self.colour, 2.0)),
            Some(dash) => canvas.dashed(points, dash, stroke(self.colour, 2.0)),
            None => Ok(()),
        }
    }

    /// Draws the series' marker.
    pub(super) fn draw_marker(&self, canvas: &Canvas<'_>, at: Pixel) -> Result<(), DrawError> {
        match self.marker {
            Some(marker) => canvas.marker(marker, at, 4.5, self.colour.to_rgba()),
            None => Ok(()),
        }
    }
}

/// The names of series or classes, and how they are drawn.
pub(super) type Entries<'n> = [(&'n str, Symbol)];

/// The room that a legend takes, in pixels; nothing if there are no entries.
pub(super) fn width(entries: &Entries<'_>) -> f64 {
    let widths = entries.iter().map(|(name, _)| text_width(name, BODY_SIZE));
    let widest = widths.reduce(f64::max);
    widest.map_or(0.0, |widest| widest.min(WIDEST) + SYMBOL + 28.0)
}

/// The height that `lines` lines take.
pub(super) fn height(lines: usize) -> f64 {
    lines as f64 * LINE
}

/// Draws the legend downwards from the upper right corner.
pub(super) fn draw(canvas: &Canvas<'_>, entries: &Entries<'_>) -> Result<(), DrawError> {
    let (x, mut y) = (canvas.size().0 - width(entries), 52.0);
    for (name, symbol) in entries {
        symbol.draw_line(canvas, &[(x, y), (x + SYMBOL - 4.0, y)])?;
        symbol.draw_marker(canvas, (x + (SYMBOL - 4.0) / 2.0, y))?;
        let name = fit(name, WIDEST, BODY_SIZE);
        let at = (x + SYMBOL + 4.0, y);
        canvas.text(&name, at, Align::Left, BODY_SIZE, &INK)?;
        y += LINE;
    }
    Ok(())
}
