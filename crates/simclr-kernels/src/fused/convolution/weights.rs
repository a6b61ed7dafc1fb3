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
        panel.clear();
        panel.resize(taps.len() * run * width, 0.0);
        let count = width.min(self.columns.0 - first);
        for (&tap, rows) in taps.iter().zip(panel.chunks_exact_mut(run * width)) {
            let start = tap * self.tap + first * self.columns.1;
            if self.columns.1 == 1 {
                let source = &self.kernel[start..];
                for (k, row) in rows.chunks_exact_mut(width).enumerate() {
                    row[..count].copy_from_slice(&source[k * self.rows.1..][..count]);
                }
            } else {
                self.transpose(start, run, count, width, rows);
            }
        }
    }

    /// Sixteen numbers of each column at a time: what is read and what is written then
    /// stay in the first-level cache.
    #[inline(always)]
    fn transpose(&self, start: usize, run: usize, count: usize, width: usize, rows: &mut [f32]) {
        const BLOCK: usize = 16;
        for begin in (0..run).step_by(BLOCK) {
            let end = run.min(begin + BLOCK);
            for column in 0..count {
                let source = &self.kernel[start + column * self.columns.1..][begin..end];
                for (row, &value) in rows[begin * width..].chunks_exact_mut(width).zip(source) {
                    row[column] = value;
                }
            }
        }
    }
}
