//! The key to a figure's series or classes, to the right of the plot.

use plotters::prelude::{Color, RGBColor};

use super::canvas::{Canvas, Marker, Pixel};
use super::style::{INK, TextSize, fit, text_width};
use super::svg::DrawError;
use crate::Result;

/// The distance between two lines.
const LINE: i32 = 20;
const SYMBOL: i32 = 26;
const WIDEST: i32 = 210;

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Symbol {
    pub(super) colour: RGBColor,
    pub(super) line: Option<Dash>,
    pub(super) marker: Option<Marker>,
}

/// Dash and gap in pixels; a gap of 0 is a whole line.
pub(super) type Dash = (u32, u32);

impl Symbol {
    /// Draws the series' line through `points`.
    pub(super) fn draw_line(
        &self,
        canvas: &Canvas<'_>,
        points: Vec<Pixel>,
    ) -> Result<(), DrawError> {
        match self.line {
            Some((_, 0)) => canvas.path(points, self.colour.stroke_width(2)),
            Some(dash) => canvas.dashed(points, dash, self.colour.stroke_width(2)),
            None => Ok(()),
        }
    }

    /// Draws the series' marker.
    pub(super) fn draw_marker(&self, canvas: &Canvas<'_>, at: Pixel) -> Result<(), DrawError> {
        match self.marker {
            Some(marker) => canvas.marker(marker, at, 5, self.colour.to_rgba()),
            None => Ok(()),
        }
    }
}

/// The room that a legend of these names takes, in pixels; nothing if there
/// are none.
pub(super) fn width<'n>(names: impl Iterator<Item = &'n str>) -> u32 {
    let widest = names.map(|name| text_width(name, TextSize::Body)).max();
    widest.map_or(0, |widest| {
        (widest.min(WIDEST) + SYMBOL + 28).unsigned_abs()
    })
}

/// The height that `lines` lines take.
pub(super) fn height(lines: usize) -> u32 {
    u32::try_from(lines)
        .unwrap_or(u32::MAX)
        .saturating_mul(LINE.unsigned_abs())
}

/// Draws the legend downwards from `corner`.
pub(super) fn draw<'n>(
    canvas: &Canvas<'_>,
    (x, mut y): Pixel,
    entries: impl Iterator<Item = (&'n str, Symbol)>,
) -> Result<(), DrawError> {
    for (name, symbol) in entries {
        symbol.draw_line(canvas, vec![(x, y), (x + SYMBOL - 4, y)])?;
        symbol.draw_marker(canvas, (x + (SYMBOL - 4) / 2, y))?;
        let name = fit(name, WIDEST, TextSize::Body);
        canvas.text(&name, (x + SYMBOL + 4, y), TextSize::Body, &INK)?;
        y += LINE;
    }
    Ok(())
}
