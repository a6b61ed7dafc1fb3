//! Methods side by side: means, spreads, intervals and paired differences.

use serde::Serialize;
use simclr_eval::analysis::{PairedComparison, Repeat, Summary};

use crate::cell::Cell;
use crate::cell_result::{CellResult, ClassifierKind};
use crate::error::{Error, Result};

/// The finished cells of a method.
#[derive(Debug, Clone, PartialEq)]
pub struct MethodResults {
    /// The method.
    pub name: String,
    /// Its cells, in the order of the grid.
    pub cells: Vec<(Cell, CellResult)>,
}

impl MethodResults {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            cells: Vec::new(),
        }
    }

    /// The results with one label fraction, over seeds and folds.
    pub(crate) fn with_fraction(&self, fraction: f64) -> impl Iterator<Item = &CellResult> {
        let cells = self.cells.iter();
        let cells = cells.filter(move |(cell, _)| cell.label_fraction == fraction);
        cells.map(|(_, result)| result)
    }
}

/// The images of a cell, which every method has in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellImages {
    /// Those that it trains on with their labels.
    pub train: Vec<usize>,
    /// The unit of each test image: its own, or that of its group.
    pub test_units: Vec<usize>,
}

/// Methods that were tried on the same folds, seeds and label fractions.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    methods: Vec<MethodResults>,
    images: Vec<CellImages>,
}

/// Two methods at one label fraction: the second minus the first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairedDifference {
    /// The method that is compared with.
    pub baseline: String,
    /// The method that is compared.
    pub method: String,
    /// The fraction of the labels.
    pub label_fraction: f64,
    /// The differences in accuracy, `method` minus `baseline`, pair by pair.
    pub accuracy: PairedComparison,
}

impl Comparison {
    /// Compares these methods; `images` has an entry for each cell of a method.
    ///
    /// # Errors
    /// No methods, methods that were tried on different cells, or images of other cells.
    pub fn new(methods: Vec<MethodResults>, images: Vec<CellImages>) -> Result<Self> {
        let wrong = |found: String| {
            Error::setting("methods to compare", "results of the same cells", found)
        };
        let Some(first) = methods.first() else {
            return Err(wrong("no method".into()));
        };
        let grid = |method: &MethodResults| -> Vec<_> {
            let cells = method.cells.iter();
            cells
                .map(|(cell, _)| (cell.seed, cell.fold, cell.label_fraction))
                .collect()
        };
        if let Some(other) = methods.iter().find(|method| grid(method) != grid(first)) {
            let (first, other) = (&first.name, &other.name);
            return Err(wrong(format!(
                "\"{first}\" and \"{other}\" have different cells"
            )));
        }
        let (cells, found) = (first.cells.len(), images.len());
        if cells != found {
            return Err(wrong(format!("images of {found} cells for {cells}")));
        }
        Ok(Self { methods, images })
    }

    /// The methods in order.
    pub fn methods(&self) -> &[MethodResults] {
        &self.methods
    }

    /// All cells with their results, method by method.
    pub fn cells(&self) -> impl Iterator<Item = &(Cell, CellResult)> {
        self.methods.iter().flat_map(|method| &method.cells)
    }

    /// The label fractions, in the order in which they were tried.
    pub fn label_fractions(&self) -> Vec<f64> {
        let mut fractions: Vec<f64> = Vec::new();
        for (cell, _) in self.cells() {
            if !fractions.contains(&cell.label_fraction) {
                fractions.push(cell.label_fraction);
            }
        }
        fractions
    }

    /// The accuracies of a method's primary classifier at one label fraction, by seed and
    /// fold: logistic regression on frozen features, or the trained network.
    ///
    /// # Errors
    /// A method or label fraction that is not there.
    pub fn accuracies(&self, method: &str, fraction: f64) -> Result<Vec<f64>> {
        let results = self.method(method)?.with_fraction(fraction);
        let values: Vec<f64> = results.map(|r| r.primary_report().accuracy).collect();
        if values.is_empty() {
            let expected = "one that was tried";
            return Err(Error::setting("label fraction", expected, fraction));
        }
        Ok(values)
    }

    /// Mean, deviation and interval of [`accuracies`](Self::accuracies).
    ///
    /// # Errors
    /// As [`accuracies`](Self::accuracies); results of an earlier version, which did not
    /// record what each test image was taken for.
    pub fn accuracy(&self, method: &str, fraction: f64) -> Result<Summary> {
        Ok(Summary::of_shares(&self.repeats(method, fraction, None)?)?)
    }

    /// The test images of a method at one label fraction, right or wrong, by seed and fold: of
    /// one classifier, or of the primary one. Empty if the method has no such classifier.
    pub(crate) fn repeats(
        &self,
        method: &str,
        fraction: f64,
        classifier: Option<ClassifierKind>,
    ) -> Result<Vec<Repeat>> {
        let method = self.method(method)?;
        let cells = method.cells.iter().zip(&self.images);
        let cells = cells.filter(|((cell, _), _)| cell.label_fraction == fraction);
        let repeats = cells.filter_map(|((cell, result), images)| {
            let report = result.report(classifier.unwrap_or_else(|| result.primary()))?;
            Some(Repeat {
                seed: cell.seed,
                units: images.test_units.clone(),
                train: images.train.clone(),
                ..Repeat::of(report)
            })
        });
        let repeats: Vec<Repeat> = repeats.collect();
        if repeats.is_empty() && classifier.is_none() {
            let expected = "one that was tried";
            return Err(Error::setting("label fraction", expected, fraction));
        }
        Ok(repeats)
    }

    fn method(&self, name: &str) -> Result<&MethodResults> {
        let method = self.methods.iter().find(|method| method.name == name);
        method.ok_or_else(|| Error::setting("method", "one of the comparison", name))
    }

    /// Two methods pair by pair: the same seed, fold and labels.
    ///
    /// # Errors
    /// As [`accuracies`](Self::accuracies).
    pub fn paired(&self, baseline: &str, method: &str, fraction: f64) -> Result<PairedDifference> {
        let (first, second) = (
            self.repeats(method, fraction, None)?,
            self.repeats(baseline, fraction, None)?,
        );
        Ok(PairedDifference {
            baseline: baseline.to_owned(),
            method: method.to_owned(),
            label_fraction: fraction,
            accuracy: PairedComparison::of(&first, &second)?,
        })
    }

    /// Every method against every one before it, at every label fraction.
    ///
    /// # Errors
    /// Figures that are not finite.
    pub fn pairs(&self) -> Result<Vec<PairedDifference>> {
        let mut pairs = Vec::new();
        for (index, method) in self.methods.iter().enumerate() {
            for baseline in self.methods.iter().take(index) {
                for fraction in self.label_fractions() {
                    pairs.push(self.paired(&baseline.name, &method.name, fraction)?);
                }
            }
        }
        Ok(pairs)
    }

    /// Seeds times folds.
    pub(crate) fn pairs_per_fraction(&self) -> usize {
        let cells = self.methods.first().map_or(0, |method| method.cells.len());
        cells / self.label_fractions().len().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell_result::{Evaluation, NetworkEvaluation};
    use simclr_data::Seed;
    use simclr_eval::metrics::ClassificationReport;

    /// A network that has `hits` of ten test images right.
    fn result(hits: usize) -> CellResult {
        let names = ["none", "crack"].map(str::to_owned);
        let labels: Vec<u32> = (0..10).map(|i| i % 2).collect();
        let score = |(index, &label): (usize, &u32)| {
            let said_none = (label == 0) == (index < hits);
            if said_none { [1.0, 0.0] } else { [0.0, 1.0] }
        };
        let test_scores: Vec<f32> = labels.iter().enumerate().flat_map(score).collect();
        CellResult {
            train_images: 8,
            evaluation: Evaluation::Network(Box::new(NetworkEvaluation {
                test: ClassificationReport::new(&test_scores, &labels, &names).unwrap(),
                test_scores,
            })),
        }
    }

    /// The same ten test images for each cell.
    fn images(cells: usize) -> Vec<CellImages> {
        let images = CellImages {
            train: Vec::new(),
            test_units: (0..10).collect(),
        };
        vec![images; cells]
    }

    fn method(name: &str, hits: &[usize]) -> MethodResults {
        let cells = Cell::grid(&[name], &[Seed(1)], hits.len(), &[0.25]);
        let results = hits.iter().map(|&hits| result(hits));
        MethodResults {
            name: name.into(),
            cells: cells.into_iter().zip(results).collect(),
        }
    }

    #[test]
    fn methods_are_summed_up_and_compared_pair_by_pair() {
        let methods = vec![
            method("untrained", &[4, 5, 6]),
            method("trained", &[6, 7, 8]),
        ];
        let comparison = Comparison::new(methods, images(3)).unwrap();
        let untrained = comparison.accuracy("untrained", 0.25).unwrap();
        assert!((untrained.mean - 0.5).abs() < 1e-12 && untrained.count == 3);
        assert!((untrained.standard_deviation.unwrap() - 0.1).abs() < 1e-12);
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
            table.contains("70.0 ± 10.0 % (") && table.contains("25 %"),
            "{table}"
        );
        let paired = comparison.paired_table().unwrap().to_string();
        assert!(
            paired.contains("3 of 3") && paired.contains("points"),
            "{paired}"
        );
        assert_eq!(pair.accuracy.p_value, None, "three pairs say nothing");
        let (low, high) = comparison
            .accuracy("trained", 0.25)
            .unwrap()
            .interval
            .unwrap();
        // Ten test images say little, however well three folds on them agree.
        assert!(low < 0.45 && high > 0.85 && high < 1.0, "{low} {high}");
        let figure = comparison.label_efficiency().unwrap();
        assert!(figure.as_str().contains("trained"));
    }

    #[test]
    fn the_images_with_labels_are_those_of_all_folds() {
        let mut trained = method("trained", &[6, 7, 8]);
        for ((_, result), images) in trained.cells.iter_mut().zip([121, 122, 120]) {
            result.train_images = images;
        }
        let comparison = Comparison::new(vec![trained], images(3)).unwrap();
        let figure = comparison.label_efficiency().unwrap();
        for said in [
            comparison.findings().unwrap().concat(),
            comparison.table().unwrap().to_string(),
            comparison.summary_table().unwrap().to_string(),
            figure.as_str().to_owned(),
        ] {
            assert!(said.contains("120 to 122"), "{said}");
        }
    }

    #[test]
    fn a_curve_goes_from_left_to_right_whatever_the_order_of_the_methods() {
        let methods = vec![
            method("all", &[8, 9]),
            method("none", &[4, 5]),
            method("few", &[6, 6]),
        ];
        let comparison = Comparison::new(methods, images(2)).unwrap();
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
    fn methods_of_different_cells_and_unknown_ones_are_refused() {
        let methods = vec![method("untrained", &[4, 5, 6]), method("trained", &[6, 7])];
        let error = Comparison::new(methods, images(3)).unwrap_err().to_string();
        assert!(error.contains("\"untrained\" and \"trained\""), "{error}");
        assert!(Comparison::new(Vec::new(), Vec::new()).is_err());
        let comparison = Comparison::new(vec![method("untrained", &[4])], images(1)).unwrap();
        assert!(comparison.accuracy("untrained", 0.5).is_err());
        let error = comparison.accuracy("nobody", 0.25).unwrap_err().to_string();
        assert!(error.contains("nobody"), "{error}");
    }
}
