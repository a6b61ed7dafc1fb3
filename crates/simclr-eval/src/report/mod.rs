//! Results of evaluations as blocks of a report.

mod classification;
mod embedding;
mod probe;
mod scores;

use simclr_report::Report;

use crate::Result;
use crate::metrics::ClassificationReport;
use crate::probes::LinearProbeReport;

pub use embedding::embedding_plot;

/// What evaluations add to a [`Report`].
pub trait EvaluationReport: Sized {
    /// Adds a classifier's figures, as a whole and by class, and its confusion
    /// matrix. The names of the files begin with `name`; `what` says in a few
    /// words what was evaluated on what, such as "linear probe, test set".
    ///
    /// # Errors
    /// If the drawing fails.
    fn classification(self, name: &str, what: &str, result: &ClassificationReport) -> Result<Self>;

    /// Adds the curves of a linear probe over its epochs. The names of the files begin with
    /// `name`; `what` says what was probed.
    ///
    /// # Errors
    /// If the drawing fails.
    fn probe(self, name: &str, what: &str, result: &LinearProbeReport) -> Result<Self>;

    /// Adds precision-recall and ROC curves with their areas, one class against the others,
    /// and the calibration. `scores` are logits, `[samples, classes]`, flat; with two classes
    /// the curves are those of the first. A class without test images has no curve.
    ///
    /// # Errors
    /// Scores and labels that do not fit together; if the drawing fails.
    fn scores(
        self,
        name: &str,
        what: &str,
        result: &ClassificationReport,
        scores: &[f32],
        labels: &[u32],
    ) -> Result<Self>;
}

impl EvaluationReport for Report {
    fn classification(self, name: &str, what: &str, result: &ClassificationReport) -> Result<Self> {
        classification::add(self, name, what, result)
    }

    fn probe(self, name: &str, what: &str, result: &LinearProbeReport) -> Result<Self> {
        probe::add(self, name, what, result)
    }

    fn scores(
        self,
        name: &str,
        what: &str,
        result: &ClassificationReport,
        scores: &[f32],
        labels: &[u32],
    ) -> Result<Self> {
        scores::add(self, name, what, result, scores, labels)
    }
}
