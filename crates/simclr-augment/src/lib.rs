#![doc = include_str!("../README.md")]

mod augmentation;
#[cfg(feature = "image")]
mod conversions;
mod crop_box;
mod draw;
mod error;
mod image;
#[cfg(feature = "offline")]
pub mod offline;
pub mod ops;
mod policy;
mod rows;
mod sample;
mod seed;
mod setters;
mod simd;
mod stream;
mod view_params;

pub use augmentation::Augmentation;
pub use error::{Error, Result};
pub use image::{CHANNELS, DecodedImage, Image, ImageBuffer, MAX_VIEW_PIXELS, SourceImage};
pub use policy::{CENTER_CROP_PROPORTION, Crop, Policy};
pub use rows::{RowSink, RowSource};
pub use sample::Sample;
pub use seed::Seed;
pub use stream::{Purpose, Stream, View};
pub use view_params::ViewParams;

pub use rand;
