#![doc = include_str!("../README.md")]
#![warn(missing_debug_implementations)]

mod class_folders;
mod coco;
mod convert;
mod error;
mod json_file;
mod label;
mod label_studio;
mod labelme;
mod table;

pub use convert::{LabelFormat, read_labels, write_labels};
pub use error::{Error, Result};
pub use label::Label;
