//! The right operand of a convolution's products.

/// A kernel `[taps, inputs, outputs]`, seen as the matrix of a forward or a backward product.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weights<'a> {
    kernel: &'a [f32],
    /// Elements of one tap.
    tap: usize,
    /// Rows of the matrix per tap, and the distance between them.
    rows: (usize, usize),
    /// Columns of the matrix, and the distance between them.
    columns: (usize, usize),
}

impl<'a> Weights<'a> {
    /// From inputs to outputs.
    pub(super) fn forward(kernel: &'a [f32], inputs: usize, outputs: usize) -> Self {
        Self {
            kernel,
            tap: inputs * outputs,
            rows: (inputs, outputs),
            columns: (outputs, 1),
        }
    }

    /// From outputs to inputs.
    pub(super) fn backward(kernel: &'a [f32], inputs: usize, outputs: usize) -> Self {
        Self {
            kernel,
            tap: inputs * outputs,
            rows: (outputs, 1),
            columns: (inputs, outputs),
        }
    }

    pub(super) fn columns(&self) -> usize {
        self.columns.0
    }

    /// The columns `first ..` of the given taps, `width` to a row, zeros after the last column.
    /// Each tap is one run of the matrix's rows, or several taps that lie together.
    #[inline(always)]
    pub(super) fn pack_panel(
        &self,
        taps: &[usize],
        run: usize,
        first: usize,
        width: usize,
        panel: &mut Vec<f32>,
    ) {
        match width {
            32 => self.pack::<32>(taps, run, first, panel),
            _ => self.pack::<16>(taps, run, first, panel),
        }
    }

    #[inline(always)]
    fn pack<const WIDTH: usize>(
        &self,
        taps: &[usize],
        run: usize,
        first: usize,
        panel: &mut Vec<f32>,
    ) {
        panel.resize(taps.len() * run * WIDTH, 0.0);
        let count = WIDTH.min(self.columns.0 - first);
        if count < WIDTH {
            panel.fill(0.0);
        }
        let (rows, _) = panel.as_chunks_mut::<WIDTH>();
        for (&tap, rows) in taps.iter().zip(rows.chunks_exact_mut(run.max(1))) {
            let start = tap * self.tap + first * self.columns.1;
            if self.columns.1 == 1 {
                for (k, row) in rows.iter_mut().enumerate() {
                    let source = &self.kernel[start + k * self.rows.1..][..count];
                    match source.first_chunk::<WIDTH>() {
                        Some(source) => *row = *source,
                        None => row[..count].copy_from_slice(source),
                    }
                }
            } else {
                self.transpose(start, count, rows);
            }
        }
    }

    /// Sixteen numbers of each column at a time: what is read and what is written then
    /// stay in the first-level cache.
    #[inline(always)]
    fn transpose<const WIDTH: usize>(&self, start: usize, count: usize, rows: &mut [[f32; WIDTH]]) {
        const BLOCK: usize = 16;
        for (index, rows) in rows.chunks_mut(BLOCK).enumerate() {
            let begin = index * BLOCK;
            for column in 0..count {
                let source = &self.kernel[start + column * self.columns.1 + begin..];
                for (row, &value) in rows.iter_mut().zip(source) {
                    row[column] = value;
                }
            }
        }
    }
}
