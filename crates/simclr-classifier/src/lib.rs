#![doc = include_str!("../README.md")]
#![warn(missing_debug_implementations)]

mod calibration;
mod classifier;
mod error;
mod explain;
mod file;
mod fit;
mod head;
mod info;
mod prediction;

pub use candle_core;
pub use classifier::{Classifier, DenseHead};
pub use error::{Error, Result};
pub use explain::Heatmap;
pub use fit::{ClassifierConfig, HeadConfig};
pub use info::{CLASSIFIER_VERSION, ClassifierFigures, ClassifierInfo, HeadKind, SplitSizes};
pub use prediction::{Abstain, Description, Prediction};
