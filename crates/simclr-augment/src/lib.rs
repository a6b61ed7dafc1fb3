//! SimCLR's image operations and augmentation policies, as pure functions of an
//! image and a random stream.
//!
//! ```
//! use simclr_augment::{DecodedImage, Policy, Seed, Stream, View};
//!
//! // As it came out of a decoder: height, width, bytes.
//! let decoded = DecodedImage::new(300, 400, vec![127; 300 * 400 * 3])?;
//!
//! let policy = Policy::simclr_v2(224).with_color_jitter_strength(0.5).without_blur();
//! let stream = Stream::new(Seed(1)).epoch(3).sample(17);
//! let first = policy.apply(&decoded, stream.view(View::First))?;
//! let second = policy.apply(&decoded, stream.view(View::Second))?;
//!
//! assert_eq!((first.height(), first.width()), (224, 224));
//! assert_ne!(first, second);
//! // The same address always gives the same view.
//! assert_eq!(first, policy.apply(&decoded, stream.view(View::First))?);
//! # Ok::<(), simclr_augment::Error>(())
//! ```
//!
//! * [`Image`] is RGB in `f32`, values in [0, 1]; [`DecodedImage`] is RGB in `u8`.
//!   Everything that reads an image takes either.
//! * [`Policy`] says what happens to images, with presets for SimCLR, SimCLRv2, the
//!   geology paper, evaluation and the linear probe. [`ViewParams`] is what it draws
//!   for one view.
//! * [`Augmentation`] is the interface by which loaders and training loops make views;
//!   [`Policy`] implements it, and so can types of yours.
//! * [`Stream`] addresses random numbers by (seed, epoch, sample, view, purpose).
//! * [`ops`] has every operation by itself.
//!
//! The arithmetic is that of the original TensorFlow code, down to the 1/1024 steps
//! of its bicubic weights. Loops are compiled for the processor's vector
//! instructions and chosen at run time, but nothing is fused or reordered and no
//! function of the platform's mathematical library is called, so every processor gives
//! the same bits.
//!
//! # Features
//! Both are off by default.
//! * `image`: conversions from and to `RgbImage` and `Rgb32FImage` of the crate `image` 0.25.
//! * `offline`: offline augmentation with `imageproc`, the module `offline`.
//!
//! The crate [`rand`] is re-exported, in version 0.9, because signatures show it.

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
mod sample;
mod seed;
mod setters;
mod simd;
mod stream;
mod view_params;

pub use augmentation::Augmentation;
pub use error::{Error, Result};
pub use image::{CHANNELS, DecodedImage, Image, ImageBuffer, SourceImage};
pub use policy::{CENTER_CROP_PROPORTION, Crop, Policy};
pub use sample::Sample;
pub use seed::Seed;
pub use stream::{Purpose, Stream, View};
pub use view_params::ViewParams;

pub use rand;

/// The program of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
