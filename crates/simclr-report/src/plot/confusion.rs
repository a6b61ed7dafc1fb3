//! Confusion matrices.

use plotters::prelude::{BLACK, Color, RGBColor, WHITE};

use super::canvas::{self, Align, Canvas, DrawError, Pixel, stroke};
use super::style::{
    BODY_SIZE, DARK_SHARE, FAINT_INK, GRID, HEAT, INK, SMALL_SIZE, TITLE_SIZE, fit, text_width,
};
use crate::error::{Error, Result};
use crate::svg::Svg;

const WIDEST_LABEL: f64 = 130.0;
const TITLE: f64 = 40.0;
const AXIS_NAME: f64 = 26.0;
/// The height of the colour scale.
const SCALE: f64 = 34.0;

/// A confusion matrix as a figure: rows are the true classes, columns the
/// predicted ones. Each cell shows its count; its colour is the share of the
/// true class that it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfusionPlot {
    title: String,
    classes: Vec<String>,
    counts: Vec<Vec<u64>>,
}

impl ConfusionPlot {
    /// The figure of `counts`, a row per true class and a column per predicted one.
    ///
    /// # Errors
    /// [`Error::Plot`] unless there is a name, a row and a column for each class.
    pub fn new(title: impl Into<String>, classes: &[String], counts: &[Vec<u64>]) -> Result<Self> {
        let title = title.into();
        let square = counts.iter().all(|row| row.len() == counts.len());
        if classes.is_empty() || classes.len() != counts.len() || !square {
            let widths: Vec<usize> = counts.iter().map(Vec::len).collect();
            return Err(Error::Plot {
                figure: title,
                reason: format!("{} names for rows of {widths:?} counts", classes.len()),
            });
        }
        Ok(Self {
            title,
            classes: classes.to_vec(),
            counts: counts.to_vec(),
        })
    }

    /// Draws the figure.
    ///
    /// # Errors
    /// [`Error::Plot`] if the drawing fails.
    pub fn render(&self) -> Result<Svg> {
        let layout = Layout::of(&self.title, &self.classes);
        canvas::draw(&self.title, &self.description(), layout.size(), |canvas| {
            self.draw_labels(canvas, &layout)?;
            for (row, counts) in self.counts.iter().enumerate() {
                let total: u64 = counts.iter().sum();
                for (column, count) in counts.iter().enumerate() {
                    draw_cell(canvas, &layout, (row, column), *count, total)?;
                }
            }
            let corners = [layout.corner(0, 0), layout.corner(layout.side, layout.side)];
            canvas.outline(corners, stroke(FAINT_INK, 1.0))?;
            draw_scale(canvas, &layout)
        })
    }

    /// Each true class in words, with the classes that it was taken for.
    fn description(&self) -> String {
        let rows = self
            .classes
            .iter()
            .zip(&self.counts)
            .map(|(class, counts)| {
                let total: u64 = counts.iter().sum();
                let taken = self
                    .classes
                    .iter()
                    .zip(counts)
                    .filter(|(_, count)| **count > 0);
                let taken = taken.map(|(class, count)| format!("{count} taken for {class}"));
                format!(
                    "Of {total} {class}: {}.",
                    taken.collect::<Vec<_>>().join(", ")
                )
            });
        rows.collect::<Vec<_>>().join(" ")
    }

    fn draw_labels(&self, canvas: &Canvas<'_>, layout: &Layout) -> Result<(), DrawError> {
        let half = layout.cell / 2.0;
        let (left, top) = layout.corner(0, 0);
        let (right, bottom) = layout.corner(layout.side, layout.side);
        for (index, class) in self.classes.iter().enumerate() {
            let class = fit(class, WIDEST_LABEL, BODY_SIZE);
            let (x, y) = layout.corner(index, index);
            let row = (left - 8.0, y + half);
            canvas.text(&class, row, Align::Right, BODY_SIZE, &INK)?;
            let (at, align) = if layout.upright {
                ((x + half, top - 8.0), Align::Upwards)
            } else {
                ((x + half, top - 12.0), Align::Centre)
            };
            canvas.text(&class, at, align, BODY_SIZE, &INK)?;
        }
        let above = ((left + right) / 2.0, TITLE + AXIS_NAME / 2.0);
        let beside = (16.0, (top + bottom) / 2.0);
        for (name, at, align) in [
            ("predicted class", above, Align::Centre),
            ("true class", beside, Align::UpwardsCentre),
        ] {
            canvas.text(name, at, align, BODY_SIZE, &FAINT_INK)?;
        }
        Ok(())
    }
}

/// Where things are, in pixels.
struct Layout {
    side: usize,
    cell: f64,
    labels: f64,
    /// The height of the column labels.
    head: f64,
    /// Whether the column labels read upwards.
    upright: bool,
    title: f64,
}

impl Layout {
    fn of(title: &str, classes: &[String]) -> Self {
        let side = classes.len();
        let cell = (400.0 / side as f64).floor().clamp(32.0, 72.0);
        let classes = classes.iter();
        let widths = classes.map(|class| text_width(class, BODY_SIZE));
        let labels = widths.fold(0.0, f64::max).min(WIDEST_LABEL);
        let upright = labels + 6.0 > cell;
        Self {
            side,
            cell,
            labels,
            head: if upright { labels + 14.0 } else { 26.0 },
            upright,
            title: text_width(title, TITLE_SIZE),
        }
    }

    /// The upper left corner of a cell.
    fn corner(&self, row: usize, column: usize) -> Pixel {
        (
            40.0 + self.labels + column as f64 * self.cell,
            TITLE + AXIS_NAME + self.head + row as f64 * self.cell,
        )
    }

    fn size(&self) -> Pixel {
        let (right, bottom) = self.corner(self.side, self.side);
        (
            right.max(5.0 * SWATCH).max(self.title) + 28.0,
            bottom + SCALE,
        )
    }
}

fn draw_cell(
    canvas: &Canvas<'_>,
    layout: &Layout,
    (row, column): (usize, usize),
    count: u64,
    total: u64,
) -> Result<(), DrawError> {
    let share = count as f64 / total.max(1) as f64;
    let (x, y) = layout.corner(row, column);
    let corners = [(x, y), (x + layout.cell, y + layout.cell)];
    canvas.rectangle(corners, HEAT.mix(share))?;
    canvas.outline(corners, stroke(GRID, 1.0))?;
    let ink = if share > DARK_SHARE { WHITE } else { BLACK };
    let (centre, middle) = (x + layout.cell / 2.0, y + layout.cell / 2.0);
    let text = |text: &str, middle, size, ink: &RGBColor| {
        canvas.text(text, (centre, middle), Align::Centre, size, ink)
    };
    if count > 0 && layout.cell >= 50.0 {
        text(&count.to_string(), middle - 8.0, BODY_SIZE, &ink)?;
        let percent = format!("{:.0} %", 100.0 * share);
        return text(&percent, middle + 9.0, SMALL_SIZE, &ink);
    }
    let ink = if count == 0 { FAINT_INK } else { ink };
    text(&count.to_string(), middle, SMALL_SIZE, &ink)
}

/// The width of a step of the colour scale with its number.
const SWATCH: f64 = 68.0;

fn draw_scale(canvas: &Canvas<'_>, layout: &Layout) -> Result<(), DrawError> {
    let top = layout.corner(layout.side, 0).1 + 12.0;
    for (step, text) in ["0 %", "25 %", "50 %", "75 %", "100 %"]
        .into_iter()
        .enumerate()
    {
        let x = 14.0 + SWATCH * step as f64;
        let corners = [(x, top), (x + 14.0, top + 14.0)];
        canvas.rectangle(corners, HEAT.mix(step as f64 / 4.0))?;
        canvas.outline(corners, stroke(FAINT_INK, 1.0))?;
        canvas.text(text, (x + 19.0, top + 7.0), Align::Left, SMALL_SIZE, &INK)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{assert_shows, assert_well_formed, count, texts};
    use super::*;

    /// The figure of the pairs (true class, predicted class, how often).
    fn svg(names: &[&str], pairs: &[(usize, usize, u64)]) -> String {
        let mut matrix = vec![vec![0; names.len()]; names.len()];
        for (row, column, count) in pairs {
            matrix[*row][*column] += count;
        }
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let plot = ConfusionPlot::new("Test set", &names, &matrix).unwrap();
        let svg = plot.render().unwrap().as_str().to_owned();
        assert_well_formed(&svg);
        svg
    }

    #[test]
    fn every_count_and_class_is_shown() {
        let classes = ["none", "crack & <fracture>"];
        let svg = svg(&classes, &[(0, 0, 17), (0, 1, 3), (1, 1, 25)]);
        assert!(svg.contains("Of 20 none: 17 taken for none, 3 taken for crack &amp; "));
        let expected = ["17", "3", "0", "25", "85 %", "15 %", "predicted class"];
        assert_shows(&svg, &expected);
        let texts = texts(&svg);
        let named = |name: &str| texts.iter().filter(|text| *text == name).count();
        assert_eq!(named("none"), 2);
        assert_eq!(named("crack & <fracture>"), 2);
    }

    #[test]
    fn long_column_labels_read_upwards_and_short_ones_lie() {
        let rotated = |names: &[&str]| count(&svg(names, &[(0, 0, 1)]), "rotate(270");
        // The name of the vertical axis is always turned.
        assert_eq!(rotated(&["a", "b"]), 1);
        assert_eq!(rotated(&["a", "brecciated core"]), 3);
    }

    #[test]
    fn a_class_without_images_is_no_division_by_zero() {
        svg(&["a", "b"], &[(1, 0, 1)]);
    }

    #[test]
    fn names_that_do_not_fit_the_matrix_are_refused() {
        let counts = [vec![0, 1], vec![0, 0]];
        let error = ConfusionPlot::new("Test", &["a".to_owned()], &counts).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("1 names for rows of [2, 2]"), "{error}");
    }
}
