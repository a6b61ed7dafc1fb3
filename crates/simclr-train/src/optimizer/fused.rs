//! In-place access to f32 variables on the CPU, and sums that do not depend
//! on the number of threads.

use std::cell::RefCell;

use candle_core::{CpuStorage, InplaceOp2, Layout, Tensor, Var};
use rayon::prelude::*;

/// Elements per task. Fixed, so that partial sums are always the same ones.
const CHUNK: usize = 1 << 14;

/// Runs `update` on the elements of the variable and of its gradient.
pub(super) fn in_place(
    variable: &Var,
    gradient: &Tensor,
    update: impl FnMut(&mut [f32], &[f32]),
) -> candle_core::Result<()> {
    variable.inplace_op2(&gradient.contiguous()?, &InPlace(RefCell::new(update)))
}

struct InPlace<F>(RefCell<F>);

impl<F: FnMut(&mut [f32], &[f32])> InplaceOp2 for InPlace<F> {
    fn name(&self) -> &'static str {
        "optimizer-update"
    }

    fn cpu_fwd(
        &self,
        variable: &mut CpuStorage,
        variable_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> candle_core::Result<()> {
        let contiguous = |layout: &Layout| {
            layout.contiguous_offsets().ok_or_else(|| {
                candle_core::Error::RequiresContiguous {
                    op: "optimizer-update",
                }
                .bt()
            })
        };
        let (start, end) = contiguous(variable_layout)?;
        let CpuStorage::F32(values) = variable else {
            candle_core::bail!("optimizer-update: expected an f32 variable");
        };
        let values = &mut values[start..end];
        let (start, end) = contiguous(gradient_layout)?;
        let gradient = &gradient.as_slice::<f32>()?[start..end];
        (self.0.borrow_mut())(values, gradient);
        Ok(())
    }
}

/// `sqrt(sum over i of f(inputs[0][i], inputs[1][i], ...)^2)`; inputs of one length.
pub(super) fn norm_of<const N: usize>(
    inputs: [&[f32]; N],
    f: impl Fn([f32; N]) -> f32 + Sync,
) -> f64 {
    let length = inputs.iter().map(|input| input.len()).min().unwrap_or(0);
    let partial: Vec<f64> = (0..length.div_ceil(CHUNK))
        .into_par_iter()
        .map(|chunk| {
            let range = chunk * CHUNK..length.min((chunk + 1) * CHUNK);
            sum_of_squares(inputs.map(|input| &input[range.clone()]), &f)
        })
        .collect();
    partial.into_iter().sum::<f64>().sqrt()
}

fn sum_of_squares<const N: usize>(inputs: [&[f32]; N], f: impl Fn([f32; N]) -> f32) -> f64 {
    // Independent lanes, so that the loop is vectorised and errors stay small.
    const LANES: usize = 16;
    let mut lanes = [0.0f32; LANES];
    let blocks = inputs.map(|input| input.as_chunks::<LANES>());
    let count = blocks
        .iter()
        .map(|(blocks, _)| blocks.len())
        .min()
        .unwrap_or(0);
    for block in 0..count {
        let block = blocks.map(|(blocks, _)| &blocks[block]);
        for (lane, sum) in lanes.iter_mut().enumerate() {
            let value = f(block.map(|values| values[lane]));
            *sum += value * value;
        }
    }
    let rest = blocks.map(|(_, rest)| rest);
    let length = rest.iter().map(|rest| rest.len()).min().unwrap_or(0);
    let rest = (0..length).map(|i| f64::from(f(rest.map(|rest| rest[i]))).powi(2));
    lanes.into_iter().map(f64::from).sum::<f64>() + rest.sum::<f64>()
}

/// Updates each element of a variable together with its slots, in parallel.
pub(super) fn for_each_element<const SLOTS: usize>(
    weight: &mut [f32],
    slots: [&mut [f32]; SLOTS],
    gradient: &[f32],
    update: impl Fn(&mut f32, [&mut f32; SLOTS], f32) + Sync,
) {
    let slot_chunks = chunks_of(slots, weight.len());
    weight
        .par_chunks_mut(CHUNK)
        .zip(slot_chunks)
        .zip(gradient.par_chunks(CHUNK))
        .for_each(|((weight, mut slots), gradient)| {
            for (i, (w, &g)) in weight.iter_mut().zip(gradient).enumerate() {
                update(w, slots.each_mut().map(|slot| &mut slot[i]), g);
            }
        });
}

/// The slots of each chunk of the variable.
fn chunks_of<const SLOTS: usize>(
    slots: [&mut [f32]; SLOTS],
    length: usize,
) -> Vec<[&mut [f32]; SLOTS]> {
    let mut rest = slots;
    let mut chunks = Vec::with_capacity(length.div_ceil(CHUNK));
    for start in (0..length).step_by(CHUNK) {
        let size = CHUNK.min(length - start);
        let mut tails: [&mut [f32]; SLOTS] = std::array::from_fn(|_| Default::default());
        let mut index = 0;
        chunks.push(rest.map(|slot| {
            let (head, tail) = slot.split_at_mut(size);
            tails[index] = tail;
            index += 1;
            head
        }));
        rest = tails;
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_match_double_precision_for_any_length() {
        for length in [0, 1, 15, 17, CHUNK, 3 * CHUNK + 5] {
            let a: Vec<f32> = (0..length).map(|i| (i % 13) as f32 - 6.0).collect();
            let b: Vec<f32> = (0..length).map(|i| (i % 7) as f32).collect();
            let expected: f64 = a
                .iter()
                .zip(&b)
                .map(|(&a, &b)| (f64::from(a) + 0.5 * f64::from(b)).powi(2))
                .sum::<f64>()
                .sqrt();
            let norm = norm_of([&a, &b], |[a, b]| a + 0.5 * b);
            assert!(
                (norm - expected).abs() <= 1e-6 * expected,
                "{length}: {norm} {expected}"
            );
        }
    }
}
