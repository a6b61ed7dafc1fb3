//! Comparisons as tables and figures.

use std::collections::BTreeSet;

use simclr_data::Seed;
use simclr_eval::analysis::Summary;
use simclr_report::plot::{self, BudgetPoint, Svg};
use simclr_report::{Cell as TableCell, Estimate, ImageCount, Table, short_percent};

use crate::cell_result::{CellResult, ClassifierKind};
use crate::comparison::{Comparison, MethodResults};
use crate::error::Result;

/// What a method's figures are of.
pub(crate) const PRIMARY: &str =
    "logistic regression on frozen features, or of a network that was trained with the labels";

/// The columns that all tables of results begin with.
const FIRST_COLUMNS: [&str; 3] = ["method", "labels", "images with labels"];

impl Comparison {
    /// The accuracies of the primary classifiers: a row per method, a column per label fraction.
    ///
    /// # Errors
    /// Figures that are not finite.
    pub fn summary_table(&self) -> Result<Table> {
        let caption = format!(
            "Accuracy on the test images of {PRIMARY}{}, by the share of the labels used.",
            self.spread()
        );
        let columns = std::iter::once("method".to_owned()).chain(self.budgets());
        let table = Table::new("accuracy", caption).columns(columns);
        self.methods().iter().try_fold(table, |table, method| {
            let mut row = vec![method.name.as_str().into()];
            for fraction in self.label_fractions() {
                row.push(Estimate::from(self.accuracy(&method.name, fraction)?).into());
            }
            Ok(table.row(row))
        })
    }

    /// The differences of [`paired_table`](Self::paired_table) alone: a row per pair of methods,
    /// a column per label fraction.
    ///
    /// # Errors
    /// Figures that are not finite.
    pub fn difference_table(&self) -> Result<Table> {
        let caption = format!(
            "Differences in accuracy in percentage points, the first method minus the second on \
             the same test images{}.",
            self.spread()
        );
        let columns = std::iter::once("methods".to_owned()).chain(self.budgets());
        let mut table = Table::new("differences", caption).columns(columns);
        let pairs = self.pairs()?;
        for of_methods in pairs.chunks(self.label_fractions().len()) {
            if let Some(first) = of_methods.first() {
                let methods = format!("{} − {}", first.method, first.baseline);
                let differences = of_methods.iter().map(|pair| pair.accuracy.difference);
                let cells = differences.map(|difference| TableCell::Difference(difference.into()));
                table = table.row(std::iter::once(methods.into()).chain(cells));
            }
        }
        Ok(table)
    }

    /// What the figures of a cell are means over, and what stands below them.
    fn spread(&self) -> String {
        let spread = match self.pairs_per_fraction() {
            1 => ", and its 95 % confidence interval".to_owned(),
            pairs => format!(
                ": mean ± standard deviation over {pairs} folds and seeds, and the 95 % \
                 confidence interval of the mean"
            ),
        };
        let seeds: BTreeSet<Seed> = self.cells().map(|(cell, _)| cell.seed).collect();
        match seeds.len() {
            1 => spread + " (of one seed: not of networks that other seeds would train)",
            _ => spread,
        }
    }

    /// The label fractions with their images, as the headings of columns.
    fn budgets(&self) -> Vec<String> {
        let fractions = self.label_fractions().into_iter();
        let name = |fraction| {
            let images = self.train_images(fraction);
            format!("{} ({images} images)", short_percent(fraction))
        };
        fractions.map(name).collect()
    }

    /// How many images have labels at a label fraction, in all folds of all seeds.
    pub(crate) fn train_images(&self, fraction: f64) -> ImageCount {
        let methods = self.methods().iter();
        let results = methods.flat_map(|method| method.with_fraction(fraction));
        ImageCount::of(results.map(|result| result.train_images))
    }

    /// The accuracies that need no images: of chance, and of always saying the most frequent
    /// class of the test images.
    pub(crate) fn baselines(&self) -> Vec<(String, f64)> {
        let Some(method) = self.methods().first() else {
            return Vec::new();
        };
        let reports = || {
            method
                .cells
                .iter()
                .map(|(_, result)| result.primary_report())
        };
        let names = reports()
            .next()
            .map_or(&[][..], |report| &report.class_names);
        let count = |class: usize| -> u64 {
            let scores = reports().filter_map(|report| report.per_class.get(class));
            scores.map(|scores| scores.support).sum()
        };
        let counts: Vec<u64> = (0..names.len()).map(count).collect();
        let most = counts.iter().copied().max().unwrap_or(0);
        let chance = 1.0 / names.len().max(1) as f64;
        let majority = most as f64 / counts.iter().sum::<u64>().max(1) as f64;
        let mut named = names
            .iter()
            .zip(&counts)
            .filter(|(_, count)| **count == most);
        match (named.next(), named.next()) {
            (Some((name, _)), None) => vec![
                ("chance".to_owned(), chance),
                (format!("majority class (always \"{name}\")"), majority),
            ],
            _ if majority > chance + 1e-9 => vec![
                ("chance".to_owned(), chance),
                ("majority class (one of several)".to_owned(), majority),
            ],
            _ => vec![("chance (all classes are of one size)".to_owned(), chance)],
        }
    }

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
        let caption = format!(
            "Accuracy on the test images{}, for other test images and other training images alike.",
            self.spread()
        );
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
        let caption = format!(
            "F1 on the test images of {PRIMARY}: weighted by the classes' sizes, and every class \
             alike."
        );
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
                       from five pairs on a p-value, corrected for training images that pairs \
                       share (Nadeau and Bengio 2003).";
        let columns = ["method", "against", "labels", "difference", "ahead", "p"];
        let table = Table::new("paired", caption).columns(columns);
        Ok(self.pairs()?.iter().fold(table, |table, pair| {
            let accuracy = &pair.accuracy;
            table.row([
                pair.method.as_str().into(),
                pair.baseline.as_str().into(),
                short_percent(pair.label_fraction).into(),
                TableCell::Difference(accuracy.difference.into()),
                format!("{} of {}", accuracy.wins, accuracy.difference.count).into(),
                accuracy.p_value.map_or_else(String::new, p_value).into(),
            ])
        }))
    }

    /// Accuracy over the fraction of labels, one line per method, and lines for chance and the
    /// majority class.
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
                    images: self.train_images(fraction),
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
            &self.baselines(),
        )?)
    }

    /// The accuracies at one label fraction as bars, one per method, chance and majority class.
    ///
    /// # Errors
    /// A label fraction that was not tried; [`Error::Report`](crate::Error::Report) if the drawing
    /// fails.
    pub fn bars(&self, fraction: f64) -> Result<Svg> {
        let mut bars = Vec::new();
        for method in self.methods() {
            bars.push((
                method.name.clone(),
                self.accuracy(&method.name, fraction)?.mean,
            ));
        }
        let (names, means) = bars.into_iter().chain(self.baselines()).unzip();
        let title = format!("Accuracy with {} of the labels", short_percent(fraction));
        let chart = plot::BarChart::new(title, names).shares();
        Ok(chart
            .x_label("accuracy")
            .measure("accuracy", means)
            .render()?)
    }

    /// Accuracy over a number that belongs to each method, such as how many unlabelled images
    /// it has seen, one line per label fraction, and lines for chance and the majority class. The
    /// methods may stand in any order.
    ///
    /// # Errors
    /// A method that is not there; [`Error::Report`](crate::Error::Report) if the drawing
    /// fails.
    pub fn curve(&self, title: &str, x_label: &str, methods: &[(f64, String)]) -> Result<Svg> {
        let mut chart = plot::LineChart::new(title)
            .x_label(x_label)
            .y_label("accuracy")
            .share_y();
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
            let name = format!("{} of the labels", short_percent(fraction));
            let series = plot::Series::new(name, points).markers();
            chart = chart.series(series.intervals(intervals));
        }
        let first = methods.first().map_or(0.0, |(x, _)| *x);
        for (name, accuracy) in self.baselines() {
            let line = vec![(first, accuracy), (last, accuracy)];
            chart = chart.series(plot::Series::new(name, line).reference());
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
                let results = method.with_fraction(fraction);
                let images = ImageCount::of(results.map(|result| result.train_images));
                let columns = [
                    method.name.as_str().into(),
                    short_percent(fraction).into(),
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
