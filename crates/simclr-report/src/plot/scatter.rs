//! Points in the plane, coloured by class.

use plotters::prelude::Color;

use super::axis::{Axis, Scale, draw_frame};
use super::canvas::{self, Marker};
use super::legend::{self, Symbol};
use super::style::colour;
use crate::error::Result;
use crate::svg::Svg;

const WIDTH: f64 = 540.0;
/// Without the legend.
const HEIGHT: f64 = 460.0;

/// The points of one class.
#[derive(Debug, Clone, PartialEq)]
pub struct ScatterGroup {
    /// The class.
    pub name: String,
    /// Where its points are.
    pub points: Vec<(f64, f64)>,
}

/// A scatter plot, as of an embedding's first two principal components.
/// Classes differ in colour and shape.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScatterPlot {
    title: String,
    x_label: String,
    y_label: String,
    groups: Vec<ScatterGroup>,
}

impl ScatterPlot {
    /// A plot without points.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            ..Self::default()
        }
    }

    /// A plot of `points`, grouped by `labels` (indices into `classes`; a point
    /// without a label, or with one that is no class, is left out).
    pub fn by_class(
        title: impl Into<String>,
        classes: &[String],
        points: &[(f64, f64)],
        labels: &[u32],
    ) -> Self {
        let group = |(class, name): (usize, &String)| {
            let labelled = points.iter().zip(labels);
            let own = labelled.filter(|(_, label)| usize::try_from(**label) == Ok(class));
            ScatterGroup {
                name: name.clone(),
                points: own.map(|(point, _)| *point).collect(),
            }
        };
        let groups = classes.iter().enumerate().map(group);
        groups.fold(Self::new(title), Self::group)
    }

    /// The classes with their points.
    pub fn groups(&self) -> &[ScatterGroup] {
        &self.groups
    }

    /// Names the axes.
    pub fn labels(mut self, x: impl Into<String>, y: impl Into<String>) -> Self {
        self.x_label = x.into();
        self.y_label = y.into();
        self
    }

    /// Adds a class.
    pub fn group(mut self, group: ScatterGroup) -> Self {
        self.groups.push(group);
        self
    }

    /// Draws the plot. Points that are not finite are left out.
    ///
    /// # Errors
    /// [`Error::Plot`](crate::Error::Plot) if the drawing fails.
    pub fn render(&self) -> Result<Svg> {
        let entries: Vec<_> = self.groups.iter().enumerate().map(entry).collect();
        let legend = legend::height(&entries, WIDTH);
        let groups = self.groups.iter();
        let sizes = groups.map(|group| format!("{} {}", group.points.len(), group.name));
        let sizes: Vec<String> = sizes.collect();
        let description = format!(
            "{} over {}, a point each: {}.",
            self.y_label,
            self.x_label,
            sizes.join(", ")
        );
        canvas::draw(
            &self.title,
            &description,
            (WIDTH, HEIGHT + legend),
            |canvas| {
                let points = || self.groups.iter().flat_map(|group| &group.points);
                let xs = points().map(|point| point.0);
                let ys = points().map(|point| point.1);
                let x = Axis::around(&self.x_label, Scale::Linear, xs, None);
                let y = Axis::around(&self.y_label, Scale::Linear, ys, None);
                let pixel = draw_frame(canvas, &x, &y, (20.0, legend))?;
                // One point of each class in turn, so that no class covers another.
                let most = self.groups.iter().map(|group| group.points.len()).max();
                for round in 0..most.unwrap_or(0) {
                    for (index, group) in self.groups.iter().enumerate() {
                        let point = group.points.get(round);
                        if let Some(at) = point.and_then(|(x, y)| pixel(*x, *y)) {
                            canvas.marker(Marker::of(index), at, 4.0, colour(index).mix(0.75))?;
                        }
                    }
                }
                legend::draw(canvas, &entries)
            },
        )
    }
}

fn entry((index, group): (usize, &ScatterGroup)) -> (&str, Symbol) {
    let symbol = Symbol {
        colour: colour(index),
        line: None,
        marker: Some(Marker::of(index)),
    };
    (&group.name, symbol)
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{assert_shows, assert_well_formed, count};
    use super::*;

    #[test]
    fn each_point_is_drawn_in_the_colour_of_its_class() {
        let classes = ["none".to_owned(), "<crack>".to_owned()];
        let (a, b, c) = ((0.0, 0.0), (1.0, 2.0), (2.0, 1.0));
        let points = [a, b, c, (f64::NAN, 0.0), (9.0, 9.0)];
        let plot = ScatterPlot::by_class("Embedding", &classes, &points, &[0, 1, 1, 1, 7]);
        let svg = plot.labels("component 1", "component 2").render().unwrap();
        // Points and the entry in the legend.
        assert_eq!(count(svg.as_str(), "fill=\"#0072B2\""), 1 + 1);
        assert_eq!(count(svg.as_str(), "fill=\"#D55E00\""), 2 + 1);
        assert!(
            svg.as_str()
                .contains("a point each: 1 none, 3 &lt;crack&gt;.")
        );
        let expected = ["component 1", "component 2", "none", "<crack>"];
        assert_shows(svg.as_str(), &expected);
    }

    #[test]
    fn a_plot_without_points_is_a_frame() {
        assert_well_formed(ScatterPlot::new("Nothing").render().unwrap().as_str());
    }
}
