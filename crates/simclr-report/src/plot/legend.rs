//! The key to a figure's series or classes, below the plot.

use plotters::prelude::{Color, RGBColor};

use super::canvas::{Align, Canvas, DrawError, Marker, Pixel, stroke};
use super::style::{BODY_SIZE, INK, fit, text_width};

/// The distance between two lines.
const LINE: f64 = 20.0;
const SYMBOL: f64 = 26.0;
/// The margin on either side.
const LEFT: f64 = 14.0;

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
    pub(super) fn draw_marker(
        &self,
        canvas: &Canvas<'_>,
        at: Pixel,
        radius: f64,
    ) -> Result<(), DrawError> {
        match self.marker {
            Some(marker) => canvas.marker(marker, at, radius, self.colour.to_rgba()),
            None => Ok(()),
        }
    }
}

/// The names of series or classes, and how they are drawn.
pub(super) type Entries<'n> = [(&'n str, Symbol)];

/// The room that a legend takes below a figure of this width, in pixels; nothing if there are no
/// entries.
pub(super) fn height(entries: &Entries<'_>, width: f64) -> f64 {
    let last = places(entries, width).last().map(|place| place.1);
    last.map_or(0.0, |top| top + LINE + 4.0)
}

/// Draws the legend at the bottom, from left to right and line by line.
pub(super) fn draw(canvas: &Canvas<'_>, entries: &Entries<'_>) -> Result<(), DrawError> {
    let (width, bottom) = canvas.size();
    let top = bottom - height(entries, width) + 0.5 * LINE;
    for ((name, symbol), (x, y)) in entries.iter().zip(places(entries, width)) {
        let y = top + y;
        symbol.draw_line(canvas, &[(x, y), (x + SYMBOL - 4.0, y)])?;
        symbol.draw_marker(canvas, (x + (SYMBOL - 4.0) / 2.0, y), 4.5)?;
        let name = fit(name, width - SYMBOL - 3.0 * LEFT, BODY_SIZE);
        let at = (x + SYMBOL + 4.0, y);
        canvas.text(&name, at, Align::Left, BODY_SIZE, &INK)?;
    }
    Ok(())
}

/// Where entries begin, from the upper left corner of the legend.
fn places(entries: &Entries<'_>, width: f64) -> Vec<Pixel> {
    let (mut x, mut y) = (LEFT, 0.0);
    let mut places = Vec::new();
    for (name, _) in entries {
        let needed = SYMBOL + 4.0 + text_width(name, BODY_SIZE);
        if x > LEFT && x + needed > width - LEFT {
            (x, y) = (LEFT, y + LINE);
        }
        places.push((x, y));
        x += needed + 16.0;
    }
    places
}
