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
//! | shift, scale, rotate | [`shift_scale_rotate`] | [`enlarge`](crate::enlarge) |
//! | adaptive equalisation | [`equalize_adaptively`] | [`enlarge`](crate::enlarge) |
//! | Gaussian blur | [`gaussian_blur`] | [`GaussianBlur::sample`] |

mod blur;
mod color;
mod crop;
mod equalize;
mod flip;
mod pixel;
mod resize;
mod rotate;
mod taps;

pub use blur::{GaussianBlur, GaussianBlurValues, gaussian_blur, gaussian_kernel};
pub use color::{
    BrightnessModel, ColorJitter, ColorJitterValues, JitterStep, adjust_contrast, adjust_hue,
    adjust_saturation, channel_means, clip, color_jitter, grayscale, offset_brightness,
    scale_brightness,
};
pub use crop::{CropBox, RandomCrop, center_crop_box};
pub use equalize::equalize_adaptively;
pub use flip::{flip_left_right, flip_up_down};
pub use resize::{center_crop, crop_and_resize, resize};
pub use rotate::{
    Border, Rotation, RotationValues, rotate, rotate_quarter_turns, shift_scale_rotate,
};
pub use taps::Resampling;

pub(crate) use blur::blur_in_place;
pub(crate) use color::{AllStages, ColorStages, check_probability, happens, uniform};
pub(crate) use pixel::{Planes, Sums};
pub(crate) use resize::{AllRows, Resizer};
pub(crate) use rotate::transpose_square;
