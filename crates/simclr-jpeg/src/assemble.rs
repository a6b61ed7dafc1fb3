//! From coefficients to pixels, one row of MCUs (interleaved groups of blocks) at a time.

use crate::coefficients::Block;
use crate::color::{ColorSpace, gray_to_rgb, inks_to_rgb, to_rgb};
use crate::error::{Result, damaged};
use crate::frame::Frame;
use crate::transform::{Multipliers, inverse};
use crate::upsample::{Plane, Scratch, upsample_row};

/// A decoded image, 8 bits per channel.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decoded {
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
    /// Bytes of a pixel: 3, or of [`decode_embedded`](crate::decode_embedded) the number of
    /// components.
    pub channels: usize,
    /// `height * width * channels` bytes, row by row: red, green and blue of each pixel, of grey
    /// files three equal ones; or the components.
    pub pixels: Vec<u8>,
}

impl std::fmt::Debug for Decoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoded")
            .field("height", &self.height)
            .field("width", &self.width)
            .finish_non_exhaustive()
    }
}

/// Takes rows of pixels as soon as they are decoded.
pub(crate) type RowHandler<'r> = &'r mut dyn FnMut(&[u8]);

/// Makes the image of a frame whose coefficients have all been decoded; without pixels if its
/// rows were handed out.
pub(crate) fn assemble(frame: &Frame, handler: Option<RowHandler<'_>>) -> Result<Decoded> {
    let mut assembler = Assembler::new(frame, handler)?;
    for y in 0..frame.mcu_rows() {
        for (index, component) in frame.components.iter().enumerate() {
            let blocks = component.stride * component.vertical;
            assembler.add_row(index, y, &component.blocks[y * blocks..(y + 1) * blocks]);
        }
        assembler.draw(y);
    }
    Ok(assembler.finish())
}

/// An image that is filled from the top.
pub(crate) struct Assembler<'a, 'r> {
    frame: &'a Frame,
    planes: Vec<Plane>,
    /// The whole picture, or the rows that are handed out next.
    pixels: Vec<u8>,
    handler: Option<RowHandler<'r>>,
    /// Rows of pixels written so far.
    drawn: usize,
    scratch: [Scratch; 4],
}

impl<'a, 'r> Assembler<'a, 'r> {
    pub(crate) fn new(frame: &'a Frame, handler: Option<RowHandler<'r>>) -> Result<Self> {
        let mut planes = Vec::new();
        for component in &frame.components {
            let Some(quantization) = &component.quantization else {
                return damaged("a quantisation table is missing");
            };
            let (stride, kept) = (component.stride * 8, component.vertical * 16);
            let columns = frame.horizontal / component.horizontal;
            let rows = frame.vertical / component.vertical;
            planes.push(Plane {
                samples: vec![0; stride * kept],
                stride,
                kept,
                width: component.width,
                height: component.height,
                factors: (columns, rows),
                multipliers: if frame.is_accurate {
                    Multipliers::accurate(quantization)
                } else {
                    Multipliers::fast(quantization)
                },
            });
        }
        // An MCU row gives the last row of pixels of the one above it, too.
        let kept = match handler {
            Some(_) => frame.height.min(8 * frame.vertical + 1),
            None => frame.height,
        };
        Ok(Self {
            frame,
            planes,
            pixels: vec![0; kept * frame.width * frame.channels()],
            handler,
            drawn: 0,
            scratch: Default::default(),
        })
    }

    /// Transforms a component's blocks in MCU row `y` into samples.
    pub(crate) fn add_row(&mut self, component: usize, y: usize, blocks: &[Block]) {
        let plane = &mut self.planes[component];
        let wide = plane.stride / 8;
        let first = (y * plane.kept / 2) % plane.kept;
        let samples = plane.samples[first * plane.stride..].chunks_exact_mut(8 * plane.stride);
        for (blocks, samples) in blocks.chunks_exact(wide).zip(samples) {
            inverse(blocks, &plane.multipliers, samples);
        }
    }

    /// Writes the pixels that need no samples below MCU row `y`.
    pub(crate) fn draw(&mut self, y: usize) {
        let (height, channels) = (self.frame.height, self.frame.channels());
        let row_bytes = self.frame.width * channels;
        // The last row of pixels may need samples of the next MCU row.
        let bottom = 8 * self.frame.vertical * (y + 1);
        let end = if bottom < height { bottom - 1 } else { height };
        let first = if self.handler.is_some() {
            self.drawn
        } else {
            0
        };
        let rows = (first..end).zip(self.pixels.chunks_exact_mut(row_bytes));
        for (y, row) in rows.skip(self.drawn - first) {
            match self.planes.as_slice() {
                stored if self.frame.color == ColorSpace::Stored => {
                    let planes = stored.iter().zip(&mut self.scratch).enumerate();
                    for (channel, (plane, scratch)) in planes {
                        let line = upsample_row(plane, y, scratch);
                        for (pixel, value) in row.chunks_exact_mut(channels).zip(line) {
                            pixel[channel] = *value;
                        }
                    }
                }
                [gray] => gray_to_rgb(gray.row(y), row),
                [first, second, third] => {
                    let [a, b, c, _] = &mut self.scratch;
                    let lines = [
                        upsample_row(first, y, a),
                        upsample_row(second, y, b),
                        upsample_row(third, y, c),
                    ];
                    to_rgb(lines, self.frame.color == ColorSpace::Rgb, row);
                }
                [first, second, third, black] => {
                    let [a, b, c, d] = &mut self.scratch;
                    let lines = [
                        upsample_row(first, y, a),
                        upsample_row(second, y, b),
                        upsample_row(third, y, c),
                        upsample_row(black, y, d),
                    ];
                    inks_to_rgb(lines, self.frame.color, row);
                }
                // Of two components, nothing but themselves is made.
                _ => {}
            }
        }
        if let Some(handler) = &mut self.handler {
            handler(&self.pixels[..(end - first) * row_bytes]);
        }
        self.drawn = end;
    }

    pub(crate) fn finish(self) -> Decoded {
        Decoded {
            height: self.frame.height,
            width: self.frame.width,
            channels: self.frame.channels(),
            pixels: match self.handler {
                Some(_) => Vec::new(),
                None => self.pixels,
            },
        }
    }
}
