use crate::image::{CHANNELS, U8_STEP};
use crate::simd::{Level, split};

/// Types of values of an [`ImageBuffer`](crate::ImageBuffer) that a crop is resized from:
/// `f32` and `u8`. The trait is closed.
#[allow(private_bounds)]
pub trait Sample: Stored {}

impl Sample for f32 {}
impl Sample for u8 {}

/// How stored values become numbers.
pub(crate) trait Stored: Copy {
    /// What one step means.
    const STEP: f32;

    /// Pixels as stored numbers, a plane for each channel.
    fn split<L: Level>(level: L, pixels: &[[Self; CHANNELS]], planes: [&mut [f32]; CHANNELS]);
}

impl Stored for f32 {
    const STEP: f32 = 1.0;

    #[inline(always)]
    fn split<L: Level>(_: L, pixels: &[[f32; CHANNELS]], planes: [&mut [f32]; CHANNELS]) {
        split(pixels, planes);
    }
}

impl Stored for u8 {
    const STEP: f32 = U8_STEP;

    #[inline(always)]
    fn split<L: Level>(level: L, pixels: &[[u8; CHANNELS]], planes: [&mut [f32]; CHANNELS]) {
        level.split_bytes(pixels, planes);
    }
}
