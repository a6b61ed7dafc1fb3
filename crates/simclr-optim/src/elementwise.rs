//! In-place access to f32 variables on the CPU, and sums that do not depend
//! on the number of threads.

use std::cell::RefCell;

use candle_core::{CpuStorage, InplaceOp2, Layout, Tensor, Var};
use rayon::prelude::*;

/// Elements per task. Fixed, so that partial sums are always the same ones.
const CHUNK: usize = 1 << 14;

/// Runs `update` on the elements of the variable and of its gradient.
pub(crate) fn in_place(
    variable: &Var,
    gradient: &Tensor,
    update: impl FnMut(&mut [f32], &[f32]),
) -> crate::Result<()> {
    Ok(variable.inplace_op2(&gradient.contiguous()?, &InPlace(RefCell::new(update)))?)
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

/// What one element becomes: its weight, its buffers, and numbers whose squares are summed.
pub(crate) type Updated<const BUFFERS: usize, const SUMS: usize> =
    (f32, [f32; BUFFERS], [f32; SUMS]);

/// Updates each element of a variable together with its buffers, in parallel and in one
/// pass over memory, from `update(weight, buffers, gradient)`. Returns the roots of the
/// sums of squares of what `update` gives for them.
pub(crate) fn for_each_element<const BUFFERS: usize, const SUMS: usize>(
    weight: &mut [f32],
    buffers: [&mut [f32]; BUFFERS],
    gradient: &[f32],
    update: impl Fn(f32, [f32; BUFFERS], f32) -> Updated<BUFFERS, SUMS> + Sync,
) -> [f64; SUMS] {
    let buffer_chunks = chunks_of(buffers, weight.len());
    let partial: Vec<[f64; SUMS]> = weight
        .par_chunks_mut(CHUNK)
        .zip(buffer_chunks)
        .zip(gradient.par_chunks(CHUNK))
        .map(|((weight, buffers), gradient)| {
            pulp::Arch::new().dispatch(Pass {
                weight,
                buffers,
                gradient,
                update: &update,
            })
        })
        .collect();
    std::array::from_fn(|k| partial.iter().map(|sums| sums[k]).sum::<f64>().sqrt())
}

/// Elements that are handled side by side, whatever the processor's vectors hold.
const LANES: usize = 16;

/// One chunk. A type and not a closure, so that its loops are compiled for the
/// processor's vector instructions.
struct Pass<'a, F, const BUFFERS: usize, const SUMS: usize> {
    weight: &'a mut [f32],
    buffers: [&'a mut [f32]; BUFFERS],
    gradient: &'a [f32],
    update: &'a F,
}

impl<F, const BUFFERS: usize, const SUMS: usize> pulp::NullaryFnOnce for Pass<'_, F, BUFFERS, SUMS>
where
    F: Fn(f32, [f32; BUFFERS], f32) -> Updated<BUFFERS, SUMS>,
{
    type Output = [f64; SUMS];

    #[inline(always)]
    fn call(self) -> [f64; SUMS] {
        let Self {
            weight,
            mut buffers,
            gradient,
            update,
        } = self;
        let (weights, weight_rest) = weight.as_chunks_mut::<LANES>();
        let (gradients, gradient_rest) = gradient.as_chunks::<LANES>();
        let whole = weights.len() * LANES;
        let mut lanes = [[0.0f32; LANES]; SUMS];
        for (block, (weights, gradients)) in weights.iter_mut().zip(gradients).enumerate() {
            // In places of their own, which the compiler knows not to overlap: else it takes one
            // lane after the other.
            let (mut weight, gradient) = (*weights, *gradients);
            let mut values = [[0.0; LANES]; BUFFERS];
            for (values, buffer) in values.iter_mut().zip(&buffers) {
                values.copy_from_slice(&buffer[block * LANES..(block + 1) * LANES]);
            }
            for lane in 0..LANES {
                let mut buffer = [0.0; BUFFERS];
                for k in 0..BUFFERS {
                    buffer[k] = values[k][lane];
                }
                let (updated, buffer, measured) = update(weight[lane], buffer, gradient[lane]);
                weight[lane] = updated;
                for k in 0..BUFFERS {
                    values[k][lane] = buffer[k];
                }
                for k in 0..SUMS {
                    lanes[k][lane] += measured[k] * measured[k];
                }
            }
            *weights = weight;
            for (values, buffer) in values.iter().zip(&mut buffers) {
                buffer[block * LANES..(block + 1) * LANES].copy_from_slice(values);
            }
        }
        let mut sums = [0.0; SUMS];
        for (sum, lanes) in sums.iter_mut().zip(lanes) {
            *sum = lanes.into_iter().map(f64::from).sum::<f64>();
        }
        for (i, (weight, &gradient)) in (whole..).zip(weight_rest.iter_mut().zip(gradient_rest)) {
            let mut buffer = [0.0; BUFFERS];
            for (value, buffer) in buffer.iter_mut().zip(&buffers) {
                *value = buffer[i];
            }
            let (updated, buffer, measured) = update(*weight, buffer, gradient);
            *weight = updated;
            for (value, buffer) in buffer.into_iter().zip(&mut buffers) {
                buffer[i] = value;
            }
            for (sum, value) in sums.iter_mut().zip(measured) {
                *sum += f64::from(value).powi(2);
            }
        }
        sums
    }
}

/// The buffers of each chunk of the variable.
fn chunks_of<const BUFFERS: usize>(
    buffers: [&mut [f32]; BUFFERS],
    length: usize,
) -> Vec<[&mut [f32]; BUFFERS]> {
    let mut rest = buffers;
    let mut chunks = Vec::with_capacity(length.div_ceil(CHUNK));
    for start in (0..length).step_by(CHUNK) {
        let size = CHUNK.min(length - start);
        let mut tails: [&mut [f32]; BUFFERS] = std::array::from_fn(|_| Default::default());
        let mut index = 0;
        chunks.push(rest.map(|buffer| {
            let (head, tail) = buffer.split_at_mut(size);
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

    fn numbers(length: usize, modulus: usize) -> Vec<f32> {
        (0..length)
            .map(|i| (i % modulus) as f32 / 7.0 - 0.8)
            .collect()
    }

    fn update(w: f32, [a, b]: [f32; 2], g: f32) -> Updated<2, 2> {
        let next = 0.9 * a + 0.1 * g;
        (
            w - next / (b.abs().sqrt() + 0.1),
            [next, b * w],
            [w, g + 0.5 * w],
        )
    }

    /// The definition, one element after the other.
    #[test]
    fn passes_of_any_length_are_those_of_the_plain_loop() {
        for length in [0, 1, 15, 17, CHUNK, 3 * CHUNK + 5] {
            let gradient = numbers(length, 13);
            let start = [
                numbers(length, 11),
                numbers(length, 17),
                numbers(length, 19),
            ];
            let [mut weight, mut first, mut second] = start.clone();
            let [mut plain_weight, mut plain_first, mut plain_second] = start;
            let mut expected = [0f64; 2];
            for i in 0..length {
                let buffers = [plain_first[i], plain_second[i]];
                let (w, buffers, measured) = update(plain_weight[i], buffers, gradient[i]);
                plain_weight[i] = w;
                [plain_first[i], plain_second[i]] = buffers;
                for (sum, value) in expected.iter_mut().zip(measured) {
                    *sum += f64::from(value).powi(2);
                }
            }
            let buffers = [first.as_mut_slice(), second.as_mut_slice()];
            let norms = for_each_element(&mut weight, buffers, &gradient, update);
            assert_eq!(
                (weight, first, second),
                (plain_weight, plain_first, plain_second)
            );
            for (norm, expected) in norms.into_iter().zip(expected.map(f64::sqrt)) {
                assert!(
                    (norm - expected).abs() <= 1e-6 * expected,
                    "{length}: {norm} {expected}"
                );
            }
        }
    }

    #[test]
    fn norms_do_not_depend_on_the_number_of_threads() {
        let norms = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let (mut weight, gradient) = (numbers(5 * CHUNK + 3, 11), numbers(5 * CHUNK + 3, 13));
            let [mut a, mut b] = [numbers(weight.len(), 17), numbers(weight.len(), 19)];
            pool.unwrap().install(|| {
                let buffers = [a.as_mut_slice(), b.as_mut_slice()];
                for_each_element(&mut weight, buffers, &gradient, update)
            })
        };
        assert_eq!(norms(1), norms(2));
        assert_eq!(norms(1), norms(5));
    }
}
