//! Judging encoders by the same probes on the same split.

use serde::{Deserialize, Serialize};
use simclr_data::Split;

use crate::evaluation::{KNearest, LinearProbe, LinearProbeReport, LogisticProbe, LogisticReport};
use crate::metrics::ClassificationReport;
use crate::{Features, Result};
use simclr_report::{Cell, Table};

/// The probes that an encoder is judged by.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Judge {
    /// The paper's linear probe.
    pub linear: LinearProbe,
    /// Logistic regression to convergence, its penalty chosen on the validation part.
    pub logistic: LogisticProbe,
    /// The vote of the nearest training images.
    pub nearest: KNearest,
}

/// What the probes found, on the test part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// The linear probe.
    pub linear: LinearProbeReport,
    /// Logistic regression.
    pub logistic: LogisticReport,
    /// The nearest neighbours.
    pub nearest: ClassificationReport,
}

impl Judge {
    /// Trains all probes on the same features and reports them on the test part.
    ///
    /// # Errors
    /// Parts without labels, or too small for the probes.
    pub fn judge(&self, features: &Split<Features>) -> Result<Judgement> {
        let classes = &features.train.class_names;
        let (train, validation, test) = (
            features.train.examples()?,
            features.validation.examples()?,
            features.test.examples()?,
        );
        Ok(Judgement {
            linear: self.linear.fit(train, validation, test, classes)?,
            logistic: self.logistic.fit(train, validation, test, classes)?,
            nearest: self.nearest.evaluate(train, test, classes)?,
        })
    }
}

/// One row per encoder: the test figures of each probe.
pub fn comparison_table(arms: &[(&str, &Judgement)]) -> Table {
    let columns = [
        "encoder",
        "linear probe",
        "its weighted F1",
        "logistic regression",
        "its weighted F1",
        "nearest neighbours",
    ];
    let caption = "Accuracy of each probe on the test images.";
    arms.iter().fold(
        Table::new("comparison", caption).columns(columns),
        |table, (name, found)| {
            table.row([
                Cell::Text((*name).to_owned()),
                Cell::share(found.linear.test.accuracy),
                Cell::share(found.linear.test.weighted_f1),
                Cell::share(found.logistic.test.accuracy),
                Cell::share(found.logistic.test.weighted_f1),
                Cell::share(found.nearest.accuracy),
            ])
        },
    )
}
