//! Pixels of subsampled YCbCr.

use std::io::{self, Read};

use super::layout::{Layout, SampleType};
use super::reason::unsupported;

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
