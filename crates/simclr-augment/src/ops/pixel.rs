//! Colour operations on planes of red, green and blue: the loops that all colour
//! operations and the whole policy share.
//!
//! Nothing here divides per pixel except saturation where it saturates, and
//! nothing is fused into multiply-adds, so every processor gives the same bits.

use crate::CHANNELS;

/// One operation with everything decided. Values are clipped to [0, 1] after it
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
const LUMA: [f32; CHANNELS] = [0.2989, 0.587, 0.114];

/// Pixels that are handled at a time: three planes of them stay in the first cache.
pub(crate) const BLOCK: usize = 256;

/// A block of pixels as one array per channel.
pub(crate) struct Planes {
    planes: [[f32; BLOCK]; CHANNELS],
}

impl Planes {
    pub(crate) fn new() -> Self {
        Self {
            planes: [[0.0; BLOCK]; CHANNELS],
        }
    }

    /// Takes at most [`BLOCK`] pixels in.
    #[inline(always)]
    fn load(&mut self, pixels: &[[f32; CHANNELS]]) {
        let [red, green, blue] = &mut self.planes;
        for (i, pixel) in pixels.iter().take(BLOCK).enumerate() {
            red[i] = pixel[0];
            green[i] = pixel[1];
            blue[i] = pixel[2];
        }
    }

    #[inline(always)]
    fn store(&self, pixels: &mut [[f32; CHANNELS]]) {
        let [red, green, blue] = &self.planes;
        for (i, pixel) in pixels.iter_mut().take(BLOCK).enumerate() {
            *pixel = [red[i], green[i], blue[i]];
        }
    }

    /// Adds the sums of the first `count` pixels. The order of additions is fixed
    /// by the number of partial sums, not by the processor's vector length.
    #[inline(always)]
    fn add_sums(&self, count: usize, sums: &mut [f64; CHANNELS]) {
        const PARTS: usize = 16;
        for (plane, sum) in self.planes.iter().zip(sums) {
            let (chunks, rest) = plane[..count].as_chunks::<PARTS>();
            let mut parts = [0.0f32; PARTS];
            for chunk in chunks {
                for (part, value) in parts.iter_mut().zip(chunk) {
                    *part += value;
                }
            }
            *sum += parts.iter().chain(rest).map(|&v| f64::from(v)).sum::<f64>();
        }
    }

    #[inline(always)]
    fn apply(&mut self, op: PixelOp) {
        let [red, green, blue] = &mut self.planes;
        match op {
            PixelOp::Scale(factor) => each(&mut self.planes, |x, _| x * factor, [0.0; CHANNELS]),
            PixelOp::Offset(delta) => each(&mut self.planes, |x, _| x + delta, [0.0; CHANNELS]),
            PixelOp::Contrast { factor, means } => each(
                &mut self.planes,
                |x, mean| (x - mean) * factor + mean,
                means,
            ),
            PixelOp::Saturation(factor) => {
                for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
                    [*r, *g, *b] = saturate(*r, *g, *b, factor);
                }
            }
            PixelOp::Hue(delta) => {
                // In sixths of a turn, within one turn.
                let sixths = (delta * 6.0).rem_euclid(6.0);
                for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
                    [*r, *g, *b] = turn_hue(*r, *g, *b, sixths);
                }
            }
            PixelOp::Grayscale => {
                for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
                    let luma = *r * LUMA[0] + *g * LUMA[1] + *b * LUMA[2];
                    [*r, *g, *b] = [luma; CHANNELS];
                }
            }
            PixelOp::Clip => each(&mut self.planes, |x, _| clip(x), [0.0; CHANNELS]),
        }
    }
}

/// Applies `operation(value, constant of the channel)` everywhere.
#[inline(always)]
fn each(
    planes: &mut [[f32; BLOCK]; CHANNELS],
    operation: impl Fn(f32, f32) -> f32,
    constants: [f32; CHANNELS],
) {
    for (plane, constant) in planes.iter_mut().zip(constants) {
        for value in plane {
            *value = operation(*value, constant);
        }
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

/// Applies `ops` in order to pixels in place, clipping after each if `CLIP`, and
/// returns the sums of the results per channel if `SUM`.
#[inline(always)]
pub(crate) fn apply_ops<const CLIP: bool, const SUM: bool>(
    pixels: &mut [[f32; CHANNELS]],
    ops: &[PixelOp],
    planes: &mut Planes,
) -> [f64; CHANNELS] {
    let mut sums = [0.0; CHANNELS];
    if ops.is_empty() && !SUM {
        return sums;
    }
    for block in pixels.chunks_mut(BLOCK) {
        planes.load(block);
        for &op in ops {
            planes.apply(op);
            if CLIP {
                planes.apply(PixelOp::Clip);
            }
        }
        if SUM {
            planes.add_sums(block.len(), &mut sums);
        }
        if !ops.is_empty() {
            planes.store(block);
        }
    }
    sums
}
