//! Evaluation of representations: features of frozen encoders, the paper's linear probe,
//! logistic regression and nearest neighbours on them, metrics, calibration and confidence
//! intervals. [`ProbeSuite`] runs all probes on one split; [`metrics`] and [`analysis`] also
//! work on scores and features from elsewhere. With the feature `report` (default) results
//! become plots and blocks of a report.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use simclr_augment::Policy;
//! use simclr_data::{DatasetExt, Fractions, Seed, SyntheticCores};
//! use simclr_eval::Features;
//! use simclr_eval::probes::KNearest;
//! use simclr_model::{Encoder, ResNetConfig, Stem};
//!
//! let config = ResNetConfig::depth(18).with_stem(Stem::Cifar);
//! let encoder = Encoder::initialize(&config, 1, &candle_core::Device::Cpu)?.frozen();
//! let cores = SyntheticCores::new(40, 32, Seed(1))?;
//! let split = cores.split(Fractions { train: 0.5, validation: 0.25 }, Seed(1))?;
//! let features = Features::of_split(&encoder, &split, &Policy::probe(32))?;
//!
//! let names = &features.test.class_names;
//! let neighbours = KNearest::default();
//! let result = neighbours.evaluate(features.train.examples()?, features.test.examples()?, names)?;
//! println!("{result}");
//! assert_eq!(result.samples, 10);
//! # Ok(())
//! # }
//! ```

pub mod analysis;
mod class_names;
mod classifier;
mod error;
mod features;
pub mod metrics;
mod network_classifier;
mod probe_suite;
pub mod probes;
#[cfg(feature = "report")]
pub mod report;
mod setters;

pub use candle_core;
pub use classifier::{
    ImageClassifier, ProbeClassifier, classifier_scores, digest, evaluate_classifier, values_digest,
};
pub use error::{Error, Result};
pub use features::{Features, check_finite};
pub use network_classifier::{CLASSES_ENTRY, NetworkClassifier};
pub use probe_suite::{ProbeResults, ProbeSuite, comparison_table};

/// The program of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
