//! From YCbCr to RGB.

use super::directory::{Directory, tag};
use super::reason::damaged;

/// YCbCr to RGB in 16-bit fixed point, as libtiff computes it: what each value of a channel adds.
#[derive(Debug, Clone)]
pub(super) struct Conversion {
    luma: [i32; 256],
    cr_to_red: [i32; 256],
    cb_to_blue: [i32; 256],
    /// Times 2^16.
    cr_to_green: [i32; 256],
    cb_to_green: [i32; 256],
}

impl Conversion {
    /// By the tags for the weights of red, green and blue in luma, and for the values of black and
    /// white of each channel; without them, that of JPEG.
    pub(super) fn of(directory: &Directory<'_>) -> Result<Box<Self>, String> {
        const HALF: i32 = 1 << 15;
        let weights = directory.fractions(tag::YCBCR_COEFFICIENTS)?;
        let [red, green, blue] = weights.unwrap_or([0.299, 0.587, 0.114]);
        if green == 0.0 {
            return Err(damaged("green has no weight in luma (tag 529)"));
        }
        let levels = directory.fractions(tag::REFERENCE_BLACK_WHITE)?;
        let levels = levels.unwrap_or([0.0, 255.0, 128.0, 255.0, 128.0, 255.0]);
        let [black, white, cb_zero, cb_most, cr_zero, cr_most] = levels;
        let fixed = |factor: f32| f64::from(factor.clamp(0.0, 2.0)).mul_add(65536.0, 0.5) as i32;
        let (red_factor, blue_factor) = (2.0 - 2.0 * red, 2.0 - 2.0 * blue);
        let cr_to_green = -fixed(red * red_factor / green);
        let cb_to_green = -fixed(blue * blue_factor / green);
        let channel = |code: i32, zero: f32, most: f32, range: f32| {
            let span = if most == zero { 1.0 } else { most - zero };
            let value = (code.saturating_sub(zero as i32)) as f32 * range / span;
            value.clamp(-4096.0, 4096.0) as i32
        };
        let luma = |code: usize| channel(code as i32, black, white, 255.0);
        let chroma = |zero: f32, most: f32| {
            move |code: usize| channel(code as i32 - 128, zero - 128.0, most - 128.0, 127.0)
        };
        let (cb, cr) = (chroma(cb_zero, cb_most), chroma(cr_zero, cr_most));
        Ok(Box::new(Self {
            luma: std::array::from_fn(luma),
            cr_to_red: std::array::from_fn(|code| (fixed(red_factor) * cr(code) + HALF) >> 16),
            cb_to_blue: std::array::from_fn(|code| (fixed(blue_factor) * cb(code) + HALF) >> 16),
            cr_to_green: std::array::from_fn(|code| cr_to_green * cr(code)),
            cb_to_green: std::array::from_fn(|code| cb_to_green * cb(code) + HALF),
        }))
    }

    pub(super) fn rgb(&self, y: u8, cb: u8, cr: u8) -> [u8; 3] {
        let (cb, cr) = (usize::from(cb), usize::from(cr));
        let green = (self.cb_to_green[cb] + self.cr_to_green[cr]) >> 16;
        let colors = [self.cr_to_red[cr], green, self.cb_to_blue[cb]];
        colors.map(|color| (self.luma[usize::from(y)] + color).clamp(0, 255) as u8)
    }
}
