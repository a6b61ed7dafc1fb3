//! What a cell found.

use serde::{Deserialize, Serialize};

use simclr_eval::Judgement;
use simclr_eval::metrics::ClassificationReport;

/// What a cell found, on the test images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// How many images were trained on with their labels, copies of them not counted.
    pub train_images: usize,
    /// What was found.
    pub found: Found,
}

/// What was found, by kind of arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// By probes on frozen features.
    Probes(Box<Judgement>),
    /// By a network that was trained with the labels.
    Network(Box<NetworkReport>),
}

/// What a trained network makes of the test images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetworkReport {
    /// Its figures.
    pub test: ClassificationReport,
    /// Its logits, `[samples, classes]`, flat.
    pub test_scores: Vec<f32>,
}

/// Which classifier a figure is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The paper's linear probe.
    LinearProbe,
    /// Logistic regression to convergence.
    LogisticRegression,
    /// The vote of the nearest neighbours.
    NearestNeighbours,
    /// The trained network itself.
    Network,
}

impl Measure {
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

impl Outcome {
    /// The figures of one classifier, if the cell has it.
    pub fn report(&self, measure: Measure) -> Option<&ClassificationReport> {
        match (&self.found, measure) {
            (Found::Probes(found), Measure::LinearProbe) => Some(&found.linear.test),
            (Found::Probes(found), Measure::LogisticRegression) => Some(&found.logistic.test),
            (Found::Probes(found), Measure::NearestNeighbours) => Some(&found.nearest),
            (Found::Network(found), Measure::Network) => Some(&found.test),
            _ => None,
        }
    }

    /// The classifier that stands for the arm in curves and comparisons: logistic
    /// regression, or the network itself.
    pub fn headline(&self) -> Measure {
        match self.found {
            Found::Probes(_) => Measure::LogisticRegression,
            Found::Network(_) => Measure::Network,
        }
    }

    /// The figures of the classifier that stands for the arm.
    pub fn headline_report(&self) -> &ClassificationReport {
        match &self.found {
            Found::Probes(found) => &found.logistic.test,
            Found::Network(found) => &found.test,
        }
    }

    /// The logits of the classifier that stands for the arm, `[samples, classes]`, flat.
    pub fn headline_scores(&self) -> &[f32] {
        match &self.found {
            Found::Probes(found) => &found.logistic.test_scores,
            Found::Network(found) => &found.test_scores,
        }
    }
}
