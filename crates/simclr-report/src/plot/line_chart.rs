//! Lines over a number: losses, accuracies, learning rates, trade-offs.

use plotters::prelude::Color;

use super::axis::{Axis, Scale, draw_frame};
use super::canvas::{self, Align, Canvas, DrawError, Marker, Pixel, stroke};
use super::legend::{self, Dash, Symbol};
use super::style::{BODY_SIZE, FAINT_INK, INK, SMALL_SIZE, colour};
use crate::error::Result;
use crate::svg::Svg;

const WIDTH: f64 = 540.0;
/// Without the legend.
const HEIGHT: f64 = 320.0;
/// A part of a figure of [`small_multiples`].
const PANEL: Pixel = (180.0, 160.0);
const MARKER: f64 = 4.5;
const LARGEST_MARKER: f64 = 12.0;
const DASHES: [Dash; 3] = [(1.0, 0.0), (8.0, 5.0), (2.0, 3.5)];
const REFERENCE_DASHES: [Dash; 3] = [(4.0, 4.0), (1.5, 3.0), (12.0, 4.0)];

/// A line of a [`LineChart`].
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    name: String,
    points: Vec<(f64, f64)>,
    intervals: Vec<(f64, f64, f64)>,
    markers: bool,
    weights: Vec<f64>,
    reference: bool,
}

impl Series {
    /// The line through `points`, from left to right. It is interrupted where
    /// a coordinate is not finite, or not positive on a logarithmic axis.
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self {
            name: name.into(),
            points,
            intervals: Vec::new(),
            markers: false,
            weights: Vec::new(),
            reference: false,
        }
    }

    setters! {
        /// Marks each point: for series of few points.
        markers() => markers = true;
        /// Gives each point's marker an area in proportion to its weight.
        weights(weights: Vec<f64>) => weights = weights;
        /// Adds a vertical bar for each (x, lower end, upper end).
        intervals(intervals: Vec<(f64, f64, f64)>) => intervals = intervals;
        /// Draws the line thin and grey: chance, the ideal, a baseline.
        reference() => reference = true;
    }

    /// The radius of the marker of a point; one without a weight has that of the others.
    fn radius(&self, point: usize) -> f64 {
        let largest = self.weights.iter().copied().fold(0.0, f64::max);
        match self.weights.get(point) {
            Some(weight) if largest > 0.0 => LARGEST_MARKER * (weight / largest).sqrt(),
            _ => MARKER,
        }
    }

    fn symbol(&self, index: usize) -> Symbol {
        if self.reference {
            return Symbol {
                colour: FAINT_INK,
                line: Some(REFERENCE_DASHES[index % REFERENCE_DASHES.len()]),
                marker: None,
            };
        }
        Symbol {
            colour: colour(index),
            line: Some(DASHES[index % DASHES.len()]),
            marker: self.markers.then(|| Marker::of(index)),
        }
    }
}

/// A figure of lines.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LineChart {
    title: String,
    x_label: String,
    y_label: String,
    x_scale: Scale,
    y_scale: Scale,
    x_range: Option<(f64, f64)>,
    y_range: Option<(f64, f64)>,
    x_ticks: Option<Vec<(f64, String)>>,
    series: Vec<Series>,
}

impl LineChart {
    /// A chart without lines and labels, with linear axes.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            ..Self::default()
        }
    }

    setters! {
        /// Names the horizontal axis.
        x_label(label: impl Into<String>) => x_label = label.into();
        /// Names the vertical axis.
        y_label(label: impl Into<String>) => y_label = label.into();
        /// Makes the horizontal axis logarithmic.
        log_x() => x_scale = Scale::Log10;
        /// Makes the vertical axis logarithmic.
        log_y() => y_scale = Scale::Log10;
        /// Shows the values of the horizontal axis, shares of one, in percent.
        share_x() => x_scale = Scale::Share;
        /// Shows the values of the vertical axis, shares of one, in percent.
        share_y() => y_scale = Scale::Share;
        /// Makes the horizontal axis cover at least `low..=high`.
        x_range(low: f64, high: f64) => x_range = Some((low, high));
        /// Makes the vertical axis cover at least `low..=high`.
        y_range(low: f64, high: f64) => y_range = Some((low, high));
        /// Puts ticks with these texts, of one or two lines, on the horizontal axis.
        x_ticks(ticks: Vec<(f64, String)>) => x_ticks = Some(ticks);
    }

    /// Adds a line. The first eight differ in colour, all in colour or dash.
    pub fn series(mut self, series: Series) -> Self {
        self.series.push(series);
        self
    }

    /// Draws the chart.
    ///
    /// # Errors
    /// [`Error::Plot`](crate::Error::Plot) if the drawing fails.
    pub fn render(&self) -> Result<Svg> {
        let symbols = self.symbols();
        let named = self.series.iter().any(|series| !series.name.is_empty());
        let entries = symbols.iter().filter(|_| named);
        let entries = entries.map(|(series, symbol)| (series.name.as_str(), *symbol));
        let entries: Vec<_> = entries.collect();
        let legend = legend::height(&entries, WIDTH);
        let size = (WIDTH, HEIGHT + legend);
        canvas::draw(&self.title, &self.description(), size, |canvas| {
            self.draw_lines(canvas, legend)?;
            legend::draw(canvas, &entries)
        })
    }

    fn draw_lines(&self, canvas: &Canvas<'_>, bottom: f64) -> Result<(), DrawError> {
        let (x, y) = self.axes();
        let pixel = draw_frame(canvas, &x, &y, (20.0, bottom))?;
        let mut points = self.series.iter().flat_map(|series| &series.points);
        if !points.any(|point| pixel(point.0, point.1).is_some()) {
            let (width, height) = canvas.size();
            let middle = (width / 2.0, (height - bottom) / 2.0);
            canvas.text("no data", middle, Align::Centre, BODY_SIZE, &FAINT_INK)?;
        }
        let mut symbols = self.symbols().into_iter();
        symbols.try_for_each(|(series, symbol)| draw_series(canvas, series, symbol, &pixel))
    }

    /// Each line in words, from its first to its last point.
    fn description(&self) -> String {
        let (x_scale, y_scale) = (self.x_scale, self.y_scale);
        let end = |point: Option<&(f64, f64)>| {
            let (x, y) = point.copied().unwrap_or((f64::NAN, f64::NAN));
            format!("{} at {}", y_scale.show(y), x_scale.show(x))
        };
        let lines = self
            .series
            .iter()
            .filter(|series| !series.points.is_empty());
        let lines = lines.map(|series| {
            let (first, last) = (series.points.first(), series.points.last());
            format!("{}: {} to {}", series.name, end(first), end(last))
        });
        let lines: Vec<String> = lines.collect();
        format!(
            "{} over {}. {}.",
            self.y_label,
            self.x_label,
            lines.join("; ")
        )
    }

    /// Reference lines do not use up colours.
    fn symbols(&self) -> Vec<(&Series, Symbol)> {
        let mut counts = [0, 0];
        let series = self.series.iter().map(|series| {
            let count = &mut counts[usize::from(series.reference)];
            *count += 1;
            (series, series.symbol(*count - 1))
        });
        series.collect()
    }

    fn axes(&self) -> (Axis, Axis) {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let intervals = || self.series.iter().flat_map(|series| &series.intervals);
        let xs = points().map(|point| point.0);
        let xs = xs.chain(intervals().map(|interval| interval.0));
        let ys = points().map(|point| point.1);
        let ys = ys.chain(intervals().flat_map(|interval| [interval.1, interval.2]));
        let mut x = Axis::around(&self.x_label, self.x_scale, xs, self.x_range);
        if let Some(ticks) = &self.x_ticks {
            x = x.with_ticks(ticks);
        }
        let y = Axis::around(&self.y_label, self.y_scale, ys, self.y_range);
        (x, y)
    }
}

/// Draws charts side by side and below each other, three to a row, without legends: each under its
/// own title, with the labels of the first one's axes at the sides of the figure.
///
/// # Errors
/// [`Error::Plot`](crate::Error::Plot) if the drawing fails.
pub fn small_multiples(title: &str, charts: &[LineChart]) -> Result<Svg> {
    const COLUMNS: usize = 3;
    let rows = charts.len().div_ceil(COLUMNS).max(1);
    let labels = charts.first().map(|chart| (&chart.x_label, &chart.y_label));
    let description = charts.iter().map(|chart| format!("{}.", chart.title));
    let description: Vec<String> = description.collect();
    let size = (COLUMNS as f64 * PANEL.0, 70.0 + rows as f64 * PANEL.1);
    canvas::draw(title, &description.join(" "), size, |canvas| {
        let parts = canvas.split((40.0, 0.0, 30.0, 24.0), (rows, COLUMNS));
        for (chart, part) in charts.iter().zip(parts) {
            let panel = chart.clone().x_label("").y_label("");
            part.title(&panel.title, SMALL_SIZE)?;
            panel.draw_lines(&part, 0.0)?;
        }
        let (x, y) = labels.map_or(("", ""), |(x, y)| (x, y));
        let (below, beside) = ((size.0 / 2.0, size.1 - 16.0), (14.0, size.1 / 2.0));
        canvas.text(x, below, Align::Centre, BODY_SIZE, &INK)?;
        canvas.text(y, beside, Align::UpwardsCentre, BODY_SIZE, &INK)
    })
}

fn draw_series(
    canvas: &Canvas<'_>,
    series: &Series,
    symbol: Symbol,
    pixel: &impl Fn(f64, f64) -> Option<Pixel>,
) -> Result<(), DrawError> {
    for (x, low, high) in &series.intervals {
        if let (Some(low), Some(high)) = (pixel(*x, *low), pixel(*x, *high)) {
            draw_interval(canvas, low, high, symbol)?;
        }
    }
    let pixels: Vec<_> = series.points.iter().map(|(x, y)| pixel(*x, *y)).collect();
    for stretch in pixels.split(Option::is_none) {
        let stretch = thin(stretch.iter().copied().flatten().collect());
        match stretch.as_slice() {
            // A lone point has no line, but must be seen.
            [single] if symbol.marker.is_none() => {
                canvas.marker(Marker::Circle, *single, 3.0, symbol.colour.to_rgba())?;
            }
            [] | [_] => {}
            _ => symbol.draw_line(canvas, &stretch)?,
        }
    }
    for (index, at) in pixels.into_iter().enumerate() {
        if let Some(at) = at {
            symbol.draw_marker(canvas, at, series.radius(index))?;
        }
    }
    Ok(())
}

/// The same line with at most four points per column of pixels: where it comes
/// in, its lowest and highest point, and where it leaves. Logs of long runs have
/// far more.
fn thin(line: Vec<Pixel>) -> Vec<Pixel> {
    let width = match line.as_slice() {
        [first, .., last] => (last.0 - first.0).abs(),
        _ => 0.0,
    };
    if line.len() < 4 * width as usize {
        return line;
    }
    let column = |point: &Pixel| point.0.round();
    let mut kept: Vec<Pixel> = Vec::new();
    for points in line.chunk_by(|a, b| column(a) == column(b)) {
        let heights = || points.iter().enumerate();
        let order = |a: &(usize, &Pixel), b: &(usize, &Pixel)| a.1.1.total_cmp(&b.1.1);
        let extremes = [heights().min_by(order), heights().max_by(order)];
        let mut chosen = vec![0, points.len() - 1];
        chosen.extend(extremes.into_iter().flatten().map(|(index, _)| index));
        chosen.sort_unstable();
        chosen.dedup();
        kept.extend(chosen.into_iter().filter_map(|index| points.get(index)));
    }
    kept
}

fn draw_interval(
    canvas: &Canvas<'_>,
    low: Pixel,
    high: Pixel,
    symbol: Symbol,
) -> Result<(), DrawError> {
    const CAP: f64 = 4.0;
    let style = stroke(symbol.colour, 1.0);
    canvas.path(&[low, high], style)?;
    for (x, y) in [low, high] {
        canvas.path(&[(x - CAP, y), (x + CAP, y)], style)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::canvas::units;
    use super::super::test_support::{assert_shows, assert_well_formed, count};
    use super::*;

    #[test]
    fn lines_labels_and_legend_are_there() {
        let chart = LineChart::new("Loss & accuracy")
            .x_label("epoch")
            .y_label("value")
            .series(Series::new("training", vec![(0.0, 5.0), (10.0, 4.0)]))
            .series(Series::new("validation <x>", vec![(0.0, 4.0), (10.0, 3.0)]).markers());
        let svg = chart.render().unwrap();
        let axes = ["Loss & accuracy", "epoch", "value"];
        assert_shows(svg.as_str(), &axes);
        assert_shows(svg.as_str(), &["training", "validation <x>"]);
    }

    #[test]
    fn a_line_without_a_name_needs_no_legend() {
        let height = |name: &str| {
            let series = Series::new(name, vec![(0.0, 1.0), (1.0, 2.0)]);
            let svg = LineChart::new("Loss").series(series).render().unwrap();
            let height = svg.as_str().split("height=\"").nth(1).unwrap();
            height.split('"').next().unwrap().parse::<f64>().unwrap()
        };
        assert_eq!(height(""), HEIGHT);
        assert!(height("a name that takes room") > HEIGHT);
    }

    #[test]
    fn shares_are_percent_and_weights_are_areas() {
        let points = vec![(0.25, 0.1), (0.5, 0.4)];
        let series = Series::new("measured", points).markers();
        let chart = LineChart::new("").x_label("confidence").y_label("accuracy");
        let chart = chart.share_x().share_y().y_range(0.0, 1.0);
        let svg = chart
            .series(series.weights(vec![1.0, 4.0]))
            .render()
            .unwrap();
        assert_shows(svg.as_str(), &["0 %", "100 %", "25 %", "50 %"]);
        let said = "accuracy over confidence. measured: 10.0 % at 25.0 % to 40.0 % at 50.0 %.";
        assert!(svg.as_str().contains(said), "{}", svg.as_str());
        // The largest has twelve pixels, and one of a quarter of its weight half the radius.
        for radius in [units(12.0), units(6.0)] {
            assert_eq!(count(svg.as_str(), &format!(" r=\"{radius}\"")), 1);
        }
    }

    #[test]
    fn small_multiples_stand_in_rows_of_three() {
        let chart = |name: &str| {
            let line = Series::new("", vec![(0.0, 0.0), (1.0, 1.0)]);
            LineChart::new(name).x_label("x").y_label("y").series(line)
        };
        let charts = ["a", "b", "c", "d"].map(chart);
        let svg = small_multiples("Curves", &charts).unwrap();
        assert_shows(svg.as_str(), &["Curves", "a", "b", "c", "d", "x", "y"]);
        // Each is to the right of the one before it, or in the next row.
        let lines = svg.as_str().lines().filter(|line| line.contains("#0072B2"));
        let lines: Vec<_> = lines.map(|line| first_line(line)[0]).collect();
        assert!(
            lines[0].0 < lines[1].0 && lines[1].0 < lines[2].0,
            "{lines:?}"
        );
        assert_eq!(
            (lines[0].0, lines[0].1),
            (lines[3].0, lines[3].1 - units(PANEL.1))
        );
        assert!(small_multiples("Nothing", &[]).is_ok());
    }

    /// The points of the first line in the first colour.
    fn first_line(svg: &str) -> Vec<(i32, i32)> {
        let line = svg.lines().find(|line| line.contains("#0072B2")).unwrap();
        let points = line.split("points=\"").nth(1).unwrap();
        let points = points.split('"').next().unwrap();
        let point = |point: &str| {
            let (x, y) = point.split_once(',').unwrap();
            (x.parse().unwrap(), y.parse().unwrap())
        };
        points.split_whitespace().map(point).collect()
    }

    #[test]
    fn a_line_is_interrupted_where_it_has_no_value() {
        let line = |points| {
            let chart = LineChart::new("Loss").series(Series::new("", points));
            let svg = chart.render().unwrap();
            count(svg.as_str(), "stroke=\"#0072B2\"")
        };
        let whole = (0..6).map(|i| (f64::from(i), 1.0)).collect();
        assert_eq!(line(whole), 1);
        let broken = (0..6)
            .map(|i| (f64::from(i), if i == 3 { f64::NAN } else { 1.0 }))
            .collect();
        assert_eq!(line(broken), 2);
    }

    #[test]
    fn long_logs_are_thinned_without_losing_their_extremes() {
        let many = 100_000;
        let noise = |i: i32| f64::from((i * 7919) % 1009) / 1009.0;
        let mut points: Vec<_> = (0..many).map(|i| (f64::from(i), noise(i))).collect();
        points[54_321].1 = 5.0;
        let thinned = thin(points.iter().map(|(x, y)| (x * 600.0 / 1e5, *y)).collect());
        let count = thinned.len();
        assert!((601..=4 * 601).contains(&count), "{count}");
        assert!(thinned.windows(2).all(|pair| pair[0].0 <= pair[1].0));
        assert_eq!(thinned.iter().filter(|point| point.1 == 5.0).count(), 1);
        let lowest = |points: &[Pixel]| points.iter().map(|p| p.1).fold(f64::MAX, f64::min);
        assert_eq!(lowest(&thinned), lowest(&points));

        let chart = LineChart::new("Loss").series(Series::new("", points));
        assert!(chart.render().unwrap().as_str().len() < 50_000);
    }

    #[test]
    fn a_chart_without_values_says_so() {
        let nothing = LineChart::new("Loss")
            .log_y()
            .series(Series::new("", vec![(1.0, -1.0)]));
        let svg = nothing.render().unwrap();
        assert_shows(svg.as_str(), &["no data"]);
        assert_well_formed(LineChart::new("").render().unwrap().as_str());
    }

    #[test]
    fn every_point_lies_inside_the_figure_whatever_the_range_asked_for() {
        let points = vec![(-5.0, -100.0), (200.0, 1e4)];
        let chart = LineChart::new("Wide")
            .x_range(0.0, 1.0)
            .y_range(0.0, 1.0)
            .series(Series::new("", points));
        let svg = chart.render().unwrap();
        let drawn = first_line(svg.as_str());
        assert_eq!(drawn.len(), 2);
        for (x, y) in drawn {
            assert!((0..units(WIDTH)).contains(&x), "{x}");
            assert!((units(40.0)..units(HEIGHT)).contains(&y), "{y}");
        }
    }
}
