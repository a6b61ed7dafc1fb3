//! Drawing in pixels.

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::{
    Circle, Color, DrawingArea, DrawingAreaErrorKind, IntoDrawingArea, PathElement, Polygon,
    RGBAColor, RGBColor, Rectangle, ShapeStyle, TextStyle, WHITE,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontTransform, IntoTextStyle};

use super::style::{FONT, INK, TextSize, fit};
use crate::error::{Error, Result};
use crate::svg::Svg;

/// What drawing may fail with.
pub(super) type DrawError = DrawingAreaErrorKind<std::io::Error>;

/// A point, or a size, in pixels from the upper left corner.
pub(super) type Pixel = (f64, f64);

/// plotters' coordinates to the pixel.
const UNITS: f64 = 10.0;

/// A length in pixels in plotters' coordinates.
pub(super) fn units(pixels: f64) -> i32 {
    (pixels * UNITS).round() as i32
}

/// A length in plotters' coordinates in pixels.
pub(super) fn pixels(units: i32) -> f64 {
    f64::from(units) / UNITS
}

/// A line of this width in pixels.
pub(super) fn stroke(colour: impl Color, width: f64) -> ShapeStyle {
    colour.stroke_width(units(width).unsigned_abs())
}

fn unit_points(points: &[Pixel]) -> Vec<(i32, i32)> {
    points.iter().map(|(x, y)| (units(*x), units(*y))).collect()
}

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

/// Draws a figure of `size` (width and height in pixels) on white; `title` also becomes the
/// document's title, which screen readers read out.
///
/// plotters draws on whole coordinates, so the canvas has several of them to the pixel.
pub(super) fn draw(
    title: &str,
    (width, height): Pixel,
    content: impl FnOnce(&Canvas<'_>) -> Result<(), DrawError>,
) -> Result<Svg> {
    let mut text = String::new();
    let size = (units(width).unsigned_abs(), units(height).unsigned_abs());
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        area.fill(&WHITE)
            .and_then(|()| content(&Canvas { area: area.clone() }))
            .and_then(|()| area.present())
            .map_err(|error| Error::Plot {
                figure: title.to_owned(),
                reason: error.to_string(),
            })?;
    }
    // In place of plotters' root element, whose pixels are the units.
    let body = text.split_once('>').map_or("", |(_root, body)| body);
    let (columns, rows) = size;
    let title = title.replace('&', "&amp;").replace('<', "&lt;");
    Ok(Svg::new(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {columns} {rows}\"><title>{}</title>{body}",
        title.replace('>', "&gt;")
    )))
}

/// The drawing area of a figure.
pub(super) struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

impl<'a> Canvas<'a> {
    pub(super) fn area(&self) -> &DrawingArea<SVGBackend<'a>, Shift> {
        &self.area
    }

    /// A line through `points`.
    pub(super) fn path(&self, points: &[Pixel], style: ShapeStyle) -> Result<(), DrawError> {
        self.area
            .draw(&PathElement::new(unit_points(points), style))
    }

    /// A line of dashes of these lengths, with gaps of these, in pixels.
    pub(super) fn dashed(
        &self,
        points: &[Pixel],
        (dash, gap): (f64, f64),
        style: ShapeStyle,
    ) -> Result<(), DrawError> {
        let (dash, gap) = (units(dash), units(gap));
        let dashes = DashedPathElement::new(unit_points(points), dash, gap, style);
        self.area.draw(&dashes)
    }

    /// A filled polygon.
    pub(super) fn polygon(&self, points: &[Pixel], colour: RGBAColor) -> Result<(), DrawError> {
        self.area
            .draw(&Polygon::new(unit_points(points), colour.filled()))
    }

    /// A filled rectangle.
    pub(super) fn rectangle(
        &self,
        [(left, top), (right, bottom)]: [Pixel; 2],
        colour: impl Color,
    ) -> Result<(), DrawError> {
        let corners = [(units(left), units(top)), (units(right), units(bottom))];
        self.area.draw(&Rectangle::new(corners, colour.filled()))
    }

    /// The border of a rectangle.
    pub(super) fn outline(
        &self,
        [(left, top), (right, bottom)]: [Pixel; 2],
        style: ShapeStyle,
    ) -> Result<(), DrawError> {
        let round = [
            (left, top),
            (right, top),
            (right, bottom),
            (left, bottom),
            (left, top),
        ];
        self.path(&round, style)
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
        self.area
            .draw_text(text, &style, (units(at.0), units(at.1)))
    }

    /// The figure's title, at the upper left.
    pub(super) fn title(&self, text: &str) -> Result<(), DrawError> {
        const LEFT: f64 = 14.0;
        let (width, _) = self.area.dim_in_pixel();
        let room = f64::from(width) / UNITS - 2.0 * LEFT;
        let text = fit(text, room, TextSize::Title);
        self.text(&text, (LEFT, 20.0), TextSize::Title, &INK)
    }

    pub(super) fn marker(
        &self,
        marker: Marker,
        (x, y): Pixel,
        radius: f64,
        colour: RGBAColor,
    ) -> Result<(), DrawError> {
        let r = radius;
        match marker {
            Marker::Circle => self.area.draw(&Circle::new(
                (units(x), units(y)),
                units(r).unsigned_abs(),
                colour.filled(),
            )),
            Marker::Square => {
                let r = 0.85 * r;
                self.rectangle([(x - r, y - r), (x + r, y + r)], colour)
            }
            Marker::Triangle => self.polygon(
                &[(x - r, y + 0.8 * r), (x + r, y + 0.8 * r), (x, y - r)],
                colour,
            ),
            Marker::InvertedTriangle => self.polygon(
                &[(x - r, y - 0.8 * r), (x + r, y - 0.8 * r), (x, y + r)],
                colour,
            ),
            Marker::Diamond => {
                self.polygon(&[(x - r, y), (x, y - r), (x + r, y), (x, y + r)], colour)
            }
            Marker::Plus => {
                self.path(&[(x - r, y), (x + r, y)], stroke(colour, 1.8))?;
                self.path(&[(x, y - r), (x, y + r)], stroke(colour, 1.8))
            }
            Marker::Cross => {
                let r = 0.8 * r;
                self.path(&[(x - r, y - r), (x + r, y + r)], stroke(colour, 1.8))?;
                self.path(&[(x - r, y + r), (x + r, y - r)], stroke(colour, 1.8))
            }
        }
    }
}

/// plotters' SVG backend divides sizes by 1.24 (it takes them for the height
/// of a line); this undoes it.
pub(super) fn font(size: TextSize) -> (&'static str, f64) {
    (FONT, size.pixels() * UNITS * 1.24)
}

fn rotated(style: TextStyle<'_>, horizontal: HPos) -> TextStyle<'_> {
    style
        .transform(FontTransform::Rotate270)
        .pos(Pos::new(horizontal, VPos::Center))
}

#[cfg(test)]
mod tests {
    use super::super::test_support::assert_well_formed;
    use super::*;

    #[test]
    fn a_figure_is_well_formed_whatever_the_texts_in_it_and_saved_as_it_is() {
        let title = "F1 < 0.5 & \"falling\"]]>";
        let svg = draw(title, (200.0, 100.0), |canvas| {
            canvas.text("a < b & c", (10.0, 10.0), TextSize::Body, &INK)
        })
        .unwrap();
        assert_well_formed(svg.as_str());
        let title = "<title>F1 &lt; 0.5 &amp; \"falling\"]]&gt;</title>";
        assert!(svg.as_str().contains(title));
        assert!(svg.as_str().contains("a &lt; b &amp; c"));

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("figure.svg");
        svg.save(&path).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), svg.as_str());
    }
}
