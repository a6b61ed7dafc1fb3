//! NT-Xent for f32 on the CPU, forward and backward, without the matrix of all similarities.
//!
//! All `2n` views form one symmetric matrix of similarities `s_ij = z_i . z_j / T`.
//! The forward pass computes its upper triangle in stripes of rows and keeps, per
//! row, only a shift `m_i` and the sum of `exp(s_ij - m_i)`. The backward pass computes
//! the upper triangle again in square blocks and turns each, while in cache, into its
//! part of the gradient:
//!
//! ```text
//! n T dloss/dz_i = sum_j (p_ij + p_ji) z_j - 2 z_partner(i),   p_ij = exp(s_ij - m_i) / sum_i
//! ```
//!
//! Work is cut by the number of views alone and summed in a fixed order: the
//! result does not depend on the number of threads.

mod backward;
mod forward;
mod product;

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};
use rayon::prelude::*;

use super::composite::SQUARED_LENGTH_FLOOR;
use super::{NtXent, NtXentOutput, OPERATION};
use product::{pack, pack_transposed, panel_width};

pub(super) fn forward(config: &NtXent, embeddings: &Tensor) -> crate::Result<NtXentOutput> {
    let op = Fused {
        config: *config,
        saved: OnceLock::new(),
    };
    // One op has one output: the loss and, beside it, what carries no gradient.
    let output = embeddings.contiguous()?.apply_op1(op)?;
    Ok(NtXentOutput {
        loss: output.get(0)?,
        accuracy: output.get(1)?.detach(),
        entropy: output.get(2)?.detach(),
    })
}

struct Fused {
    config: NtXent,
    /// From the forward pass, for the backward pass.
    saved: OnceLock<(Views, Softmax)>,
}

impl CustomOp1 for Fused {
    fn name(&self) -> &'static str {
        OPERATION
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (rows, width) = layout.shape().dims2()?;
        let (start, end) = layout
            .contiguous_offsets()
            .ok_or_else(|| candle_core::Error::RequiresContiguous { op: OPERATION }.bt())?;
        let embeddings = &storage.as_slice::<f32>()?[start..end];
        let views = Views::new(&self.config, embeddings, rows, width);
        let (softmax, figures) = forward::forward(&views);
        let loss = (figures.loss * self.config.factor()) as f32;
        let output = vec![loss, figures.accuracy as f32, figures.entropy as f32];
        self.saved.get_or_init(|| (views, softmax));
        Ok((CpuStorage::F32(output), Shape::from(3)))
    }

    fn bwd(
        &self,
        embeddings: &Tensor,
        _output: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        let Some((views, softmax)) = self.saved.get() else {
            candle_core::bail!("{OPERATION}: backward before forward");
        };
        let upstream = f64::from(gradient.get(0)?.to_scalar::<f32>()?);
        let gradient = backward::backward(views, softmax, upstream * self.config.factor());
        let gradient = Tensor::from_vec(gradient, embeddings.shape(), embeddings.device())?;
        Ok(Some(gradient))
    }
}

/// The views, of unit length if so configured, in the layouts that the products want.
struct Views {
    arch: pulp::Arch,
    /// The number of views.
    count: usize,
    /// The numbers per view.
    width: usize,
    inverse_temperature: f32,
    /// `[view][width]`.
    values: Vec<f32>,
    /// Per view `1 / length`, and whether the length is above its floor; empty if
    /// the views are not normalised.
    inverse_lengths: Vec<(f32, bool)>,
    /// The transpose in panels of views.
    by_view: Vec<f32>,
    panel_width: usize,
    /// The largest similarity that can occur, if it is small enough to shift every
    /// row by it: with `s >= -bound` nothing underflows.
    bound: Option<f32>,
}

/// Views that a thread takes at least where little is done with each.
const MIN_VIEWS: usize = 128;

/// The range of arguments that `exp` maps to normal numbers, with some room.
const EXP_RANGE: f64 = 80.0;

impl Views {
    fn new(config: &NtXent, embeddings: &[f32], count: usize, width: usize) -> Self {
        let arch = pulp::Arch::new();
        let panel_width = panel_width(arch);
        let mut values = embeddings.to_vec();
        let mut inverse_lengths = Vec::new();
        if config.normalize {
            inverse_lengths = values
                .par_chunks_exact_mut(width)
                .with_min_len(MIN_VIEWS)
                .map(|view| {
                    let squared = squared_length(view);
                    let floor = SQUARED_LENGTH_FLOOR as f32;
                    let inverse = 1.0 / squared.max(floor).sqrt();
                    view.iter_mut().for_each(|value| *value *= inverse);
                    (inverse, squared > floor)
                })
                .collect();
        }
        let bound = 1.0 / config.temperature;
        Self {
            arch,
            count,
            width,
            inverse_temperature: bound as f32,
            by_view: pack_transposed(&values, width, panel_width),
            values,
            inverse_lengths,
            panel_width,
            bound: (config.normalize && 2.0 * bound <= EXP_RANGE).then_some(bound as f32),
        }
    }

    fn images(&self) -> usize {
        self.count / 2
    }

    /// The other view of the same image.
    fn partner(&self, view: usize) -> usize {
        (view + self.images()) % self.count
    }

    /// The views from `start` to `end`, multiples of the alignment or the end, in panels
    /// of numbers: `[panel][view][panel_width]`.
    fn by_number(&self, start: usize, end: usize) -> Vec<f32> {
        let values = &self.values[start * self.width..end * self.width];
        pack(values, self.width, self.panel_width)
    }

    /// The panels of the views from `start`, a multiple of the alignment, to `end`.
    fn panels(&self, start: usize, end: usize) -> &[f32] {
        let size = self.width * self.panel_width;
        let first = start / self.panel_width;
        &self.by_view[first * size..end.div_ceil(self.panel_width) * size]
    }
}

fn squared_length(view: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut lanes = [0.0f32; LANES];
    let (blocks, rest) = view.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            lanes[lane] += block[lane] * block[lane];
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().map(|value| value * value).sum::<f32>()
}

/// What remains of the softmax over each view's row of similarities.
struct Softmax {
    /// Per view the shift `m_i`.
    shift: Vec<f32>,
    /// Per view the sum of `exp(s_ij - m_i)` over the other views.
    sum: Vec<f32>,
    /// Per image the similarity of its two views.
    positive: Vec<f32>,
}
