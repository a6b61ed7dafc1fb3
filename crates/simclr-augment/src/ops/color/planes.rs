//! Colour operations on planes of red, green and blue: the loops that all colour
//! operations and the whole policy share.
//!
//! Nothing here divides per pixel except saturation where it saturates, and
//! nothing is fused into multiply-adds, so every processor gives the same bits.

use crate::image::CHANNELS;

/// One operation with its parameters. Values are clipped to [0, 1] after it
/// if the caller says so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum PixelOp {
    /// `x * factor`.
    Scale(f32),
    /// `x + delta`.
    Offset(f32),
    /// `(x - mean) * factor + mean`, a mean per channel.
    Contrast { factor: f32, means: [f32; CHANNELS] },
    /// Saturation of HSV times a factor.
    Saturation(f32),
    /// Hue of HSV plus a part of a turn.
    Hue(f32),
    /// Luma in all three channels.
    Grayscale,
    /// Nothing but the clip.
    Clip,
}

/// Weights of red, green and blue in the luma of `tf.image.rgb_to_grayscale`.
pub(crate) const LUMA: [f32; CHANNELS] = [0.2989, 0.587, 0.114];

/// Pixels that are handled at a time: three planes of them stay in the first cache.
pub(crate) const BLOCK: usize = 256;

/// Pixels that loops go on by at a time; what is left they would take one by one.
pub(crate) const LANES: usize = 64;

/// A block of at most [`BLOCK`] pixels as one array per channel.
#[repr(align(64))]
pub(crate) struct Planes {
    values: [[f32; BLOCK]; CHANNELS],
    count: usize,
}

impl Planes {
    pub(crate) fn new() -> Self {
        Self {
            values: [[0.0; BLOCK]; CHANNELS],
            count: 0,
        }
    }

    /// The planes, to be filled with `count` (at most [`BLOCK`]) pixels, and with anything behind
    /// them.
    #[inline(always)]
    pub(crate) fn begin(&mut self, count: usize) -> [&mut [f32]; CHANNELS] {
        self.count = count.min(BLOCK);
        let padded = self.count.next_multiple_of(LANES);
        let [red, green, blue] = &mut self.values;
        [
            &mut red[..padded],
            &mut green[..padded],
            &mut blue[..padded],
        ]
    }

    /// Takes pixels in.
    #[inline(always)]
    pub(crate) fn load(&mut self, pixels: &[[f32; CHANNELS]]) {
        self.count = pixels.len().min(BLOCK);
        let [red, green, blue] = &mut self.values;
        for i in 0..self.count {
            red[i] = pixels[i][0];
            green[i] = pixels[i][1];
            blue[i] = pixels[i][2];
        }
    }

    /// Gives pixels out.
    #[inline(always)]
    pub(crate) fn store(&self, pixels: &mut [[f32; CHANNELS]]) {
        let [red, green, blue] = &self.values;
        for i in 0..self.count.min(pixels.len()) {
            pixels[i] = [red[i], green[i], blue[i]];
        }
    }

    /// Takes a block in that [`Self::store_planar`] left.
    #[inline(always)]
    pub(crate) fn load_planar(&mut self, block: &[[f32; CHANNELS]]) {
        self.count = block.len().min(BLOCK);
        let parts = block.as_flattened().chunks_exact(self.count.max(1));
        for (plane, part) in self.values.iter_mut().zip(parts) {
            plane[..self.count].copy_from_slice(part);
        }
    }

    /// Leaves the planes one after the other where the block's pixels will go; a
    /// later pass need not take pixels apart again.
    #[inline(always)]
    pub(crate) fn store_planar(&self, block: &mut [[f32; CHANNELS]]) {
        let parts = block.as_flattened_mut().chunks_exact_mut(self.count.max(1));
        for (plane, part) in self.values.iter().zip(parts) {
            part.copy_from_slice(&plane[..self.count]);
        }
    }

    /// Adds the sums of the channels.
    #[inline(always)]
    pub(crate) fn add_sums(&self, sums: &mut Sums) {
        for (plane, sums) in self.values.iter().zip(&mut sums.0) {
            let (chunks, rest) = plane[..self.count].as_chunks::<PARTS>();
            let mut parts = [0.0f32; PARTS];
            for chunk in chunks {
                for (part, value) in parts.iter_mut().zip(chunk) {
                    *part += value;
                }
            }
            for (part, value) in parts.iter_mut().zip(rest) {
                *part += value;
            }
            for (sum, part) in sums.iter_mut().zip(parts) {
                *sum += f64::from(part);
            }
        }
    }

    /// Applies one operation, and the clip after it if `CLIP`.
    #[inline(always)]
    pub(crate) fn apply<const CLIP: bool>(&mut self, op: PixelOp) {
        match op {
            PixelOp::Scale(factor) => self.each::<CLIP>([factor; 3], |x, factor| x * factor),
            PixelOp::Offset(delta) => self.each::<CLIP>([delta; 3], |x, delta| x + delta),
            PixelOp::Contrast { factor, means } => {
                self.each::<CLIP>(means, |x, mean| (x - mean) * factor + mean);
            }
            PixelOp::Saturation(factor) => {
                self.mix::<CLIP>(|r, g, b| saturate(r, g, b, factor));
            }
            PixelOp::Hue(delta) => {
                // In sixths of a turn, within one turn.
                let sixths = (delta * 6.0).rem_euclid(6.0);
                self.mix::<CLIP>(|r, g, b| turn_hue(r, g, b, sixths));
            }
            PixelOp::Grayscale => {
                self.mix::<CLIP>(|r, g, b| [r * LUMA[0] + g * LUMA[1] + b * LUMA[2]; CHANNELS]);
            }
            PixelOp::Clip => self.each::<true>([0.0; CHANNELS], |x, _| x),
        }
    }

    /// Applies `operation(value, constant of the channel)` everywhere.
    #[inline(always)]
    fn each<const CLIP: bool>(
        &mut self,
        constants: [f32; CHANNELS],
        operation: impl Fn(f32, f32) -> f32,
    ) {
        for (plane, constant) in self.begin(self.count).into_iter().zip(constants) {
            for value in plane {
                *value = clip_if::<CLIP>(operation(*value, constant));
            }
        }
    }

    /// Applies `operation(red, green, blue)` everywhere.
    #[inline(always)]
    fn mix<const CLIP: bool>(&mut self, operation: impl Fn(f32, f32, f32) -> [f32; CHANNELS]) {
        let [red, green, blue] = self.begin(self.count);
        for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
            [*r, *g, *b] = operation(*r, *g, *b).map(clip_if::<CLIP>);
        }
    }
}

/// Parts in which sums are taken, whatever the processor's vectors hold.
const PARTS: usize = 32;

/// Sums of the three channels over any number of blocks. The order of additions is
/// fixed by the number of parts, not by the processor.
pub(crate) struct Sums([[f64; PARTS]; CHANNELS]);

impl Sums {
    pub(crate) fn new() -> Self {
        Self([[0.0; PARTS]; CHANNELS])
    }

    /// The means of as many pixels as were added.
    pub(crate) fn means(&self, pixels: usize) -> [f32; CHANNELS] {
        self.0
            .map(|parts| (parts.iter().sum::<f64>() / pixels as f64) as f32)
    }
}

/// Comparisons instead of `f32::max`: they compile to single instructions, and an
/// image has no NaN to care for.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

#[inline(always)]
fn smaller(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

#[inline(always)]
pub(crate) fn clip(x: f32) -> f32 {
    smaller(larger(x, 0.0), 1.0)
}

#[inline(always)]
fn clip_if<const CLIP: bool>(x: f32) -> f32 {
    if CLIP { clip(x) } else { x }
}

/// HSV saturation times `factor`, at most 1. With v = max(r, g, b) and
/// c = v - min(r, g, b), a channel x becomes `v - k (v - x)`, where k is the
/// factor, or v / c where that would make the smallest channel negative.
#[inline(always)]
fn saturate(r: f32, g: f32, b: f32, factor: f32) -> [f32; 3] {
    let value = larger(r, larger(g, b));
    let chroma = value - smaller(r, smaller(g, b));
    let positive = larger(value, 0.0);
    let k = if factor * chroma > positive {
        positive / chroma
    } else {
        factor
    };
    [
        value - k * (value - r),
        value - k * (value - g),
        value - k * (value - b),
    ]
}

/// HSV hue plus `sixths` / 6 of a turn. The hue is kept as a multiple of the
/// chroma, hue * chroma, which is a difference of two channels: no division, and
/// grey pixels need no special case.
#[inline(always)]
fn turn_hue(r: f32, g: f32, b: f32, sixths: f32) -> [f32; 3] {
    let value = larger(r, larger(g, b));
    let lowest = smaller(r, smaller(g, b));
    let chroma = value - lowest;
    let turn = 6.0 * chroma;
    let from_red = g - b;
    let from_green = (b - r) + 2.0 * chroma;
    let from_blue = (r - g) + 4.0 * chroma;
    let not_red = if g == value { from_green } else { from_blue };
    let hue = if r == value { from_red } else { not_red };
    // In (-chroma, 11 chroma), brought back to [0, 6 chroma).
    let moved = hue + sixths * chroma;
    let wrapped = if moved >= turn { moved - turn } else { moved };
    let hue = if wrapped < 0.0 {
        wrapped + turn
    } else {
        wrapped
    };
    // How far each channel lies above the lowest: a trapezium over the circle.
    let red = (hue - 3.0 * chroma).abs() - chroma;
    let green = 2.0 * chroma - (hue - 2.0 * chroma).abs();
    let blue = 2.0 * chroma - (hue - 4.0 * chroma).abs();
    let above = |x: f32| lowest + smaller(larger(x, 0.0), chroma);
    [above(red), above(green), above(blue)]
}
