//! The line charts that classification reports are made of.

use super::line_chart::{LineChart, Series};
use crate::error::Result;
use crate::svg::Svg;

/// One line of [`precision_recall`] or [`roc`].
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// What it is the curve of, such as a class.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
    /// The area under it, or the average precision.
    pub area: f64,
}

/// Precision over recall.
///
/// # Errors
/// [`Error::Plot`](crate::Error::Plot) if the drawing fails.
pub fn precision_recall(title: &str, curves: &[Curve]) -> Result<Svg> {
    let chart = shares(title, "recall", "precision");
    with_curves(chart, curves, "AP").render()
}

/// The receiver operating characteristic, true over false positive rate.
///
/// # Errors
/// [`Error::Plot`](crate::Error::Plot) if the drawing fails.
pub fn roc(title: &str, curves: &[Curve]) -> Result<Svg> {
    let chance = Series::new("chance", vec![(0.0, 0.0), (1.0, 1.0)]).reference();
    let chart = shares(title, "false positive rate", "true positive rate").series(chance);
    with_curves(chart, curves, "area").render()
}

/// The reliability diagram: accuracy over confidence, by bins.
///
/// # Errors
/// [`Error::Plot`](crate::Error::Plot) if the drawing fails.
pub fn reliability(title: &str, bins: &[(f64, f64)]) -> Result<Svg> {
    shares(title, "confidence", "accuracy")
        .series(Series::new("ideal", vec![(0.0, 0.0), (1.0, 1.0)]).reference())
        .series(Series::new("measured", bins.to_vec()).markers())
        .render()
}

fn with_curves(chart: LineChart, curves: &[Curve], measure: &str) -> LineChart {
    curves.iter().fold(chart, |chart, curve| {
        let name = format!("{} ({measure} {:.2})", curve.name, curve.area);
        chart.series(Series::new(name, curve.points.clone()))
    })
}

fn shares(title: &str, x: &str, y: &str) -> LineChart {
    LineChart::new(title)
        .x_label(x)
        .y_label(y)
        .x_range(0.0, 1.0)
        .y_range(0.0, 1.0)
}

/// A method that was tried with several label budgets.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelEfficiencyCurve {
    /// Its name.
    pub name: String,
    /// Its results.
    pub points: Vec<BudgetPoint>,
}

/// A figure at one label budget.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BudgetPoint {
    /// The fraction of the labels used, in (0, 1].
    pub fraction: f64,
    /// The mean over folds and seeds.
    pub mean: f64,
    /// The ends of its confidence interval, if there is one.
    pub interval: Option<(f64, f64)>,
}

/// A figure of merit over the fraction of labels used, on a logarithmic axis,
/// one line per method with its confidence intervals.
///
/// # Errors
/// [`Error::Plot`](crate::Error::Plot) if the drawing fails.
pub fn label_efficiency(
    title: &str,
    y_label: &str,
    methods: &[LabelEfficiencyCurve],
) -> Result<Svg> {
    let mut fractions: Vec<f64> = methods
        .iter()
        .flat_map(|method| method.points.iter().map(|point| point.fraction))
        .collect();
    fractions.sort_by(f64::total_cmp);
    fractions.dedup();
    let ticks = fractions
        .iter()
        .map(|fraction| (*fraction, format!("{} %", round(100.0 * fraction))))
        .collect();
    let chart = LineChart::new(title)
        .x_label("share of the labels used")
        .y_label(y_label)
        .log_x()
        .x_ticks(ticks);
    methods
        .iter()
        .enumerate()
        .map(|(index, method)| method.series(index, methods.len()))
        .fold(chart, LineChart::series)
        .render()
}

impl LabelEfficiencyCurve {
    /// The methods stand side by side, a little apart, so that their intervals do
    /// not cover each other.
    fn series(&self, index: usize, methods: usize) -> Series {
        let offset = index as f64 - (methods as f64 - 1.0) / 2.0;
        let place = |point: &BudgetPoint| point.fraction * 1.02f64.powf(offset);
        let points = self.points.iter().map(|point| (place(point), point.mean));
        let intervals = self
            .points
            .iter()
            .filter_map(|point| point.interval.map(|(low, high)| (place(point), low, high)));
        Series::new(self.name.clone(), points.collect())
            .markers()
            .intervals(intervals.collect())
    }
}

/// To three decimals, without needless zeros.
fn round(percent: f64) -> f64 {
    (percent * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{assert_shows, count};
    use super::*;

    #[test]
    fn the_curves_say_what_they_are() {
        let curve = |points, area| Curve {
            name: "crack".into(),
            points,
            area,
        };
        let recall = curve(vec![(0.5, 1.0), (1.0, 0.667)], 0.83);
        let svg = precision_recall("Precision and recall", &[recall]).unwrap();
        assert_shows(svg.as_str(), &["crack (AP 0.83)"]);

        let svg = roc("ROC", &[curve(vec![(0.0, 0.5), (1.0, 1.0)], 0.75)]).unwrap();
        let expected = ["crack (area 0.75)", "chance", "false positive rate"];
        assert_shows(svg.as_str(), &expected);

        let svg = reliability("Calibration", &[(0.7, 0.5), (0.9, 1.0)]).unwrap();
        assert_shows(svg.as_str(), &["measured"]);
    }

    #[test]
    fn budgets_are_ticks_in_percent_and_intervals_are_drawn() {
        let method = |name: &str, mean| LabelEfficiencyCurve {
            name: name.into(),
            points: [0.05, 0.1, 1.0]
                .map(|fraction| BudgetPoint {
                    fraction,
                    mean,
                    interval: (fraction < 1.0).then_some((mean - 0.1, mean + 0.1)),
                })
                .to_vec(),
        };
        let methods = [method("pretrained", 0.8), method("untrained", 0.5)];
        let svg = label_efficiency("Few labels", "accuracy", &methods).unwrap();
        let expected = ["5 %", "10 %", "100 %", "pretrained", "untrained"];
        assert_shows(svg.as_str(), &expected);
        // Two intervals of three strokes each.
        let stroke = "stroke=\"#0072B2\" stroke-width=\"10\"";
        assert_eq!(count(svg.as_str(), stroke), 6);
    }
}
