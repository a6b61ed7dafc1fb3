//! Everything about one evaluation, for people and for files.

use serde::{Deserialize, Serialize};

use super::{BatchMeans, ClassScores, ConfusionMatrix, PAPER_BATCH_SIZE, arg_max, top_k_accuracy};
use crate::{Error, Result};
use simclr_report::{Cell, Table, percent};

/// The figures of a classifier on a set of samples. Prints as tables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassificationReport {
    /// The names of the classes.
    pub class_names: Vec<String>,
    /// The number of samples.
    pub samples: u64,
    /// The share of samples that are classified right.
    pub accuracy: f64,
    /// The share of samples with fewer than five classes scored higher than the true one.
    pub top_5_accuracy: f64,
    /// F1, weighted by the classes' sizes.
    pub weighted_f1: f64,
    /// F1, every class alike.
    pub macro_f1: f64,
    /// Precision, recall and F1 of every class.
    pub per_class: Vec<ClassScores>,
    /// How often each class was taken for each class.
    pub confusion: ConfusionMatrix,
    /// Means of per-batch figures, to compare with the paper.
    pub paper_compatible: BatchMeans,
    /// The true class of each sample. Empty in files of earlier versions, as are the predictions.
    #[serde(default)]
    pub labels: Vec<u32>,
    /// The predicted class of each sample.
    #[serde(default)]
    pub predictions: Vec<u32>,
}

impl ClassificationReport {
    /// Compares `scores` (`[samples, classes]`, flat; the highest is the prediction)
    /// with the true classes.
    ///
    /// # Errors
    /// No samples, lists that do not fit together, a label without a class name, a score that is not
    /// a number.
    pub fn new(scores: &[f32], labels: &[u32], class_names: &[String]) -> Result<Self> {
        let classes = class_names.len();
        let predictions = arg_max(scores, classes)?;
        if let Some(place) = scores.iter().position(|score| score.is_nan()) {
            let (sample, class) = (place / classes, &class_names[place % classes]);
            let reason = format!(
                "the score of sample {sample} for the class {class} is not a number: the classifier \
                 is damaged, or its training diverged"
            );
            return Err(Error::evaluation("classification report", reason));
        }
        let confusion = ConfusionMatrix::new(labels, &predictions, classes)?;
        Ok(Self {
            class_names: class_names.to_vec(),
            samples: confusion.total(),
            accuracy: confusion.accuracy(),
            top_5_accuracy: top_k_accuracy(scores, labels, classes, 5)?,
            weighted_f1: confusion.weighted_f1(),
            macro_f1: confusion.macro_f1(),
            per_class: confusion.per_class(),
            paper_compatible: BatchMeans::new(labels, &predictions, classes, PAPER_BATCH_SIZE)?,
            confusion,
            labels: labels.to_vec(),
            predictions,
        })
    }
}

impl std::fmt::Display for ClassificationReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "accuracy {}, top-5 {}, weighted F1 {}, macro F1 {} ({} samples)",
            percent(self.accuracy),
            percent(self.top_5_accuracy),
            percent(self.weighted_f1),
            percent(self.macro_f1),
            self.samples
        )?;
        writeln!(f, "{}", self.class_table("classes", ""))?;
        write!(f, "{}", self.confusion_table())
    }
}

impl ClassificationReport {
    /// Precision, recall and F1 of each class, as a table.
    pub(crate) fn class_table(&self, name: &str, caption: &str) -> Table {
        let columns = ["class", "images", "precision", "recall", "F1"];
        let table = Table::new(name, caption).columns(columns);
        let classes = self.class_names.iter().zip(&self.per_class);
        classes.fold(table, |table, (class, scores)| {
            table.row([
                class.as_str().into(),
                scores.support.into(),
                Cell::share(scores.precision),
                Cell::share(scores.recall),
                Cell::share(scores.f1),
            ])
        })
    }

    fn confusion_table(&self) -> Table {
        let names = self.class_names.iter().map(String::as_str);
        let columns = std::iter::once("true \\ predicted").chain(names);
        let table = Table::new("confusion", "").columns(columns);
        let classes = self.class_names.iter().zip(self.confusion.counts());
        classes.fold(table, |table, (class, counts)| {
            let counts = counts.iter().map(|count| Cell::from(*count));
            table.row(std::iter::once(class.as_str().into()).chain(counts))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_that_are_no_numbers_are_not_taken_for_the_first_class() {
        let names = ["none", "crack"].map(str::to_owned);
        let scores = [1.0, 0.0, 0.2, f32::NAN];
        let error = ClassificationReport::new(&scores, &[0, 0], &names).unwrap_err();
        let expected = "classification report: the score of sample 1 for the class crack is not a";
        assert!(error.to_string().starts_with(expected), "{error}");
    }

    #[test]
    fn prints_every_class_and_survives_json() {
        let names = ["none", "crack"].map(str::to_owned);
        let report =
            ClassificationReport::new(&[1.0, 0.0, 0.2, 0.4, 0.9, 0.1], &[0, 1, 1], &names).unwrap();
        let text = report.to_string();
        assert!(text.starts_with("accuracy 66.7 %"), "{text}");
        for part in ["none", "crack", "true \\ predicted", "100.0 %"] {
            assert!(text.contains(part), "{part} not in:\n{text}");
        }
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(
            serde_json::from_str::<ClassificationReport>(&json).unwrap(),
            report
        );
    }
}
