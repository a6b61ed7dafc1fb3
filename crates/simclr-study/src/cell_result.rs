//! The result of a cell.

use serde::{Deserialize, Serialize};
use simclr_eval::ProbeResults;
use simclr_eval::metrics::ClassificationReport;

/// The result of a cell: how well its classifiers do on the test images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellResult {
    /// How many images were trained on with their labels, copies of them not counted.
    pub train_images: usize,
    /// What was measured.
    #[serde(alias = "found")]
    pub evaluation: Evaluation,
}

/// What was measured, by kind of method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evaluation {
    /// Probes on frozen features.
    Probes(Box<ProbeResults>),
    /// A network that was trained with the labels.
    Network(Box<NetworkEvaluation>),
}

/// A trained network on the test images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkEvaluation {
    /// Accuracy, F1 and the confusion matrix.
    pub test: ClassificationReport,
    /// The logits, `[images, classes]`, flat.
    pub test_scores: Vec<f32>,
}

/// The classifiers of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassifierKind {
    /// The paper's linear probe.
    LinearProbe,
    /// Logistic regression to convergence.
    LogisticRegression,
    /// The vote of the nearest neighbours.
    NearestNeighbours,
    /// The trained network itself.
    Network,
}

impl ClassifierKind {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::LinearProbe,
        Self::LogisticRegression,
        Self::NearestNeighbours,
        Self::Network,
    ];

    /// What it is called in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::LinearProbe => "linear probe",
            Self::LogisticRegression => "logistic regression",
            Self::NearestNeighbours => "nearest neighbours",
            Self::Network => "whole network",
        }
    }
}

impl CellResult {
    /// Accuracy, F1 and the confusion matrix of one classifier, if the cell has it.
    pub fn report(&self, classifier: ClassifierKind) -> Option<&ClassificationReport> {
        match (&self.evaluation, classifier) {
            (Evaluation::Probes(probes), ClassifierKind::LinearProbe) => Some(&probes.linear.test),
            (Evaluation::Probes(probes), ClassifierKind::LogisticRegression) => {
                Some(&probes.logistic.test)
            }
            (Evaluation::Probes(probes), ClassifierKind::NearestNeighbours) => {
                Some(&probes.nearest)
            }
            (Evaluation::Network(network), ClassifierKind::Network) => Some(&network.test),
            _ => None,
        }
    }

    /// The classifier that stands for the method in curves and comparisons: logistic
    /// regression, or the trained network itself.
    pub fn primary(&self) -> ClassifierKind {
        match self.evaluation {
            Evaluation::Probes(_) => ClassifierKind::LogisticRegression,
            Evaluation::Network(_) => ClassifierKind::Network,
        }
    }

    /// Accuracy, F1 and the confusion matrix of the [`primary`](Self::primary) classifier.
    pub fn primary_report(&self) -> &ClassificationReport {
        match &self.evaluation {
            Evaluation::Probes(probes) => &probes.logistic.test,
            Evaluation::Network(network) => &network.test,
        }
    }

    /// The logits of the [`primary`](Self::primary) classifier, `[images, classes]`, flat.
    pub fn primary_scores(&self) -> &[f32] {
        match &self.evaluation {
            Evaluation::Probes(probes) => &probes.logistic.test_scores,
            Evaluation::Network(network) => &network.test_scores,
        }
    }
}
