//! Arms side by side: means, spreads, intervals and paired differences.

use serde::Serialize;

use super::{Cell, Measure, Outcome};
use crate::{Error, Result};
use simclr_eval::analysis::{PairedComparison, Summary};
use simclr_report::plot::{self, BudgetPoint, Svg};
use simclr_report::{Cell as TableCell, Table};

/// The finished cells of an arm.
#[derive(Debug, Clone, PartialEq)]
pub struct ArmResults {
    /// The arm.
    pub name: String,
    /// Its cells, in the order of the grid.
    pub cells: Vec<(Cell, Outcome)>,
}

impl ArmResults {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            cells: Vec::new(),
        }
    }

    /// The cells with one label fraction, over seeds and folds.
    fn with_fraction(&self, fraction: f64) -> impl Iterator<Item = &Outcome> {
        let cells = self.cells.iter();
        let cells = cells.filter(move |(cell, _)| cell.label_fraction == fraction);
        cells.map(|(_, outcome)| outcome)
    }
}

/// Arms that were tried on the same folds, seeds and label fractions.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    arms: Vec<ArmResults>,
}

/// Two arms at one label fraction: the second minus the first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairedRow {
    /// The arm that is compared with.
    pub baseline: String,
    /// The arm that is compared.
    pub arm: String,
    /// The part of the labels.
    pub label_fraction: f64,
    /// The differences in accuracy, `arm` minus `baseline`, pair by pair.
    pub accuracy: PairedComparison,
}

impl Comparison {
    /// Compares these arms.
    ///
    /// # Errors
    /// No arms, or arms that were tried on different cells.
    pub fn new(arms: Vec<ArmResults>) -> Result<Self> {
        let wrong = |reason: String| {
            Error::setting("comparison of arms", "results of the same cells", reason)
        };
        let Some(first) = arms.first() else {
            return Err(wrong("there is no arm".into()));
        };
        let grid = |arm: &ArmResults| -> Vec<(u64, usize, f64)> {
            let cells = arm.cells.iter();
            cells
                .map(|(cell, _)| (cell.seed, cell.fold, cell.label_fraction))
                .collect()
        };
        if let Some(other) = arms.iter().find(|arm| grid(arm) != grid(first)) {
            let (first, other) = (&first.name, &other.name);
            return Err(wrong(format!(
                "\"{first}\" and \"{other}\" have different cells"
            )));
        }
        Ok(Self { arms })
    }

    /// The arms in order.
    pub fn arms(&self) -> &[ArmResults] {
        &self.arms
    }

    /// The label fractions, in the order in which they were tried.
    pub fn label_fractions(&self) -> Vec<f64> {
        let mut fractions: Vec<f64> = Vec::new();
        for (cell, _) in self.arms.iter().flat_map(|arm| &arm.cells) {
            if !fractions.contains(&cell.label_fraction) {
                fractions.push(cell.label_fraction);
            }
        }
        fractions
    }

    /// The accuracies of an arm's own classifier at one label fraction, by seed and fold:
    /// logistic regression on frozen features, or the trained network.
    ///
    /// # Errors
    /// An arm or label fraction that is not there.
    pub fn accuracies(&self, arm: &str, fraction: f64) -> Result<Vec<f64>> {
        let found = self.arms.iter().find(|known| known.name == arm);
        let found = found.ok_or_else(|| Error::setting("arm", "one of the comparison", arm))?;
        let outcomes = found.with_fraction(fraction);
        let values: Vec<f64> = outcomes.map(|o| o.headline_report().accuracy).collect();
        match values.is_empty() {
            true => Err(Error::setting(
                "label fraction",
                "one that was tried",
                fraction,
            )),
            false => Ok(values),
        }
    }

    /// Mean, deviation and interval of [`accuracies`](Self::accuracies).
    ///
    /// # Errors
    /// As [`accuracies`](Self::accuracies).
    pub fn accuracy(&self, arm: &str, fraction: f64) -> Result<Summary> {
        Ok(Summary::of(&self.accuracies(arm, fraction)?)?)
    }

    /// Two arms pair by pair: the same seed, fold and labels.
    ///
    /// # Errors
    /// As [`accuracies`](Self::accuracies).
    pub fn paired(&self, baseline: &str, arm: &str, fraction: f64) -> Result<PairedRow> {
        let (first, second) = (
            self.accuracies(arm, fraction)?,
            self.accuracies(baseline, fraction)?,
        );
        Ok(PairedRow {
            baseline: baseline.to_owned(),
            arm: arm.to_owned(),
            label_fraction: fraction,
            accuracy: PairedComparison::of(&first, &second)?,
        })
    }

    /// Every arm against every one before it, at every label fraction.
    ///
    /// # Errors
    /// Figures that are not finite.
    pub fn pairs(&self) -> Result<Vec<PairedRow>> {
        let mut rows = Vec::new();
        for (index, arm) in self.arms.iter().enumerate() {
            for baseline in self.arms.iter().take(index) {
                for fraction in self.label_fractions() {
                    rows.push(self.paired(&baseline.name, &arm.name, fraction)?);
                }
            }
        }
        Ok(rows)
    }

    /// One row per arm and label fraction, a column per classifier.
    ///
    /// # Errors
    /// Figures that are not finite.
    pub fn table(&self) -> Result<Table> {
        let used: Vec<Measure> = Measure::ALL
            .into_iter()
            .filter(|&measure| self.outcomes().any(|o| o.report(measure).is_some()))
            .collect();
        let caption = match self.pairs_per_fraction() {
            1 => "Accuracy on the test images.".to_owned(),
            pairs => format!(
                "Accuracy on the test images: mean ± standard deviation over {pairs} folds and \
                 seeds, and the 95 % confidence interval of the mean."
            ),
        };
        let columns = used.iter().map(|measure| measure.name());
        let table =
            Table::new("results", caption).columns(FIRST_COLUMNS.into_iter().chain(columns));
        self.rows(table, |outcomes| {
            let of_measure = |&measure: &Measure| {
                let reports = outcomes.iter().filter_map(|o| o.report(measure));
                let values: Vec<f64> = reports.map(|report| report.accuracy).collect();
                match values.is_empty() {
                    true => Ok("".into()),
                    false => summary(&values),
                }
            };
            used.iter().map(of_measure).collect()
        })
    }

    /// One row per arm and label fraction, with the F1 scores of the classifier that stands
    /// for the arm.
    ///
    /// # Errors
    /// Figures that are not finite.
    pub fn f1_table(&self) -> Result<Table> {
        let caption = "F1 on the test images, of logistic regression or of the trained network: \
                       weighted by the classes' sizes, and every class alike.";
        let columns = FIRST_COLUMNS.into_iter().chain(["weighted F1", "macro F1"]);
        self.rows(Table::new("f1", caption).columns(columns), |outcomes| {
            let reports = || outcomes.iter().map(|o| o.headline_report());
            let weighted: Vec<f64> = reports().map(|report| report.weighted_f1).collect();
            let unweighted: Vec<f64> = reports().map(|report| report.macro_f1).collect();
            Ok(vec![summary(&weighted)?, summary(&unweighted)?])
        })
    }

    /// A row per arm and label fraction: what all tables begin with, then `cells`.
    fn rows(
        &self,
        mut table: Table,
        cells: impl Fn(&[&Outcome]) -> Result<Vec<TableCell>>,
    ) -> Result<Table> {
        for arm in &self.arms {
            for fraction in self.label_fractions() {
                let outcomes: Vec<&Outcome> = arm.with_fraction(fraction).collect();
                let images = outcomes.first().map_or(0, |outcome| outcome.train_images);
                let first = [
                    arm.name.as_str().into(),
                    percent(fraction).into(),
                    images.into(),
                ];
                table = table.row(first.into_iter().chain(cells(&outcomes)?));
            }
        }
        Ok(table)
    }

    /// Seeds times folds.
    fn pairs_per_fraction(&self) -> usize {
        let cells = self.arms.first().map_or(0, |arm| arm.cells.len());
        cells / self.label_fractions().len().max(1)
    }

    /// One row per pair of arms and label fraction.
    ///
    /// # Errors
    /// Figures that are not finite.
    pub fn paired_table(&self) -> Result<Table> {
        let caption = "Paired differences in accuracy, the first arm minus the second on the same \
                       seed, fold and labels: mean ± standard deviation and 95 % confidence \
                       interval, in how many pairs the first is ahead, and the p-value of a \
                       paired t test. Folds share training images, so intervals are somewhat too \
                       narrow.";
        let columns = ["arm", "against", "labels", "difference", "ahead", "p"];
        let table = Table::new("paired", caption).columns(columns);
        Ok(self.pairs()?.iter().fold(table, |table, pair| {
            let found = &pair.accuracy;
            table.row([
                pair.arm.as_str().into(),
                pair.baseline.as_str().into(),
                percent(pair.label_fraction).into(),
                found.difference.into(),
                format!("{} of {}", found.wins, found.difference.count).into(),
                found
                    .p_value
                    .map_or_else(|| "".into(), |p| p_value(p).into()),
            ])
        }))
    }

    /// Accuracy over the share of labels, one line per arm.
    ///
    /// # Errors
    /// [`Error::Plot`] if the drawing fails.
    pub fn label_efficiency(&self) -> Result<Svg> {
        let arm = |arm: &ArmResults| {
            let point = |&fraction: &f64| {
                let found = self.accuracy(&arm.name, fraction)?;
                Ok(BudgetPoint {
                    fraction,
                    mean: found.mean,
                    interval: found.interval,
                })
            };
            Ok(plot::Arm {
                name: arm.name.clone(),
                points: self
                    .sorted_fractions()
                    .iter()
                    .map(point)
                    .collect::<Result<_>>()?,
            })
        };
        let arms = self.arms.iter().map(arm).collect::<Result<Vec<_>>>()?;
        Ok(plot::label_efficiency(
            "Accuracy over the share of labels",
            "accuracy",
            &arms,
        )?)
    }

    /// Accuracy over a number that belongs to each arm, such as how many unlabelled images
    /// it has seen, one line per label fraction. The arms may stand in any order.
    ///
    /// # Errors
    /// An arm that is not there; [`Error::Plot`] if the drawing fails.
    pub fn curve(&self, title: &str, x_label: &str, arms: &[(f64, String)]) -> Result<Svg> {
        let mut chart = plot::LineChart::new(title)
            .x_label(x_label)
            .y_label("accuracy");
        let mut arms: Vec<&(f64, String)> = arms.iter().collect();
        arms.sort_by(|(first, _), (second, _)| first.total_cmp(second));
        let last = arms.last().map_or(0.0, |(x, _)| *x);
        for (index, fraction) in self.label_fractions().into_iter().enumerate() {
            let mut points = Vec::new();
            let mut intervals = Vec::new();
            for (x, arm) in &arms {
                let found = self.accuracy(arm, fraction)?;
                // A little apart, so that the intervals do not cover each other.
                let x = x + 0.008 * last * index as f64;
                points.push((x, found.mean));
                intervals.extend(found.interval.map(|(low, high)| (x, low, high)));
            }
            let name = format!("{} of the labels", percent(fraction));
            let series = plot::Series::new(name, points).markers();
            chart = chart.series(series.intervals(intervals));
        }
        Ok(chart.render()?)
    }

    fn sorted_fractions(&self) -> Vec<f64> {
        let mut fractions = self.label_fractions();
        fractions.sort_by(f64::total_cmp);
        fractions
    }

    fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        let cells = self.arms.iter().flat_map(|arm| &arm.cells);
        cells.map(|(_, outcome)| outcome)
    }
}

/// What tables of results begin with.
const FIRST_COLUMNS: [&str; 3] = ["arm", "labels", "images with labels"];

fn summary(values: &[f64]) -> Result<TableCell> {
    Ok(match values {
        [value] => TableCell::share(*value),
        _ => Summary::of(values)?.into(),
    })
}

/// Three decimals; what they would show as zero is not zero.
fn p_value(p: f64) -> String {
    match p < 0.001 {
        true => "< 0.001".to_owned(),
        false => format!("{p:.3}"),
    }
}

/// `25 %`, with at most one decimal.
pub(super) fn percent(fraction: f64) -> String {
    format!("{} %", (1000.0 * fraction).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Found, NetworkReport};
    use simclr_eval::metrics::ClassificationReport;

    /// A network that has `hits` of ten test images right.
    fn outcome(hits: usize) -> Outcome {
        let names = ["none", "crack"].map(str::to_owned);
        let labels: Vec<u32> = (0..10).map(|i| i % 2).collect();
        let score = |(index, &label): (usize, &u32)| {
            let said_none = (label == 0) == (index < hits);
            if said_none { [1.0, 0.0] } else { [0.0, 1.0] }
        };
        let test_scores: Vec<f32> = labels.iter().enumerate().flat_map(score).collect();
        Outcome {
            train_images: 8,
            found: Found::Network(Box::new(NetworkReport {
                test: ClassificationReport::new(&test_scores, &labels, &names).unwrap(),
                test_scores,
            })),
        }
    }

    fn arm(name: &str, hits: &[usize]) -> ArmResults {
        let cell = |(fold, &hits): (usize, &usize)| {
            let cell = Cell {
                arm: name.into(),
                seed: 1,
                fold,
                label_fraction: 0.25,
            };
            (cell, outcome(hits))
        };
        ArmResults {
            name: name.into(),
            cells: hits.iter().enumerate().map(cell).collect(),
        }
    }

    #[test]
    fn arms_are_summed_up_and_compared_pair_by_pair() {
        let arms = vec![arm("untrained", &[4, 5, 6]), arm("trained", &[6, 7, 8])];
        let comparison = Comparison::new(arms).unwrap();
        let found = comparison.accuracy("untrained", 0.25).unwrap();
        assert!((found.mean - 0.5).abs() < 1e-12 && found.count == 3);
        assert!((found.standard_deviation.unwrap() - 0.1).abs() < 1e-12);
        let pair = comparison.paired("untrained", "trained", 0.25).unwrap();
        // The folds differ, the differences do not.
        assert!((pair.accuracy.difference.mean - 0.2).abs() < 1e-12);
        assert!(pair.accuracy.difference.standard_deviation.unwrap() < 1e-12);
        assert_eq!(pair.accuracy.wins, 3);
        let table = comparison.table().unwrap().to_string();
        assert!(
            table.contains("whole network") && !table.contains("linear probe"),
            "{table}"
        );
        assert!(
            table.contains("70.0 ± 10.0 %") && table.contains("25 %"),
            "{table}"
        );
        let paired = comparison.paired_table().unwrap().to_string();
        assert!(paired.contains("3 of 3"), "{paired}");
        let figure = comparison.label_efficiency().unwrap();
        assert!(figure.as_str().contains("trained"));
    }

    #[test]
    fn a_curve_goes_from_left_to_right_whatever_the_order_of_the_arms() {
        let arms = vec![
            arm("all", &[8, 9]),
            arm("none", &[4, 5]),
            arm("few", &[6, 6]),
        ];
        let comparison = Comparison::new(arms).unwrap();
        let curve = |order: &[(f64, &str)]| {
            let points = order.iter().map(|&(x, name)| (x, name.to_owned()));
            let points: Vec<_> = points.collect();
            comparison.curve("Curve", "images", &points).unwrap()
        };
        let sorted = curve(&[(0.0, "none"), (10.0, "few"), (50.0, "all")]);
        let shuffled = curve(&[(50.0, "all"), (0.0, "none"), (10.0, "few")]);
        assert_eq!(sorted.as_str(), shuffled.as_str());
    }

    #[test]
    fn a_small_p_value_is_not_shown_as_zero() {
        assert_eq!(p_value(0.0004), "< 0.001");
        assert_eq!(p_value(0.0312), "0.031");
    }

    #[test]
    fn arms_of_different_cells_and_unknown_ones_are_refused() {
        let arms = vec![arm("untrained", &[4, 5, 6]), arm("trained", &[6, 7])];
        let error = Comparison::new(arms).unwrap_err().to_string();
        assert!(error.contains("\"untrained\" and \"trained\""), "{error}");
        assert!(Comparison::new(Vec::new()).is_err());
        let comparison = Comparison::new(vec![arm("untrained", &[4])]).unwrap();
        assert!(comparison.accuracy("untrained", 0.5).is_err());
        let error = comparison.accuracy("nobody", 0.25).unwrap_err().to_string();
        assert!(error.contains("nobody"), "{error}");
    }
}
