//! From coefficients to pixels, a row of groups of blocks at a time.

use simclr_augment::DecodedImage;

use super::color::{gray_to_rgb, to_rgb};
use super::frame::{Block, Frame};
use super::transform::{Multipliers, inverse};
use super::upsample::{Scratch, upsample_row};
use super::{JpegError, damaged};

/// Puts a picture together whose coefficients are all there.
pub(super) fn assemble(frame: &Frame) -> Result<DecodedImage, JpegError> {
    let mut assembler = Assembler::new(frame)?;
    for y in 0..frame.groups_high() {
        for (index, component) in frame.components.iter().enumerate() {
            let blocks = component.stride * component.vertical;
            assembler.add_row(index, y, &component.blocks[y * blocks..(y + 1) * blocks]);
        }
        assembler.draw(y);
    }
    assembler.finish()
}

/// The samples of a component, as far as pixels still to be drawn need them: those of
/// the last two rows of groups.
pub(super) struct Plane {
    samples: Vec<u8>,
    stride: usize,
    /// Rows of samples that are kept.
    kept: usize,
    pub(super) width: usize,
    pub(super) height: usize,
    /// Pixels per sample: columns, rows.
    pub(super) factors: (usize, usize),
    multipliers: Multipliers,
}

impl Plane {
    pub(super) fn row(&self, y: usize) -> &[u8] {
        &self.samples[(y % self.kept) * self.stride..][..self.width]
    }
}

/// A picture that grows downwards.
pub(super) struct Assembler<'a> {
    frame: &'a Frame,
    planes: Vec<Plane>,
    pixels: Vec<u8>,
    /// Rows of pixels that are there.
    drawn: usize,
    scratch: [Scratch; 3],
}

impl<'a> Assembler<'a> {
    pub(super) fn new(frame: &'a Frame) -> Result<Self, JpegError> {
        let mut planes = Vec::new();
        for component in &frame.components {
            let Some(quantization) = &component.quantization else {
                return damaged("a quantisation table is missing");
            };
            let (stride, kept) = (component.stride * 8, component.vertical * 16);
            planes.push(Plane {
                samples: vec![0; stride * kept],
                stride,
                kept,
                width: component.width,
                height: component.height,
                factors: (
                    frame.horizontal / component.horizontal,
                    frame.vertical / component.vertical,
                ),
                multipliers: Multipliers::new(quantization),
            });
        }
        Ok(Self {
            frame,
            planes,
            pixels: vec![0; frame.height * frame.width * 3],
            drawn: 0,
            scratch: Default::default(),
        })
    }

    /// Takes the blocks of a component in the row `y` of groups.
    pub(super) fn add_row(&mut self, component: usize, y: usize, blocks: &[Block]) {
        let plane = &mut self.planes[component];
        let wide = plane.stride / 8;
        let first = (y * plane.kept / 2) % plane.kept;
        let samples = plane.samples[first * plane.stride..].chunks_exact_mut(8 * plane.stride);
        for (blocks, samples) in blocks.chunks_exact(wide).zip(samples) {
            inverse(blocks, &plane.multipliers, samples);
        }
    }

    /// Draws the pixels that need nothing below the row `y` of groups.
    pub(super) fn draw(&mut self, y: usize) {
        let (height, width) = (self.frame.height, self.frame.width);
        // The last row may need samples of the next groups.
        let bottom = 8 * self.frame.vertical * (y + 1);
        let end = if bottom < height { bottom - 1 } else { height };
        let rows = self.pixels.chunks_exact_mut(width * 3).enumerate();
        for (y, row) in rows.take(end).skip(self.drawn) {
            match self.planes.as_slice() {
                [gray] => gray_to_rgb(gray.row(y), row),
                [first, second, third] => {
                    let [a, b, c] = &mut self.scratch;
                    let lines = [
                        upsample_row(first, y, a),
                        upsample_row(second, y, b),
                        upsample_row(third, y, c),
                    ];
                    to_rgb(lines, self.frame.rgb, row);
                }
                // A frame has one or three components.
                _ => {}
            }
        }
        self.drawn = end;
    }

    pub(super) fn finish(self) -> Result<DecodedImage, JpegError> {
        let (height, width) = (self.frame.height, self.frame.width);
        DecodedImage::new(height, width, self.pixels).or_else(|error| damaged(error.to_string()))
    }
}
