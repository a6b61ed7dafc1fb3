//! Drawing in pixels.

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::{
    Color, DrawingArea, PathElement, Polygon, RGBAColor, RGBColor, Rectangle, ShapeStyle, TextStyle,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontTransform, IntoTextStyle};

use super::style::{FONT, INK, TextSize};
use super::svg::DrawError;
use crate::Result;

/// A point in pixels from the upper left corner.
pub(super) type Pixel = (i32, i32);

/// Where a text lies relative to its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    /// To the right of the point, centred vertically.
    Left,
    /// Centred.
    Centre,
    /// To the left of the point, centred vertically.
    Right,
    /// Reads upwards from the point.
    Upwards,
    /// Reads upwards, centred.
    UpwardsCentre,
}

/// The shape of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
    InvertedTriangle,
    Plus,
    Cross,
}

impl Marker {
    const ALL: [Self; 7] = [
        Self::Circle,
        Self::Square,
        Self::Triangle,
        Self::Diamond,
        Self::InvertedTriangle,
        Self::Plus,
        Self::Cross,
    ];

    /// The marker of the series or class `index`. Seven shapes and eight
    /// colours come together again only after fifty-six.
    pub(super) fn of(index: usize) -> Self {
        Self::ALL[index % Self::ALL.len()]
    }
}

/// The drawing area of a figure.
pub(super) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

impl<'a> Canvas<'a> {
    pub(super) fn new(area: DrawingArea<SVGBackend<'a>, Shift>) -> Self {
        Self { area }
    }

    pub(super) fn area(&self) -> &DrawingArea<SVGBackend<'a>, Shift> {
        &self.area
    }

    pub(super) fn path(&self, points: Vec<Pixel>, style: ShapeStyle) -> Result<(), DrawError> {
        self.area.draw(&PathElement::new(points, style))
    }

    pub(super) fn dashed(
        &self,
        points: Vec<Pixel>,
        (dash, gap): (u32, u32),
        style: ShapeStyle,
    ) -> Result<(), DrawError> {
        self.area
            .draw(&DashedPathElement::new(points, dash, gap, style))
    }

    pub(super) fn polygon(&self, points: Vec<Pixel>, colour: RGBAColor) -> Result<(), DrawError> {
        self.area.draw(&Polygon::new(points, colour.filled()))
    }

    pub(super) fn rectangle(
        &self,
        corners: [Pixel; 2],
        style: ShapeStyle,
    ) -> Result<(), DrawError> {
        self.area.draw(&Rectangle::new(corners, style))
    }

    /// Text to the right of `at`.
    pub(super) fn text(
        &self,
        text: &str,
        at: Pixel,
        size: TextSize,
        colour: &RGBColor,
    ) -> Result<(), DrawError> {
        self.aligned(text, at, Align::Left, size, colour)
    }

    pub(super) fn aligned(
        &self,
        text: &str,
        at: Pixel,
        align: Align,
        size: TextSize,
        colour: &RGBColor,
    ) -> Result<(), DrawError> {
        let style = font(size).into_text_style(&self.area).color(colour);
        let style = match align {
            Align::Left => style.pos(Pos::new(HPos::Left, VPos::Center)),
            Align::Centre => style.pos(Pos::new(HPos::Center, VPos::Center)),
            Align::Right => style.pos(Pos::new(HPos::Right, VPos::Center)),
            Align::Upwards => rotated(style, HPos::Left),
            Align::UpwardsCentre => rotated(style, HPos::Center),
        };
        self.area.draw_text(text, &style, at)
    }

    /// The figure's title, at the upper left.
    pub(super) fn title(&self, text: &str) -> Result<(), DrawError> {
        self.text(text, (14, 20), TextSize::Title, &INK)
    }

    pub(super) fn marker(
        &self,
        marker: Marker,
        (x, y): Pixel,
        radius: i32,
        colour: RGBAColor,
    ) -> Result<(), DrawError> {
        let r = radius;
        match marker {
            Marker::Circle => self.area.draw(&plotters::prelude::Circle::new(
                (x, y),
                r.unsigned_abs(),
                colour.filled(),
            )),
            Marker::Square => {
                let r = r - 1;
                self.rectangle([(x - r, y - r), (x + r, y + r)], colour.filled())
            }
            Marker::Triangle => self.polygon(
                vec![(x - r, y + r - 1), (x + r, y + r - 1), (x, y - r)],
                colour,
            ),
            Marker::InvertedTriangle => self.polygon(
                vec![(x - r, y - r + 1), (x + r, y - r + 1), (x, y + r)],
                colour,
            ),
            Marker::Diamond => {
                self.polygon(vec![(x - r, y), (x, y - r), (x + r, y), (x, y + r)], colour)
            }
            Marker::Plus => {
                self.path(vec![(x - r, y), (x + r, y)], colour.stroke_width(2))?;
                self.path(vec![(x, y - r), (x, y + r)], colour.stroke_width(2))
            }
            Marker::Cross => {
                let r = r - 1;
                self.path(vec![(x - r, y - r), (x + r, y + r)], colour.stroke_width(2))?;
                self.path(vec![(x - r, y + r), (x + r, y - r)], colour.stroke_width(2))
            }
        }
    }
}

/// plotters' SVG backend divides sizes by 1.24 (it takes them for the height
/// of a line); this undoes it.
pub(super) fn font(size: TextSize) -> (&'static str, f64) {
    (FONT, size.pixels() * 1.24)
}

fn rotated(style: TextStyle<'_>, horizontal: HPos) -> TextStyle<'_> {
    style
        .transform(FontTransform::Rotate270)
        .pos(Pos::new(horizontal, VPos::Center))
}
