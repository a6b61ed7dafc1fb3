//! Every image operation with its parameters spelled out, and the types that
//! draw those parameters at random.
//!
//! | operation | explicit | at random |
//! | --- | --- | --- |
//! | crop and resize | [`crop_and_resize`] | [`RandomCrop::sample`] |
//! | centre crop | [`center_crop`], [`center_crop_box`] | |
//! | resize | [`resize`], [`Resampling`] | |
//! | flips | [`flip_left_right`], [`flip_up_down`] | probabilities of the [`Policy`](crate::Policy) |
//! | rotation | [`rotate_quarter_turns`], [`rotate`] | [`Rotation::sample`] |
//! | colour jitter | [`color_jitter`] | [`ColorJitter::sample`] |
//! | its steps | [`scale_brightness`], [`offset_brightness`], [`adjust_contrast`], [`adjust_saturation`], [`adjust_hue`] | |
//! | greyscale | [`grayscale`] | probability of the [`Policy`](crate::Policy) |
//! | adaptive histogram equalisation | [`clahe`] | |
//! | Gaussian blur | [`gaussian_blur`] | [`GaussianBlur::sample`] |

pub(crate) mod blur;
mod clahe;
pub(crate) mod color;
pub(crate) mod crop;
mod flip;
pub(crate) mod resize;
pub(crate) mod resizer;
pub(crate) mod rotate;
pub(crate) mod taps;

pub use crate::crop_box::CropBox;
pub use blur::{GaussianBlur, GaussianBlurParams, gaussian_blur, gaussian_kernel};
pub use clahe::clahe;
pub use color::adjust::{
    adjust_contrast, adjust_hue, adjust_saturation, clip, grayscale, offset_brightness,
    scale_brightness,
};
pub use color::jitter::{BrightnessModel, ColorJitter, ColorJitterParams, JitterStep};
pub use color::passes::color_jitter;
pub use crop::{RandomCrop, center_crop_box};
pub use flip::{flip_left_right, flip_up_down};
pub use resize::{center_crop, crop_and_resize, resize};
pub use rotate::{Border, Rotation, RotationParams, rotate, rotate_quarter_turns};
pub use taps::Resampling;
