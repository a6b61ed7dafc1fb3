//! What a table cell holds, for people and for programs.

/// A cell of a [`Table`](super::Table).
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Words.
    Text(String),
    /// A whole number.
    Count(u64),
    /// A number, shown with three decimals.
    Number(f64),
    /// A share of one, shown in percent.
    Share(f64),
    /// A share of one over folds and seeds, shown in percent with its standard
    /// deviation and confidence interval.
    Estimate(Estimate),
    /// A difference between two shares of one, shown in percentage points.
    Difference(Estimate),
}

/// A mean over repeated measurements, with what is known of its spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// How many measurements.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation.
    pub standard_deviation: Option<f64>,
    /// The ends of the mean's confidence interval.
    pub interval: Option<(f64, f64)>,
}

impl Estimate {
    /// The mean with its deviation.
    fn mean(&self, unit: &str) -> String {
        let mut text = hundredths(self.mean);
        if let Some(deviation) = self.standard_deviation {
            text += &format!(" ± {}", hundredths(deviation));
        }
        format!("{text} {unit}")
    }

    /// The interval without a unit: "48.0 to 60.1".
    fn interval(&self) -> Option<String> {
        let (low, high) = self.interval?;
        Some(format!("{} to {}", hundredths(low), hundredths(high)))
    }
}

/// In percent with one decimal; zero has no sign.
fn hundredths(share: f64) -> String {
    let text = format!("{:.1}", 100.0 * share);
    if text == "-0.0" { "0.0".into() } else { text }
}

impl Cell {
    /// A share of one, shown in percent.
    pub fn share(value: f64) -> Self {
        Self::Share(value)
    }

    /// What people read in one line.
    pub(crate) fn show(&self) -> String {
        match self.lines() {
            (first, Some(second)) => format!("{first} ({second})"),
            (first, None) => first,
        }
    }

    /// What people read, an interval in a line of its own.
    pub(crate) fn lines(&self) -> (String, Option<String>) {
        let first = match self {
            Self::Text(text) => text.clone(),
            Self::Count(count) => count.to_string(),
            // What rounds to nothing has no sign.
            Self::Number(number) if number.abs() < 5e-4 => "0.000".to_owned(),
            Self::Number(number) => format!("{number:.3}"),
            Self::Share(share) => percent(*share),
            Self::Estimate(estimate) => estimate.mean("%"),
            Self::Difference(estimate) => estimate.mean("points"),
        };
        let second = match self {
            Self::Estimate(estimate) | Self::Difference(estimate) => estimate.interval(),
            _ => None,
        };
        (first, second)
    }

    /// What programs read: [`CSV_PARTS`] cells for a column of estimates, one
    /// for any other.
    pub(super) fn csv(&self, estimates: bool) -> Vec<String> {
        let plain = match self {
            Self::Text(text) => text.clone(),
            Self::Count(count) => count.to_string(),
            Self::Number(value) | Self::Share(value) => value.to_string(),
            Self::Estimate(estimate) | Self::Difference(estimate) => estimate.mean.to_string(),
        };
        if !estimates {
            return vec![plain];
        }
        let mut cells = vec![plain];
        if let Self::Estimate(estimate) | Self::Difference(estimate) = self {
            let show = |value: Option<f64>| value.map_or_else(String::new, |v| v.to_string());
            let (low, high) = estimate.interval.unzip();
            cells.extend([estimate.standard_deviation, low, high].map(show));
            cells.push(estimate.count.to_string());
        }
        cells.resize(CSV_PARTS.len(), String::new());
        cells
    }

    pub(super) fn is_estimate(&self) -> bool {
        matches!(self, Self::Estimate(_) | Self::Difference(_))
    }

    pub(super) fn is_number(&self) -> bool {
        // An empty cell does not make a column of numbers one of words.
        !matches!(self, Self::Text(text) if !text.is_empty())
    }
}

/// What the columns that an estimate takes in CSV are called after the column's
/// own name.
pub(super) const CSV_PARTS: [&str; 5] = [
    "",
    " standard deviation",
    " interval low",
    " interval high",
    " count",
];

/// A share of one in percent, with one decimal.
pub fn percent(share: f64) -> String {
    format!("{} %", hundredths(share))
}

/// A share of one in percent without needless zeros, such as `25 %` and `33.3 %`: one decimal at
/// most, and below 1 % two digits, such as `0.025 %`.
pub fn short_percent(share: f64) -> String {
    let percent = 100.0 * share;
    let decimals = (1.0 - percent.log10().floor()).clamp(1.0, 6.0) as usize;
    let text = format!("{percent:.decimals$}");
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// The kind of cell that a value becomes.
macro_rules! from {
    ($($type:ty: $value:ident => $cell:expr;)*) => { $(
        impl From<$type> for Cell {
            fn from($value: $type) -> Self {
                $cell
            }
        }
    )* };
}
from! {
    &str: text => Self::Text(text.to_owned());
    String: text => Self::Text(text);
    u64: count => Self::Count(count);
    usize: count => Self::Count(count as u64);
    f64: number => Self::Number(number);
    Estimate: estimate => Self::Estimate(estimate);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_is_shown_with_what_is_known() {
        let one = Estimate {
            count: 1,
            mean: 0.8,
            standard_deviation: None,
            interval: None,
        };
        assert_eq!(Cell::from(one).show(), "80.0 %");
        assert_eq!(Cell::from(one).csv(true), ["0.8", "", "", "", "1"]);
        let three = Cell::from(Estimate {
            count: 3,
            mean: 0.83,
            standard_deviation: Some(0.03),
            interval: Some((0.7555, 0.9045)),
        });
        assert_eq!(three.show(), "83.0 ± 3.0 % (75.5 to 90.5)");
    }

    #[test]
    fn differences_are_points_and_zero_has_no_sign() {
        let estimate = Estimate {
            count: 5,
            mean: -0.0004,
            standard_deviation: Some(0.01),
            interval: Some((-0.02, 0.0192)),
        };
        let shown = Cell::Difference(estimate).show();
        assert_eq!(shown, "0.0 ± 1.0 points (-2.0 to 1.9)");
    }

    #[test]
    fn no_share_but_zero_is_shown_as_zero() {
        for (share, shown) in [
            (0.0, "0 %"),
            (1e-16, "0 %"),
            (0.00025, "0.025 %"),
            (0.0005, "0.05 %"),
            (0.0123, "1.2 %"),
            (0.1, "10 %"),
            (0.675, "67.5 %"),
            (1.0 / 3.0, "33.3 %"),
            (1.0, "100 %"),
        ] {
            assert_eq!(short_percent(share), shown);
        }
    }

    #[test]
    fn programs_get_all_the_digits() {
        assert_eq!(Cell::share(1.0 / 3.0).show(), "33.3 %");
        assert_eq!(Cell::share(1.0 / 3.0).csv(false), ["0.3333333333333333"]);
        assert_eq!(Cell::from(7usize).csv(true), ["7", "", "", "", ""]);
    }
}
