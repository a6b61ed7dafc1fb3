//! Offline augmentation: altered copies of images made before training starts, as the
//! geology paper did for its small classes.
//!
//! ```
//! use simclr_augment::offline::{HeavyAugmentation, flipped_copies};
//! use simclr_augment::{Image, Seed, Stream};
//!
//! let image = Image::filled(60, 80, [0.4, 0.3, 0.2])?;
//! assert_eq!(flipped_copies(&image).len(), 3);
//! let stream = Stream::new(Seed(1)).sample(17);
//! let copies = HeavyAugmentation::default().copies(&image, stream, 4)?;
//! assert_eq!(copies.len(), 4);
//! # Ok::<(), simclr_augment::Error>(())
//! ```

mod color;
mod filter;
mod heavy;
mod warp;

pub use heavy::HeavyAugmentation;

use crate::image::Image;
use crate::ops::{flip_left_right, flip_up_down};

/// The image mirrored left-right, up-down, and both ways: three more images.
pub fn flipped_copies(image: &Image) -> [Image; 3] {
    let left_right = flip_left_right(image);
    let both = flip_up_down(&left_right);
    [left_right, flip_up_down(image), both]
}
