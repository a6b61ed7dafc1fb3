//! The line charts that classification reports are made of.

use super::line_chart::{LineChart, Series, small_multiples};
use crate::error::Result;
use crate::image_count::ImageCount;
use crate::svg::Svg;
use crate::table::{percent, short_percent};

/// A part of [`precision_recall`] or [`roc`].
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// What it is the curve of, such as a class.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
    /// The area under it, or the average precision.
    pub area: f64,
    /// The share of the images that belong to the class: the precision of chance.
    pub prevalence: f64,
}

/// Precision over recall, side by side for each curve, with the precision of chance.
///
/// # Errors
/// [`Error::Plot`](crate::Error::Plot) if the drawing fails.
pub fn precision_recall(title: &str, curves: &[Curve]) -> Result<Svg> {
    let chance = |curve: &Curve| vec![(0.0, curve.prevalence), (1.0, curve.prevalence)];
    panels(title, curves, ("recall", "precision", "AP"), chance)
}

/// The receiver operating characteristic, true over false positive rate, side by side for each
/// curve.
///
/// # Errors
/// [`Error::Plot`](crate::Error::Plot) if the drawing fails.
pub fn roc(title: &str, curves: &[Curve]) -> Result<Svg> {
    let labels = ("false positive rate", "true positive rate", "area");
    panels(title, curves, labels, |_| vec![(0.0, 0.0), (1.0, 1.0)])
}

fn panels(
    title: &str,
    curves: &[Curve],
    (x, y, measure): (&str, &str, &str),
    chance: impl Fn(&Curve) -> Vec<(f64, f64)>,
) -> Result<Svg> {
    let ticks = [(0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %")];
    let ticks = ticks.map(|(at, text)| (at, text.to_owned())).to_vec();
    let panel = |curve: &Curve| {
        let title = format!("{}: {measure} {}", curve.name, percent(curve.area));
        shares(&title, x, y)
            .x_ticks(ticks.clone())
            .series(Series::new("chance", chance(curve)).reference())
            .series(Series::new("", curve.points.clone()))
    };
    let charts: Vec<_> = curves.iter().map(panel).collect();
    small_multiples(title, &charts)
}

/// Predictions of about the same confidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReliabilityBin {
    /// Their mean confidence.
    pub confidence: f64,
    /// The share of them that is right.
    pub accuracy: f64,
    /// How many there are.
    pub count: usize,
}

/// The reliability diagram: accuracy over confidence by bins, whose points are the larger the more
/// predictions they stand for.
///
/// # Errors
/// [`Error::Plot`](crate::Error::Plot) if the drawing fails.
pub fn reliability(title: &str, bins: &[ReliabilityBin]) -> Result<Svg> {
    let bins = bins.iter().filter(|bin| bin.count > 0);
    let points = bins.clone().map(|bin| (bin.confidence, bin.accuracy));
    let measured = Series::new("measured", points.collect()).markers();
    shares(title, "confidence", "accuracy")
        .series(Series::new("ideal", vec![(0.0, 0.0), (1.0, 1.0)]).reference())
        .series(measured.weights(bins.map(|bin| bin.count as f64).collect()))
        .render()
}

fn shares(title: &str, x: &str, y: &str) -> LineChart {
    LineChart::new(title)
        .x_label(x)
        .y_label(y)
        .share_x()
        .share_y()
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
    /// How many images that is, over folds and seeds.
    pub images: ImageCount,
    /// The mean over folds and seeds.
    pub mean: f64,
    /// The ends of its confidence interval, if there is one.
    pub interval: Option<(f64, f64)>,
}

/// A share of one, such as the accuracy, over the fraction of labels used, on a logarithmic axis:
/// one line per method with its confidence intervals, and one for each of the `baselines`, whose
/// value does not depend on labels.
///
/// # Errors
/// [`Error::Plot`](crate::Error::Plot) if the drawing fails.
pub fn label_efficiency(
    title: &str,
    y_label: &str,
    methods: &[LabelEfficiencyCurve],
    baselines: &[(String, f64)],
) -> Result<Svg> {
    let points = methods.iter().flat_map(|method| &method.points);
    let mut budgets: Vec<_> = points.map(|point| (point.fraction, point.images)).collect();
    budgets.sort_by(|a, b| a.0.total_cmp(&b.0));
    budgets.dedup_by_key(|budget| budget.0);
    let ends = [budgets.first(), budgets.last()];
    let ends = ends.map(|budget| budget.map_or(1.0, |budget| budget.0));
    let ticks = budgets.into_iter().map(|(fraction, images)| {
        let text = format!("{}\n{images}", short_percent(fraction));
        (fraction, text)
    });
    let mut chart = LineChart::new(title)
        .x_label("share of the labels used, and images with labels")
        .y_label(y_label)
        .log_x()
        .share_y()
        .x_ticks(ticks.collect());
    for (index, method) in methods.iter().enumerate() {
        chart = chart.series(method.series(index, methods.len()));
    }
    for (name, value) in baselines {
        let line = ends.map(|end| (end, *value)).to_vec();
        chart = chart.series(Series::new(name, line).reference());
    }
    chart.render()
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

#[cfg(test)]
mod tests {
    use super::super::test_support::{assert_shows, count};
    use super::*;

    #[test]
    fn each_curve_has_a_panel_with_chance() {
        let curve = |points, area| Curve {
            name: "crack".into(),
            points,
            area,
            prevalence: 0.25,
        };
        let recall = curve(vec![(0.5, 1.0), (1.0, 0.667)], 0.83);
        let svg = precision_recall("Precision and recall", &[recall]).unwrap();
        let expected = ["crack: AP 83.0 %", "recall", "precision", "50 %"];
        assert_shows(svg.as_str(), &expected);
        let svg = roc("ROC", &[curve(vec![(0.0, 0.5), (1.0, 1.0)], 0.75)]).unwrap();
        assert_shows(svg.as_str(), &["crack: area 75.0 %", "false positive rate"]);
    }

    #[test]
    fn bins_are_weighted_by_their_size_and_empty_ones_left_out() {
        let bin = |confidence, accuracy, count| ReliabilityBin {
            confidence,
            accuracy,
            count,
        };
        let bins = [bin(0.7, 0.5, 9), bin(0.8, 0.0, 0), bin(0.9, 1.0, 36)];
        let svg = reliability("Calibration", &bins).unwrap();
        assert_shows(svg.as_str(), &["measured", "ideal"]);
        // One of the half radius and one of the whole; the legend has its own.
        for (radius, times) in [("60", 1), ("120", 1), ("0", 0)] {
            assert_eq!(count(svg.as_str(), &format!(" r=\"{radius}\"")), times);
        }
    }

    #[test]
    fn budgets_are_ticks_in_percent_and_images_and_baselines_are_lines() {
        let method = |name: &str, mean| LabelEfficiencyCurve {
            name: name.into(),
            points: [0.05, 0.1, 1.0]
                .map(|fraction| BudgetPoint {
                    fraction,
                    images: ImageCount::of([180.0, 182.0].map(|all| (fraction * all) as usize)),
                    mean,
                    interval: (fraction < 1.0).then_some((mean - 0.1, mean + 0.1)),
                })
                .to_vec(),
        };
        let methods = [method("pretrained", 0.95), method("untrained", 0.5)];
        let chance = [("chance".to_owned(), 0.1)];
        let svg = label_efficiency("Few labels", "accuracy", &methods, &chance).unwrap();
        let expected = [
            "5 %",
            "10 %",
            "9",
            "18",
            "180 to 182",
            "pretrained",
            "chance",
        ];
        assert_shows(svg.as_str(), &expected);
        let shown = super::super::test_support::texts(svg.as_str());
        assert!(!shown.iter().any(|text| text == "120 %"), "{shown:?}");
        // Two intervals of three strokes each.
        let stroke = "stroke=\"#0072B2\" stroke-width=\"10\"";
        assert_eq!(count(svg.as_str(), stroke), 6);
    }
}
