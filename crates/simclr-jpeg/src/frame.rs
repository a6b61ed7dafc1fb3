//! The picture as its file describes it: components and their coefficients.

use crate::coefficients::{Band, Block};
use crate::color::ColorSpace;
use crate::error::{Result, damaged, unsupported};

/// One colour component.
pub(crate) struct Component {
    pub(crate) id: u8,
    /// Sampling factors.
    pub(crate) horizontal: usize,
    pub(crate) vertical: usize,
    /// Number of its quantisation table.
    table: usize,
    /// The table itself, in natural order, as it was when the component's first
    /// scan began.
    pub(crate) quantization: Option<[u16; 64]>,
    /// Samples that belong to the picture.
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Blocks that hold samples of the picture.
    pub(crate) blocks_wide: usize,
    pub(crate) blocks_high: usize,
    /// Blocks per stored row, and stored rows; whole MCUs are stored.
    pub(crate) stride: usize,
    rows: usize,
    /// All coefficients, if several scans give them.
    pub(crate) blocks: Vec<Block>,
    /// By coefficient, in zigzag order: the lowest bit that scans have given so far.
    lowest_bits: [Option<u32>; 64],
}

/// The whole picture.
pub(crate) struct Frame {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) progressive: bool,
    /// Whether coefficients are coded arithmetically, not by Huffman's codes.
    pub(crate) arithmetic: bool,
    pub(crate) components: Vec<Component>,
    /// Largest sampling factors.
    pub(crate) horizontal: usize,
    pub(crate) vertical: usize,
    pub(crate) color: ColorSpace,
    /// Whether the inverse transform is libjpeg's accurate one, not its fast one.
    pub(crate) is_accurate: bool,
}

impl Frame {
    /// From the content of a start-of-frame segment in a file of `file_bytes`. `marker` tells
    /// the coding process.
    pub(crate) fn read(segment: &[u8], marker: u8, file_bytes: usize) -> Result<Self> {
        let (progressive, arithmetic) = match marker {
            0xC0 | 0xC1 => (false, false),
            0xC2 => (true, false),
            0xC9 => (false, true),
            0xCA => (true, true),
            0xC3 | 0xCB => return unsupported("lossless"),
            _ => return unsupported("hierarchical"),
        };
        let &[precision, h1, h0, w1, w0, count, ref specifications @ ..] = segment else {
            return damaged("the frame header is too short");
        };
        if precision != 8 {
            return unsupported(format!("{precision} bits per sample"));
        }
        let color = match count {
            1 => ColorSpace::Gray,
            2 => ColorSpace::Stored,
            3 => ColorSpace::YCbCr,
            4 => ColorSpace::Cmyk,
            _ => return unsupported(format!("{count} components")),
        };
        let height = usize::from(u16::from_be_bytes([h1, h0]));
        let width = usize::from(u16::from_be_bytes([w1, w0]));
        if width == 0 {
            return damaged("the picture has no columns");
        }
        if height == 0 {
            return unsupported("a height that is told behind the picture (DNL)");
        }
        let (specifications, _) = specifications.as_chunks::<3>();
        if specifications.len() < usize::from(count) {
            return damaged("the frame header is too short");
        }
        let specifications = &specifications[..usize::from(count)];
        // A single component is never interleaved, whatever its factors say.
        let factors = |packed: u8| match count {
            1 => (1, 1),
            _ => (usize::from(packed >> 4), usize::from(packed & 15)),
        };
        let (mut horizontal, mut vertical) = (1, 1);
        for &[_, packed, _] in specifications {
            let (h, v) = factors(packed);
            if !(1..=4).contains(&h) || !(1..=4).contains(&v) {
                return damaged("a sampling factor is not 1 to 4");
            }
            (horizontal, vertical) = (horizontal.max(h), vertical.max(v));
        }
        let mut frame = Self {
            width,
            height,
            progressive,
            arithmetic,
            components: Vec::new(),
            horizontal,
            vertical,
            color,
            is_accurate: false,
        };
        for &[id, packed, table] in specifications {
            frame.add_component(id, factors(packed), usize::from(table))?;
        }
        frame.check_size(file_bytes)?;
        Ok(frame)
    }

    fn add_component(
        &mut self,
        id: u8,
        (horizontal, vertical): (usize, usize),
        table: usize,
    ) -> Result<()> {
        if !self.horizontal.is_multiple_of(horizontal) || !self.vertical.is_multiple_of(vertical) {
            return unsupported("chroma sampled at a fractional rate");
        }
        let width = (self.width * horizontal).div_ceil(self.horizontal);
        let height = (self.height * vertical).div_ceil(self.vertical);
        self.components.push(Component {
            id,
            horizontal,
            vertical,
            table,
            quantization: None,
            width,
            height,
            blocks_wide: width.div_ceil(8),
            blocks_high: height.div_ceil(8),
            stride: self.mcus_per_row() * horizontal,
            rows: self.mcu_rows() * vertical,
            blocks: Vec::new(),
            lowest_bits: [None; 64],
        });
        Ok(())
    }

    /// Nothing is reserved for a picture larger than its file can hold.
    fn check_size(&self, file_bytes: usize) -> Result<()> {
        let (height, width) = (self.height, self.width);
        let blocks = self
            .components
            .iter()
            .map(|c| c.stride as u64 * c.rows as u64);
        // Coefficients of two bytes, and pixels. Where pointers have 32 bits, they may not fit.
        let coefficients = blocks.sum::<u64>() * size_of::<Block>() as u64;
        let pixels = height as u64 * width as u64 * self.components.len().max(3) as u64;
        if isize::try_from(coefficients.max(pixels)).is_err() {
            let size = format!("{height} x {width} pixels, more than this machine can address");
            return unsupported(size);
        }
        // A Huffman code has a bit at least; a decision of the arithmetic code costs as little
        // as its smallest probability, 2^-15, and a block has two.
        let blocks_per_byte = if self.arithmetic { 8 << 14 } else { 8 };
        let components = self.components.iter();
        let blocks = components.map(|c| c.blocks_wide * c.blocks_high);
        if blocks.sum::<usize>() > file_bytes.saturating_mul(blocks_per_byte) {
            let reason = format!("{file_bytes} bytes cannot hold its {height} x {width} pixels");
            return damaged(reason);
        }
        Ok(())
    }

    /// Makes room for all coefficients, unless there is already.
    pub(crate) fn allocate(&mut self) -> Result<()> {
        for component in &mut self.components {
            let blocks = component.stride * component.rows;
            let missing = blocks - component.blocks.len();
            if component.blocks.try_reserve_exact(missing).is_err() {
                let (height, width) = (self.height, self.width);
                return unsupported(format!(
                    "{height} x {width} pixels, whose {blocks} blocks need more memory than there is"
                ));
            }
            component.blocks.resize(blocks, [0; 64]);
        }
        Ok(())
    }

    /// Bytes of a pixel.
    pub(crate) fn channels(&self) -> usize {
        match self.color {
            ColorSpace::Stored => self.components.len(),
            _ => 3,
        }
    }

    /// Whether components have fewer samples than there are pixels.
    pub(crate) fn is_subsampled(&self) -> bool {
        let own = |component: &Component| (component.horizontal, component.vertical);
        let full = (self.horizontal, self.vertical);
        self.components
            .iter()
            .any(|component| own(component) != full)
    }

    /// MCUs (interleaved groups of blocks) in a row.
    pub(crate) fn mcus_per_row(&self) -> usize {
        self.width.div_ceil(8 * self.horizontal)
    }

    /// Rows of MCUs.
    pub(crate) fn mcu_rows(&self) -> usize {
        self.height.div_ceil(8 * self.vertical)
    }

    /// Remembers the quantisation tables of components whose first scan begins.
    pub(crate) fn settle_quantization(
        &mut self,
        components: impl Iterator<Item = usize>,
        tables: &[Option<[u16; 64]>; 4],
    ) -> Result<()> {
        for index in components {
            let component = &mut self.components[index];
            let table = tables.get(component.table).copied().flatten();
            component.quantization = component.quantization.or(table);
            if component.quantization.is_none() {
                return damaged("a quantisation table is missing");
            }
        }
        Ok(())
    }

    /// Notes what a scan gives, which has to go on where the scans before it ended.
    pub(crate) fn advance(
        &mut self,
        components: impl Iterator<Item = usize>,
        band: Band,
    ) -> Result<()> {
        let expected = band.refining.then_some(band.low + 1);
        for index in components {
            for bit in &mut self.components[index].lowest_bits[band.first..=band.last] {
                if *bit != expected {
                    return damaged("a scan is missing, or there twice");
                }
                *bit = Some(band.low);
            }
        }
        Ok(())
    }

    /// Whether scans gave every bit of every coefficient. libjpeg draws what there is.
    pub(crate) fn check_complete(&self) -> Result<()> {
        for component in &self.components {
            let incomplete = |&bit: &Option<u32>| bit != Some(0);
            if let Some(k) = component.lowest_bits.iter().position(incomplete) {
                let id = component.id;
                let missing = format!("scans are missing: component {id} lacks coefficient {k}");
                return damaged(missing);
            }
        }
        Ok(())
    }
}
