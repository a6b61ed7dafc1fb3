use std::io::{self, Read};

use super::directory::{Directory, tag};
use super::layout::{Layout, SampleType};
use super::reason::{damaged, unsupported};

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

/// Rows of YCbCr pixels, of data whose colours are subsampled: for each block of pixels the Y
/// of all, one Cb and one Cr, which all pixels of the block get.
pub(super) struct FullResolution<'a> {
    blocks: Box<dyn Read + 'a>,
    width: usize,
    horizontal: usize,
    vertical: usize,
    rows: io::Cursor<Vec<u8>>,
}

impl<'a> FullResolution<'a> {
    pub(super) fn of(
        blocks: Box<dyn Read + 'a>,
        layout: &Layout,
        horizontal: usize,
        vertical: usize,
    ) -> Result<Box<dyn Read + 'a>, String> {
        if (horizontal, vertical) == (1, 1) {
            return Ok(blocks);
        }
        let (kind, samples) = (layout.sample_type, layout.samples);
        if layout.is_planar || kind != SampleType::Unsigned(8) || samples != 3 {
            return Err(unsupported(format!(
                "subsampled YCbCr of {kind}, {samples} samples"
            )));
        }
        Ok(Box::new(Self {
            blocks,
            width: layout.chunks.width,
            horizontal,
            vertical,
            rows: io::Cursor::default(),
        }))
    }

    /// Reads a row of blocks and makes rows of pixels of it.
    fn read_blocks(&mut self) -> io::Result<()> {
        let per_block = self.horizontal * self.vertical;
        let across = self.width.div_ceil(self.horizontal);
        let mut row = Vec::new();
        let len = across * (per_block + 2);
        let read = self
            .blocks
            .by_ref()
            .take(len as u64)
            .read_to_end(&mut row)?;
        if read < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut pixels = vec![0; self.width * self.vertical * 3];
        for (y, pixels) in pixels.chunks_exact_mut(self.width * 3).enumerate() {
            for (x, pixel) in pixels.as_chunks_mut().0.iter_mut().enumerate() {
                let block = &row[x / self.horizontal * (per_block + 2)..][..per_block + 2];
                let luma = block[y * self.horizontal + x % self.horizontal];
                *pixel = [luma, block[per_block], block[per_block + 1]];
            }
        }
        self.rows = io::Cursor::new(pixels);
        Ok(())
    }
}

impl Read for FullResolution<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.rows.position() as usize == self.rows.get_ref().len() {
            self.read_blocks()?;
        }
        self.rows.read(out)
    }
}
