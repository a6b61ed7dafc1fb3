//! What a classifier's file says about it.

use serde::{Deserialize, Serialize};
use simclr_augment::Policy;

/// The version of the form of classifiers in files. Later ones are refused.
pub const CLASSIFIER_VERSION: u32 = 1;

/// What turns features into classes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum HeadKind {
    /// The paper's linear probe.
    LinearProbe,
    /// Logistic regression on features of unit length or as they are.
    LogisticRegression {
        /// Whether features are divided by their length first.
        unit_length: bool,
    },
    /// The vote of the nearest training images.
    NearestNeighbours {
        /// How many vote.
        k: usize,
        /// How much nearer ones count more.
        temperature: f64,
    },
    /// The supervised head of a fine-tuned network.
    FineTuned,
}

/// How many images it was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitSizes {
    /// Images that the head was fitted to.
    pub train: usize,
    /// Images for penalties, temperature and thresholds.
    pub validation: usize,
    /// Images that the figures are about.
    pub test: usize,
}

/// How good it is on the test images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierFigures {
    /// The share of images that are classified right.
    pub accuracy: f64,
    /// F1, every class alike.
    pub macro_f1: f64,
    /// Expected calibration error (15 intervals) without temperature.
    pub ece_before: f64,
    /// Expected calibration error with it.
    pub ece_after: f64,
    /// The share of test images that are taken for novel, which all are of known classes.
    pub novel: f64,
    /// F1 of each class.
    pub class_f1: Vec<f64>,
}

/// Everything about a classifier but its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ClassifierInfo {
    /// [`CLASSIFIER_VERSION`] of the library that made it.
    pub version: u32,
    /// What turns features into classes.
    pub head: HeadKind,
    /// The names of the classes.
    pub classes: Vec<String>,
    /// How images are prepared.
    pub policy: Policy,
    /// What logits are divided by so that confidence is what it says.
    pub temperature: f64,
    /// Novelty is the distance to this many-th nearest training image.
    pub novelty_neighbours: usize,
    /// Images with a larger novelty are unlike the training images.
    pub novelty_threshold: f64,
    /// How many images it was made with.
    pub split: SplitSizes,
    /// How the images were split, in words.
    pub split_note: String,
    /// How good it is on the test images.
    pub figures: ClassifierFigures,
}
