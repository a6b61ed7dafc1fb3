#![doc = include_str!("../README.md")]
#![warn(missing_debug_implementations)]

mod error;
mod export;
mod graph;
mod options;
mod proto;
mod resnet;

pub use candle_core;
pub use error::{Error, Result};
pub use export::{ClassHead, export_classifier_onnx, export_onnx};
pub use options::{InputLayout, OnnxOptions};
