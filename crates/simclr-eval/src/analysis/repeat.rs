//! One evaluation among several of the same method.

use simclr_augment::Seed;

use crate::metrics::ClassificationReport;
use crate::{Error, Result};

/// One of several evaluations of a method: a fold of a seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Repeat {
    /// The seed that it was trained with. Repeats of one seed may share more than images, such as a
    /// pretrained network; those of two seeds do not.
    pub seed: Seed,
    /// The unit that each test image belongs to: the image itself, or its group. Images of
    /// one unit depend on each other.
    pub units: Vec<usize>,
    /// What is averaged, for each test image: 1 if it is classified right, otherwise 0.
    pub values: Vec<f64>,
    /// The images that it was trained on with their labels.
    pub train: Vec<usize>,
}

impl Repeat {
    /// The test images of a report, each a unit of its own, of seed 0.
    pub fn of(report: &ClassificationReport) -> Self {
        let pairs = report.labels.iter().zip(&report.predictions);
        let values: Vec<f64> = pairs.map(|(a, b)| f64::from(u8::from(a == b))).collect();
        Self {
            seed: Seed(0),
            units: (0..values.len()).collect(),
            values,
            train: Vec::new(),
        }
    }

    pub(super) fn mean(&self) -> Result<f64> {
        let images = self.values.len();
        if images == 0 || images != self.units.len() {
            let units = self.units.len();
            return Err(unfit(format!("{images} values of {units} test images")));
        }
        Ok(self.values.iter().sum::<f64>() / images as f64)
    }

    /// The difference to another method on the same test images.
    pub(super) fn minus(&self, other: &Self) -> Result<Self> {
        if self.units != other.units {
            return Err(unfit("pairs need the same test images".to_owned()));
        }
        let pairs = self.values.iter().zip(&other.values);
        Ok(Self {
            values: pairs.map(|(a, b)| a - b).collect(),
            ..self.clone()
        })
    }
}

fn unfit(reason: String) -> Error {
    Error::evaluation("repeated measurements", reason)
}
