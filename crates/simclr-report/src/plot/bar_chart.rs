//! Bars: figures by class.

use super::axis::{Axis, Scale, draw_frame};
use super::canvas::{self, Align, Canvas, DrawError, Marker};
use super::legend::{self, Symbol};
use super::style::{FAINT_INK, SMALL_SIZE, colour, fit};
use crate::error::{Error, Result};
use crate::svg::Svg;

const WIDTH: f64 = 540.0;
const BAR: f64 = 13.0;
const GAP: f64 = 12.0;
const WIDEST_LABEL: f64 = 160.0;

/// Horizontal bars, a group per class and a bar per measure in each, so that
/// class names can be read without turning the head.
#[derive(Debug, Clone, PartialEq)]
pub struct BarChart {
    title: String,
    x_label: String,
    categories: Vec<String>,
    measures: Vec<(String, Vec<f64>)>,
    scale: Scale,
}

impl BarChart {
    /// A chart for these categories, from the top down, without measures.
    pub fn new(title: impl Into<String>, categories: Vec<String>) -> Self {
        Self {
            title: title.into(),
            x_label: String::new(),
            categories,
            measures: Vec::new(),
            scale: Scale::Linear,
        }
    }

    setters! {
        /// Names the axis of the values.
        x_label(label: impl Into<String>) => x_label = label.into();
        /// Shows the values, shares of one, in percent, on an axis from 0 to 100 %.
        shares() => scale = Scale::Share;
    }

    /// Adds a bar to each category. A value that is not finite has none.
    pub fn measure(mut self, name: impl Into<String>, values: Vec<f64>) -> Self {
        self.measures.push((name.into(), values));
        self
    }

    /// Draws the chart.
    ///
    /// # Errors
    /// [`Error::Plot`] if a measure has more or fewer values than there are
    /// categories, or if the drawing fails.
    pub fn render(&self) -> Result<Svg> {
        let categories = self.categories.len();
        let mut measures = self.measures.iter();
        if let Some((name, values)) = measures.find(|(_, values)| values.len() != categories) {
            let count = values.len();
            return Err(Error::Plot {
                figure: self.title.clone(),
                reason: format!("{count} values of {name} for {categories} categories"),
            });
        }
        let mut entries: Vec<_> = self.measures.iter().enumerate().map(entry).collect();
        let group = BAR * self.bars() + GAP;
        // One measure needs no legend.
        entries.retain(|_| self.measures.len() > 1);
        let legend = legend::height(&entries, WIDTH);
        let size = (WIDTH, group * self.rows() + 100.0 + legend);
        canvas::draw(&self.title, &self.description(), size, |canvas| {
            self.draw_bars(canvas, legend)?;
            legend::draw(canvas, &entries)
        })
    }

    /// Each category in words.
    fn description(&self) -> String {
        let value = |(name, values): &(String, Vec<f64>), row: usize| {
            let value = values.get(row).filter(|value| value.is_finite())?;
            Some(format!("{name} {}", self.scale.show(*value)))
        };
        let categories = self.categories.iter().enumerate().map(|(row, category)| {
            let values = self
                .measures
                .iter()
                .filter_map(|measure| value(measure, row));
            format!("{category}: {}.", values.collect::<Vec<_>>().join(", "))
        });
        categories.collect::<Vec<_>>().join(" ")
    }

    fn bars(&self) -> f64 {
        self.measures.len().max(1) as f64
    }

    fn rows(&self) -> f64 {
        self.categories.len().max(1) as f64
    }

    fn draw_bars(&self, canvas: &Canvas<'_>, bottom: f64) -> Result<(), DrawError> {
        let values = || self.measures.iter().flat_map(|(_, values)| values).copied();
        // Bars begin at zero.
        let with_zero = values().chain([0.0]);
        let end = if self.scale == Scale::Share { 1.0 } else { 0.0 };
        let x = Axis::around(&self.x_label, self.scale, with_zero, Some((0.0, end)));
        let pixel = draw_frame(canvas, &x, &self.category_axis(), (56.0, bottom))?;
        for (row, centre) in self.centres().enumerate() {
            for (index, (_, values)) in self.measures.iter().enumerate() {
                let value = values.get(row).copied().unwrap_or(f64::NAN);
                let ends = (pixel(0.0, centre), pixel(value, centre));
                let (Some((zero, middle)), Some((end, _))) = ends else {
                    continue;
                };
                let top = middle + BAR * (index as f64 - 0.5 * self.bars());
                let corners = [(zero.min(end), top), (zero.max(end), top + BAR - 2.0)];
                canvas.rectangle(corners, colour(index))?;
                let text = self.scale.show(value);
                let at = (zero.max(end) + 4.0, top + 0.5 * BAR - 1.0);
                canvas.text(&text, at, Align::Left, SMALL_SIZE, &FAINT_INK)?;
            }
        }
        Ok(())
    }

    /// The vertical positions of the categories, the first at the top.
    fn centres(&self) -> impl Iterator<Item = f64> {
        let count = self.categories.len();
        (0..count).map(move |row| (count - row) as f64 - 0.5)
    }

    fn category_axis(&self) -> Axis {
        let names = self.categories.iter();
        let names = names.map(|name| fit(name, WIDEST_LABEL, SMALL_SIZE));
        Axis {
            label: String::new(),
            scale: Scale::Linear,
            range: (0.0, self.rows()),
            ticks: self.centres().zip(names).collect(),
            grid: false,
        }
    }
}

fn entry((index, (name, _)): (usize, &(String, Vec<f64>))) -> (&str, Symbol) {
    let symbol = Symbol {
        colour: colour(index),
        line: None,
        marker: Some(Marker::Square),
    };
    (name, symbol)
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{assert_shows, assert_well_formed, count, texts};
    use super::*;

    fn chart() -> BarChart {
        let categories = vec!["none".into(), "fall-in & <flow-in>".into()];
        BarChart::new("By class", categories)
    }

    #[test]
    fn every_value_has_a_bar_and_is_written_beside_it() {
        let svg = chart()
            .shares()
            .measure("precision", vec![0.5, 1.0])
            .measure("recall", vec![0.25, f64::NAN])
            .render()
            .unwrap();
        // Two bars and an entry in the legend; one bar and an entry.
        assert_eq!(count(svg.as_str(), "fill=\"#0072B2\""), 2 + 1);
        assert_eq!(count(svg.as_str(), "fill=\"#D55E00\""), 1 + 1);
        let expected = [
            "50.0 %",
            "100.0 %",
            "25.0 %",
            "fall-in & <flow-in>",
            "recall",
        ];
        assert_shows(svg.as_str(), &expected);
        assert!(
            svg.as_str()
                .contains("none: precision 50.0 %, recall 25.0 %.")
        );
    }

    #[test]
    fn counts_are_written_as_counts() {
        let svg = chart().measure("images", vec![1200.0, 37.0]).render();
        let svg = svg.unwrap();
        assert_shows(svg.as_str(), &["1200", "37"]);
        // No legend for one measure.
        assert!(!texts(svg.as_str()).contains(&"images".to_owned()));
    }

    #[test]
    fn a_measure_that_does_not_fit_the_categories_is_refused() {
        let error = chart().measure("recall", vec![1.0]).render().unwrap_err();
        let error = error.to_string();
        let expected = "1 values of recall for 2 categories";
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn a_chart_without_categories_is_a_frame() {
        assert_well_formed(BarChart::new("", vec![]).render().unwrap().as_str());
    }
}
