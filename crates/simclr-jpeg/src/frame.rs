//! The picture as its file describes it: components and their coefficients.

use crate::error::{Result, damaged, unsupported};

/// Coefficients of a block, in natural (not zigzag) order.
pub(crate) type Block = [i16; 64];

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
}

/// The whole picture.
pub(crate) struct Frame {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) progressive: bool,
    pub(crate) components: Vec<Component>,
    /// Largest sampling factors.
    pub(crate) horizontal: usize,
    pub(crate) vertical: usize,
    /// Whether the three components are red, green and blue as they are.
    pub(crate) rgb: bool,
}

/// Coefficients (of 2 bytes) that are held at most, about a 300 megapixel photo.
const MAX_COEFFICIENTS: usize = 1 << 29;
/// Blocks that a byte of a file can hold: each has a bit at least, of its DC coefficient.
const BLOCKS_PER_BYTE: usize = 8;

impl Frame {
    /// From the content of a start-of-frame segment in a file of `file_bytes`.
    pub(crate) fn read(segment: &[u8], progressive: bool, file_bytes: usize) -> Result<Self> {
        let &[precision, h1, h0, w1, w0, count, ref specifications @ ..] = segment else {
            return damaged("the frame header is too short");
        };
        if precision != 8 {
            return unsupported(format!("{precision} bits per sample"));
        }
        if !matches!(count, 1 | 3) {
            return unsupported(format!("{count} components"));
        }
        let height = usize::from(u16::from_be_bytes([h1, h0]));
        let width = usize::from(u16::from_be_bytes([w1, w0]));
        if width == 0 {
            return damaged("the picture has no columns");
        }
        if height == 0 {
            return unsupported("a height that is told later");
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
            components: Vec::new(),
            horizontal,
            vertical,
            rgb: false,
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
        });
        Ok(())
    }

    /// Nothing is reserved for a picture larger than its file can hold.
    fn check_size(&self, file_bytes: usize) -> Result<()> {
        let stored = self.components.iter().map(|c| c.stride * c.rows);
        if stored.sum::<usize>() * 64 > MAX_COEFFICIENTS {
            return unsupported(format!("{} x {} pixels", self.height, self.width));
        }
        let components = self.components.iter();
        let blocks = components.map(|c| c.blocks_wide * c.blocks_high);
        if blocks.sum::<usize>() > BLOCKS_PER_BYTE.saturating_mul(file_bytes) {
            let (height, width) = (self.height, self.width);
            let reason = format!("{file_bytes} bytes cannot hold its {height} x {width} pixels");
            return damaged(reason);
        }
        Ok(())
    }

    /// Makes room for all coefficients, unless there is already.
    pub(crate) fn allocate(&mut self) {
        for component in &mut self.components {
            let blocks = component.stride * component.rows;
            component.blocks.resize(blocks, [0; 64]);
        }
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
}
