//! Drawing in pixels.

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::{
    Circle, Color, DrawingArea, DrawingAreaErrorKind, IntoDrawingArea, PathElement, Polygon,
    RGBAColor, RGBColor, Rectangle, ShapeStyle, WHITE,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontTransform, IntoTextStyle};

use super::style::{FONT, INK, TITLE_SIZE, fit};
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

/// Draws a figure of `size` (width and height in pixels) on white, with its title at the upper
/// left. Screen readers read out the title and `description`, which says what is to be seen.
///
/// plotters draws on whole coordinates, so the canvas has several of them to the pixel.
pub(super) fn draw(
    title: &str,
    description: &str,
    (width, height): Pixel,
    content: impl FnOnce(&Canvas<'_>) -> Result<(), DrawError>,
) -> Result<Svg> {
    let mut text = String::new();
    let size = (units(width).unsigned_abs(), units(height).unsigned_abs());
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        let canvas = Canvas { area: area.clone() };
        area.fill(&WHITE)
            .and_then(|()| canvas.title(title, TITLE_SIZE))
            .and_then(|()| content(&canvas))
            .and_then(|()| area.present())
            .map_err(|error| Error::Plot {
                figure: title.to_owned(),
                reason: error.to_string(),
            })?;
    }
    // In place of plotters' root element, whose pixels are the units.
    let body = text.split_once('>').map_or("", |(_root, body)| body);
    let (columns, rows) = size;
    let (title, description) = (escape(title), escape(description));
    let mut figure = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {columns} {rows}\" role=\"img\" aria-label=\"{title}\">\
         <title>{title}</title><desc>{description}</desc>{body}"
    );
    // XML has no control characters but these.
    figure.retain(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r'));
    Ok(Svg::new(figure))
}

fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

/// The drawing area of a figure.
pub(super) struct Canvas<'a> {
    pub(super) area: DrawingArea<SVGBackend<'a>, Shift>,
}

impl Canvas<'_> {
    /// Width and height, in pixels.
    pub(super) fn size(&self) -> Pixel {
        let (width, height) = self.area.dim_in_pixel();
        (f64::from(width) / UNITS, f64::from(height) / UNITS)
    }

    /// A line through `points`.
    pub(super) fn path(&self, points: &[Pixel], style: ShapeStyle) -> Result<(), DrawError> {
        let path = PathElement::new(unit_points(points), style);
        self.area.draw(&path)
    }

    /// A line of dashes of these lengths, with gaps of these, in pixels.
    pub(super) fn dashed(
        &self,
        points: &[Pixel],
        (dash, gap): (f64, f64),
        style: ShapeStyle,
    ) -> Result<(), DrawError> {
        let points = unit_points(points);
        let dashes = DashedPathElement::new(points, units(dash), units(gap), style);
        self.area.draw(&dashes)
    }

    /// A filled polygon.
    pub(super) fn polygon(&self, points: &[Pixel], colour: RGBAColor) -> Result<(), DrawError> {
        let polygon = Polygon::new(unit_points(points), colour.filled());
        self.area.draw(&polygon)
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
        let start = (left, top);
        let round = [start, (right, top), (right, bottom), (left, bottom), start];
        self.path(&round, style)
    }

    pub(super) fn text(
        &self,
        text: &str,
        at: Pixel,
        align: Align,
        size: f64,
        colour: &RGBColor,
    ) -> Result<(), DrawError> {
        if text.is_empty() {
            return Ok(());
        }
        let style = font(size).into_text_style(&self.area).color(colour);
        let (horizontal, turn) = match align {
            Align::Left => (HPos::Left, FontTransform::None),
            Align::Centre => (HPos::Center, FontTransform::None),
            Align::Right => (HPos::Right, FontTransform::None),
            Align::Upwards => (HPos::Left, FontTransform::Rotate270),
            Align::UpwardsCentre => (HPos::Center, FontTransform::Rotate270),
        };
        let style = style.pos(Pos::new(horizontal, VPos::Center));
        let at = (units(at.0), units(at.1));
        self.area.draw_text(text, &style.transform(turn), at)
    }

    pub(super) fn title(&self, text: &str, size: f64) -> Result<(), DrawError> {
        const LEFT: f64 = 14.0;
        let text = fit(text, self.size().0 - 2.0 * LEFT, size);
        self.text(&text, (LEFT, 20.0), Align::Left, size, &INK)
    }

    /// What is inside margins (top, right, bottom, left) in rows times columns parts, row by row.
    pub(super) fn split(
        &self,
        (top, right, bottom, left): (f64, f64, f64, f64),
        grid: (usize, usize),
    ) -> Vec<Self> {
        let [top, right, bottom, left] = [top, right, bottom, left].map(units);
        let inside = self.area.margin(top, bottom, left, right);
        let parts = inside.split_evenly(grid).into_iter();
        parts.map(|area| Self { area }).collect()
    }

    pub(super) fn marker(
        &self,
        marker: Marker,
        (x, y): Pixel,
        radius: f64,
        colour: RGBAColor,
    ) -> Result<(), DrawError> {
        let r = radius;
        // Triangles point upwards or downwards.
        let triangle = |up: f64| [(x - r, y + 0.8 * up), (x + r, y + 0.8 * up), (x, y - up)];
        let strokes = |lines: [[Pixel; 2]; 2]| {
            let style = stroke(colour, 1.8);
            lines.iter().try_for_each(|line| self.path(line, style))
        };
        match marker {
            Marker::Circle => {
                let radius = units(r).unsigned_abs();
                let circle = Circle::new((units(x), units(y)), radius, colour.filled());
                self.area.draw(&circle)
            }
            Marker::Square => {
                let r = 0.85 * r;
                self.rectangle([(x - r, y - r), (x + r, y + r)], colour)
            }
            Marker::Triangle => self.polygon(&triangle(r), colour),
            Marker::InvertedTriangle => self.polygon(&triangle(-r), colour),
            Marker::Diamond => {
                self.polygon(&[(x - r, y), (x, y - r), (x + r, y), (x, y + r)], colour)
            }
            Marker::Plus => strokes([[(x - r, y), (x + r, y)], [(x, y - r), (x, y + r)]]),
            Marker::Cross => {
                let r = 0.8 * r;
                strokes([
                    [(x - r, y - r), (x + r, y + r)],
                    [(x - r, y + r), (x + r, y - r)],
                ])
            }
        }
    }
}

/// plotters' SVG backend divides sizes by 1.24 (it takes them for the height
/// of a line); this undoes it.
pub(super) fn font(size: f64) -> (&'static str, f64) {
    (FONT, size * UNITS * 1.24)
}

#[cfg(test)]
mod tests {
    use super::super::style::BODY_SIZE;
    use super::super::test_support::assert_well_formed;
    use super::*;

    #[test]
    fn a_figure_is_well_formed_whatever_the_texts_in_it_and_saved_as_it_is() {
        let title = "F1 < 0.5 & \"falling\"]]>";
        let svg = draw(title, "x \u{7}\u{c}< y", (200.0, 100.0), |canvas| {
            canvas.text("a < b & c", (10.0, 10.0), Align::Left, BODY_SIZE, &INK)
        })
        .unwrap();
        assert_well_formed(svg.as_str());
        let title = "F1 &lt; 0.5 &amp; &quot;falling&quot;]]&gt;";
        for part in [
            format!("role=\"img\" aria-label=\"{title}\""),
            format!("<title>{title}</title><desc>x &lt; y</desc>"),
        ] {
            assert!(svg.as_str().contains(&part), "{part}");
        }
        assert!(svg.as_str().contains("a &lt; b &amp; c"));

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("figure.svg");
        svg.save(&path).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), svg.as_str());
    }
}
