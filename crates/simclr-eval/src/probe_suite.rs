//! Evaluating encoders by the same probes on the same split.

use serde::{Deserialize, Serialize};
use simclr_data::Split;

use crate::metrics::ClassificationReport;
use crate::probes::{KNearest, LinearProbe, LinearProbeReport, LogisticProbe, LogisticReport};
use crate::setters::setters;
use crate::{Features, Result};
use simclr_report::{Cell, Table};

/// The probes that an encoder is evaluated with.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[must_use]
pub struct ProbeSuite {
    /// The paper's linear probe.
    pub linear: LinearProbe,
    /// Logistic regression to convergence, its penalty chosen on the validation part.
    pub logistic: LogisticProbe,
    /// The vote of the nearest training images.
    pub nearest: KNearest,
}

/// The results of a [`ProbeSuite`] on the test images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeResults {
    /// The linear probe.
    pub linear: LinearProbeReport,
    /// Logistic regression.
    pub logistic: LogisticReport,
    /// The nearest neighbours.
    pub nearest: ClassificationReport,
}

impl ProbeSuite {
    setters! {
        with_linear(linear: LinearProbe);
        with_logistic(logistic: LogisticProbe);
        with_nearest(nearest: KNearest);
    }

    /// Checks every setting of every probe.
    ///
    /// # Errors
    /// The first setting that is out of range.
    pub fn validate(&self) -> Result<()> {
        self.linear.validate()?;
        self.logistic.validate()?;
        self.nearest.validate()
    }

    /// Trains all probes on the same features and reports them on the test part.
    ///
    /// # Errors
    /// Parts without labels, or too small for the probes.
    pub fn evaluate(&self, features: &Split<Features>) -> Result<ProbeResults> {
        let classes = &features.train.class_names;
        let (train, validation, test) = (
            features.train.examples()?,
            features.validation.examples()?,
            features.test.examples()?,
        );
        Ok(ProbeResults {
            linear: self.linear.fit(train, validation, test, classes)?,
            logistic: self.logistic.fit(train, validation, test, classes)?,
            nearest: self.nearest.evaluate(train, test, classes)?,
        })
    }
}

/// One row per encoder: the test figures of each probe.
pub fn comparison_table(encoders: &[(&str, &ProbeResults)]) -> Table {
    let columns = [
        "encoder",
        "linear probe",
        "its weighted F1",
        "logistic regression",
        "its weighted F1",
        "nearest neighbours",
    ];
    let caption = "Accuracy of each probe on the test images.";
    encoders.iter().fold(
        Table::new("comparison", caption).columns(columns),
        |table, (name, results)| {
            table.row([
                Cell::Text((*name).to_owned()),
                Cell::share(results.linear.test.accuracy),
                Cell::share(results.linear.test.weighted_f1),
                Cell::share(results.logistic.test.accuracy),
                Cell::share(results.logistic.test.weighted_f1),
                Cell::share(results.nearest.accuracy),
            ])
        },
    )
}
