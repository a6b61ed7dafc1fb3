//! Axes: ranges, ticks and the frame they make.

use std::ops::Range;

use plotters::chart::ChartBuilder;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::prelude::{Color, Ranged, TRANSPARENT};

use super::canvas::{Align, Canvas, DrawError, Pixel, font, pixels, stroke, units};
use super::style::{BODY_SIZE, GRID, INK, SMALL_SIZE, text_width};
use crate::error::Result;
use crate::table::percent;

/// How values become positions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Scale {
    #[default]
    Linear,
    /// Shares of one, shown in percent; the axis ends at 0 and 1.
    Share,
    /// Values that are not positive have no place on it.
    Log10,
}

impl Scale {
    /// The position of `value`; `None` if it has none.
    pub(super) fn position(self, value: f64) -> Option<f64> {
        match self {
            Self::Linear | Self::Share => Some(value),
            Self::Log10 => (value > 0.0).then(|| value.log10()),
        }
        .filter(|position| position.is_finite())
    }

    /// A value in words.
    pub(super) fn show(self, value: f64) -> String {
        match self {
            Self::Share => percent(value),
            Self::Linear | Self::Log10 => round(value),
        }
    }
}

/// An axis that is ready to be drawn: its range and ticks are positions on the
/// scale.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    pub(super) label: String,
    pub(super) scale: Scale,
    pub(super) range: (f64, f64),
    pub(super) ticks: Vec<(f64, String)>,
    /// Whether a line crosses the figure at each tick of a vertical axis.
    pub(super) grid: bool,
}

impl Axis {
    /// An axis that has room for all `values` and for `at_least`.
    pub(super) fn around(
        label: &str,
        scale: Scale,
        values: impl Iterator<Item = f64>,
        at_least: Option<(f64, f64)>,
    ) -> Self {
        let required = at_least.into_iter().flat_map(|(low, high)| [low, high]);
        let positions = values
            .chain(required)
            .filter_map(|value| scale.position(value));
        let none = (f64::INFINITY, f64::NEG_INFINITY);
        let (low, high) = positions.fold(none, |(low, high), position| {
            (low.min(position), high.max(position))
        });
        let range = match (low, high) {
            _ if low > high => (0.0, 1.0),
            _ if low == high => {
                // More than the distance to the next number, also where that is above a half.
                let margin = (1e-6 * low.abs()).max(0.5);
                (low - margin, high + margin)
            }
            // Data that end at a round number, as shares do, need no margin.
            _ if at_least.is_some() => (low, high),
            _ => (low - 0.03 * (high - low), high + 0.03 * (high - low)),
        };
        let range = match scale {
            Scale::Share => (range.0.clamp(0.0, 1.0), range.1.clamp(0.0, 1.0)),
            _ => range,
        };
        let ticks = match scale {
            Scale::Linear => linear_ticks(range),
            Scale::Share => share_ticks(range),
            Scale::Log10 => log_ticks(range),
        };
        Self {
            label: label.to_owned(),
            scale,
            range,
            ticks,
            grid: true,
        }
    }

    /// Takes these values, with these texts, as ticks.
    pub(super) fn with_ticks(mut self, ticks: &[(f64, String)]) -> Self {
        let tick =
            |(value, text): &(f64, String)| Some((self.scale.position(*value)?, text.clone()));
        self.ticks = ticks.iter().filter_map(tick).collect();
        self
    }

    /// The second lines of ticks, with their positions.
    fn second_lines(&self) -> impl Iterator<Item = (f64, &str)> {
        let ticks = self.ticks.iter();
        ticks.filter_map(|(at, text)| Some((*at, text.split_once('\n')?.1)))
    }

    fn widest_tick(&self) -> f64 {
        let texts = self.ticks.iter().map(|(_, text)| text);
        let widths = texts.map(|text| text_width(text, SMALL_SIZE));
        widths.fold(0.0, f64::max)
    }
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, position: &f64, (first, last): (i32, i32)) -> i32 {
        let share = (position - self.range.0) / (self.range.1 - self.range.0);
        first.saturating_add((share * f64::from(last - first)).round() as i32)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Every tick has a text; there are no lines between them.
        if hint.weight().allow_light_points() {
            return Vec::new();
        }
        self.ticks.iter().map(|tick| tick.0).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.0..self.range.1
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, position: &f64) -> String {
        let tick = self.ticks.iter().find(|tick| tick.0 == *position);
        let first_line = tick.and_then(|(_, text)| text.lines().next());
        first_line.unwrap_or_default().to_owned()
    }
}

/// The space above and to the left of the plotted area and the vertical axis, in pixels.
const TOP: f64 = 40.0;
const LEFT: f64 = 8.0;

/// Draws the axes `x` and `y` with their grid, `right` and `bottom` pixels from these borders,
/// and returns the function from values to pixels; a value without a place on its scale gives
/// `None`.
pub(super) fn draw_frame<'c>(
    canvas: &Canvas<'c>,
    x: &Axis,
    y: &Axis,
    (right, bottom): (f64, f64),
) -> Result<impl Fn(f64, f64) -> Option<Pixel> + use<'c>, DrawError> {
    let label_space = |axis: &Axis| if axis.label.is_empty() { 6.0 } else { 27.0 };
    let lines = 1 + usize::from(x.second_lines().next().is_some());
    let mut chart = ChartBuilder::on(&canvas.area)
        .margin_top(units(TOP))
        .margin_right(units(right))
        .margin_left(units(LEFT + label_space(y)))
        .margin_bottom(units(bottom + label_space(x)))
        .x_label_area_size(units(10.0 + 16.0 * lines as f64))
        .y_label_area_size(units(y.widest_tick() + 12.0))
        .build_cartesian_2d(x.clone(), y.clone())?;
    let mut mesh = chart.configure_mesh();
    if !y.grid {
        mesh.disable_y_mesh();
    }
    mesh.axis_style(stroke(INK.mix(0.7), 1.0))
        .bold_line_style(stroke(GRID, 1.0))
        .set_all_tick_mark_size(units(4.0))
        .light_line_style(TRANSPARENT)
        .label_style(font(SMALL_SIZE))
        .draw()?;

    // Both are coordinates of the whole figure, of which the canvas may be a part.
    let (columns, rows) = chart.plotting_area().get_pixel_range();
    let (left, top) = canvas.area.get_pixel_range();
    let (left, top) = (left.start, top.start);
    let columns = columns.start - left..columns.end - left;
    let rows = rows.start - top..rows.end - top;
    let middle = |range: Range<i32>| 0.5 * (pixels(range.start) + pixels(range.end));
    for (position, text) in x.second_lines() {
        let at = pixels(x.map(&position, (columns.start, columns.end)));
        let below = (at, pixels(rows.end) + 33.0);
        canvas.text(text, below, Align::Centre, SMALL_SIZE, &INK)?;
    }
    let below = (middle(columns.clone()), canvas.size().1 - bottom - 14.0);
    canvas.text(&x.label, below, Align::Centre, BODY_SIZE, &INK)?;
    let beside = (LEFT + 10.0, middle(rows));
    canvas.text(&y.label, beside, Align::UpwardsCentre, BODY_SIZE, &INK)?;

    let (x_scale, y_scale) = (x.scale, y.scale);
    Ok(move |x_value: f64, y_value: f64| {
        let position = (x_scale.position(x_value)?, y_scale.position(y_value)?);
        let (column, row) = chart.backend_coord(&position);
        Some((pixels(column - left), pixels(row - top)))
    })
}

/// Four to seven round numbers in the range.
fn linear_ticks((low, high): (f64, f64)) -> Vec<(f64, String)> {
    let rough = (high - low) / 6.0;
    let magnitude = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * magnitude)
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(10.0 * magnitude);
    // A little tolerance, so that the ends of 0..1 get their ticks.
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last)
        .map(|multiple| multiple as f64 * step)
        .map(|value| (value, number(value, step)))
        .collect()
}

/// Four to seven round numbers of percent in the range.
fn share_ticks((low, high): (f64, f64)) -> Vec<(f64, String)> {
    let ticks = linear_ticks((100.0 * low, 100.0 * high)).into_iter();
    let ticks = ticks.map(|(percent, text)| (percent / 100.0, format!("{text} %")));
    ticks.collect()
}

/// Powers of ten, and their multiples by two and five if there is room.
fn log_ticks((low, high): (f64, f64)) -> Vec<(f64, String)> {
    let factors: &[f64] = match high - low {
        decades if decades > 3.0 => &[1.0],
        decades if decades > 1.5 => &[1.0, 3.0],
        _ => &[1.0, 2.0, 5.0],
    };
    (low.floor() as i32..=high.ceil() as i32)
        .flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power)))
        .map(|value| (value.log10(), number(value, value)))
        .filter(|(position, _)| (low - 1e-9..=high + 1e-9).contains(position))
        .collect()
}

/// With three digits, or as many as a whole number has.
fn round(value: f64) -> String {
    let decimals = 2.0 - value.abs().max(1e-12).log10().floor();
    let factor = 10f64.powf(decimals.clamp(0.0, 12.0));
    ((value * factor).round() / factor).to_string()
}

/// `value` with the decimals that steps of `step` need.
fn number(value: f64, step: f64) -> String {
    let largest = value.abs().max(step.abs());
    if !(1e-3..1e6).contains(&largest) {
        if value == 0.0 {
            return "0".into();
        }
        // Without the zeros at the end of the mantissa.
        let text = format!("{value:.2e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
        return format!("{mantissa}e{exponent}");
    }
    let decimals = (0..8)
        .find(|decimals| {
            let scaled = step * 10f64.powi(*decimals);
            (scaled - scaled.round()).abs() < 1e-6 * scaled
        })
        .unwrap_or(8);
    format!("{value:.*}", decimals as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(ticks: &[(f64, String)]) -> Vec<&str> {
        ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn linear_ticks_are_round_and_include_the_ends() {
        for (range, expected) in [
            ((0.0, 1.0), &["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"][..]),
            ((0.0, 100.0), &["0", "20", "40", "60", "80", "100"]),
            ((3.9, 5.13), &["4.00", "4.25", "4.50", "4.75", "5.00"]),
            ((0.0, 4.2e-4), &["0", "1e-4", "2e-4", "3e-4", "4e-4"]),
            ((-2.0, 2.0), &["-2", "-1", "0", "1", "2"]),
        ] {
            assert_eq!(texts(&linear_ticks(range)), expected);
        }
    }

    #[test]
    fn log_ticks_suit_the_number_of_decades() {
        for (range, expected) in [
            ((-2.0, 0.0), &["0.01", "0.03", "0.1", "0.3", "1"][..]),
            ((0.0, 1.0), &["1", "2", "5", "10"]),
            ((-5.0, 0.0), &["1e-5", "1e-4", "0.001", "0.01", "0.1", "1"]),
        ] {
            assert_eq!(texts(&log_ticks(range)), expected);
        }
    }

    #[test]
    fn an_axis_has_room_for_everything_that_has_a_place_on_it() {
        let values = [f64::NAN, 2.0, f64::INFINITY, -1.0];
        let axis = Axis::around("", Scale::Linear, values.into_iter(), None);
        assert!(axis.range.0 < -1.0 && axis.range.1 > 2.0);
        // A half more or less is no other number than this one.
        let huge = Axis::around("", Scale::Linear, [1e33].into_iter(), None);
        assert_eq!(huge.map(&1e33, (0, 100)), 50);
        let ticks = huge.ticks.iter().map(|(at, _)| huge.map(at, (0, 100)));
        assert!(huge.ticks.len() > 2 && ticks.clone().all(|at| (0..=100).contains(&at)));
        let shares = Axis::around("", Scale::Linear, [0.5].into_iter(), Some((0.0, 1.0)));
        assert_eq!(shares.range, (0.0, 1.0));
        let log = Axis::around("", Scale::Log10, [0.0, 0.1, 10.0].into_iter(), None);
        assert!((log.range.0 + 1.06).abs() < 1e-9, "{:?}", log.range);
    }

    #[test]
    fn shares_stay_between_nothing_and_everything_and_are_shown_in_percent() {
        let axis = Axis::around("", Scale::Share, [0.15, 0.999].into_iter(), None);
        assert!(
            axis.range.0 > 0.1 && axis.range.1 == 1.0,
            "{:?}",
            axis.range
        );
        assert_eq!(
            texts(&axis.ticks),
            ["20 %", "40 %", "60 %", "80 %", "100 %"]
        );
        let none = Axis::around("", Scale::Share, [0.0].into_iter(), None);
        assert_eq!(none.range, (0.0, 0.5));
    }

    #[test]
    fn no_values_and_a_single_one_give_a_range_too() {
        let none = Axis::around("", Scale::Linear, std::iter::empty(), None);
        assert_eq!(none.range, (0.0, 1.0));
        let one = Axis::around("", Scale::Linear, [7.0].into_iter(), None);
        assert_eq!(one.range, (6.5, 7.5));
        assert!(!one.ticks.is_empty());
    }
}
