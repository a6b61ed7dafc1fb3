//! Comparisons as tables and figures.

use simclr_eval::analysis::Summary;
use simclr_report::plot::{self, BudgetPoint, Svg};
use simclr_report::{Cell as TableCell, Estimate, Table};

use crate::cell_result::{CellResult, ClassifierKind};
use crate::comparison::{Comparison, MethodResults};
use crate::error::Result;
use crate::percent::percent;

/// The columns that all tables of results begin with.
const FIRST_COLUMNS: [&str; 3] = ["method", "labels", "images with labels"];

impl Comparison {
    /// The accuracies: one row per method and label fraction, a column per classifier.
    ///
    /// # Errors
    /// Figures that are not finite.
    pub fn table(&self) -> Result<Table> {
        let is_used = |&kind: &ClassifierKind| {
            let mut cells = self.cells();
            cells.any(|(_, result)| result.report(kind).is_some())
        };
        let used: Vec<_> = ClassifierKind::ALL.into_iter().filter(is_used).collect();
        let caption = match self.pairs_per_fraction() {
            1 => "Accuracy on the test images, and its 95 % confidence interval.".to_owned(),
            pairs => format!(
                "Accuracy on the test images: mean ± standard deviation over {pairs} folds and \
                 seeds, and the 95 % confidence interval of the mean, for other test images and \
                 other training images alike."
            ),
        };
        let columns = used.iter().map(|kind| kind.name());
        let table =
            Table::new("results", caption).columns(FIRST_COLUMNS.into_iter().chain(columns));
        self.rows(table, |method, fraction| {
            let of_kind = |&kind: &ClassifierKind| {
                let repeats = self.repeats(&method.name, fraction, Some(kind))?;
                if repeats.is_empty() {
                    return Ok("".into());
                }
                Ok(Estimate::from(Summary::of_shares(&repeats)?).into())
            };
            used.iter().map(of_kind).collect()
        })
    }

    /// The F1 scores of the primary classifiers: one row per method and label fraction.
    ///
    /// # Errors
    /// Figures that are not finite.
    pub fn f1_table(&self) -> Result<Table> {
        let caption = "F1 on the test images, of logistic regression or of the trained network: \
                       weighted by the classes' sizes, and every class alike.";
        let columns = FIRST_COLUMNS.into_iter().chain(["weighted F1", "macro F1"]);
        self.rows(
            Table::new("f1", caption).columns(columns),
            |method, fraction| {
                let reports = || {
                    method
                        .with_fraction(fraction)
                        .map(CellResult::primary_report)
                };
                let weighted: Vec<f64> = reports().map(|report| report.weighted_f1).collect();
                let unweighted: Vec<f64> = reports().map(|report| report.macro_f1).collect();
                let cells = [Summary::of(&weighted)?, Summary::of(&unweighted)?];
                Ok(cells.map(|cell| Estimate::from(cell).into()).to_vec())
            },
        )
    }

    /// One row per pair of methods and label fraction.
    ///
    /// # Errors
    /// Figures that are not finite.
    pub fn paired_table(&self) -> Result<Table> {
        let caption = "Paired differences in accuracy in percentage points, the first method minus \
                       the second on the same seed, fold and labels: mean ± standard deviation \
                       and 95 % confidence interval, in how many pairs the first is ahead, and \
                       from five pairs on the p-value of the corrected resampled t test (Nadeau \
                       and Bengio 2003).";
        let columns = ["method", "against", "labels", "difference", "ahead", "p"];
        let table = Table::new("paired", caption).columns(columns);
        Ok(self.pairs()?.iter().fold(table, |table, pair| {
            let accuracy = &pair.accuracy;
            table.row([
                pair.method.as_str().into(),
                pair.baseline.as_str().into(),
                percent(pair.label_fraction).into(),
                TableCell::Difference(accuracy.difference.into()),
                format!("{} of {}", accuracy.wins, accuracy.difference.count).into(),
                accuracy.p_value.map_or_else(String::new, p_value).into(),
            ])
        }))
    }

    /// Accuracy over the fraction of labels, one line per method.
    ///
    /// # Errors
    /// [`Error::Report`](crate::Error::Report) if the drawing fails.
    pub fn label_efficiency(&self) -> Result<Svg> {
        let mut fractions = self.label_fractions();
        fractions.sort_by(f64::total_cmp);
        let line = |method: &MethodResults| {
            let point = |&fraction: &f64| {
                let accuracy = self.accuracy(&method.name, fraction)?;
                Ok(BudgetPoint {
                    fraction,
                    mean: accuracy.mean,
                    interval: accuracy.interval,
                })
            };
            Ok(plot::LabelEfficiencyCurve {
                name: method.name.clone(),
                points: fractions.iter().map(point).collect::<Result<_>>()?,
            })
        };
        let lines = self
            .methods()
            .iter()
            .map(line)
            .collect::<Result<Vec<_>>>()?;
        Ok(plot::label_efficiency(
            "Accuracy over the fraction of labels",
            "accuracy",
            &lines,
        )?)
    }

    /// Accuracy over a number that belongs to each method, such as how many unlabelled images
    /// it has seen, one line per label fraction. The methods may stand in any order.
    ///
    /// # Errors
    /// A method that is not there; [`Error::Report`](crate::Error::Report) if the drawing
    /// fails.
    pub fn curve(&self, title: &str, x_label: &str, methods: &[(f64, String)]) -> Result<Svg> {
        let mut chart = plot::LineChart::new(title)
            .x_label(x_label)
            .y_label("accuracy");
        let mut methods: Vec<&(f64, String)> = methods.iter().collect();
        methods.sort_by(|(first, _), (second, _)| first.total_cmp(second));
        let last = methods.last().map_or(0.0, |(x, _)| *x);
        for (index, fraction) in self.label_fractions().into_iter().enumerate() {
            let mut points = Vec::new();
            let mut intervals = Vec::new();
            for (x, method) in &methods {
                let accuracy = self.accuracy(method, fraction)?;
                // A little apart, so that the intervals do not cover each other.
                let x = x + 0.008 * last * index as f64;
                points.push((x, accuracy.mean));
                intervals.extend(accuracy.interval.map(|(low, high)| (x, low, high)));
            }
            let name = format!("{} of the labels", percent(fraction));
            let series = plot::Series::new(name, points).markers();
            chart = chart.series(series.intervals(intervals));
        }
        Ok(chart.render()?)
    }

    /// A row per method and label fraction: the first columns, then `cells`.
    fn rows(
        &self,
        mut table: Table,
        cells: impl Fn(&MethodResults, f64) -> Result<Vec<TableCell>>,
    ) -> Result<Table> {
        for method in self.methods() {
            for fraction in self.label_fractions() {
                let first = method.with_fraction(fraction).next();
                let images = first.map_or(0, |result| result.train_images);
                let columns = [
                    method.name.as_str().into(),
                    percent(fraction).into(),
                    images.into(),
                ];
                table = table.row(columns.into_iter().chain(cells(method, fraction)?));
            }
        }
        Ok(table)
    }
}

/// Three decimals; what they would show as zero is not zero.
fn p_value(p: f64) -> String {
    if p < 0.001 {
        "< 0.001".to_owned()
    } else {
        format!("{p:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_p_value_is_not_shown_as_zero() {
        assert_eq!(p_value(0.0004), "< 0.001");
        assert_eq!(p_value(0.0312), "0.031");
    }
}
