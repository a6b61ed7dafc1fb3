//! Means and sums over ranks within a step.

use std::cell::RefCell;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Tensor};
use simclr_collective::Collective;
use simclr_kernels::backward_sending;
use simclr_model::SimClr;
use simclr_optim::NamedVariable;

use crate::error::Result;

/// Numbers that go from rank to rank at once: 25 MB.
const BUCKET: usize = 25_000_000 / size_of::<f32>();

/// Replaces numbers of this rank by the means over all ranks.
pub(crate) fn average<'a>(
    ranks: &dyn Collective,
    numbers: impl IntoIterator<Item = &'a mut f64>,
) -> Result<()> {
    let numbers: Vec<_> = numbers.into_iter().collect();
    let mut sums: Vec<f64> = numbers.iter().map(|number| **number).collect();
    ranks.all_reduce(&mut sums)?;
    for (number, sum) in numbers.into_iter().zip(sums) {
        *number = sum / ranks.size() as f64;
    }
    Ok(())
}

/// The gradients of `loss`, those of the variables summed over all ranks. They go from rank to
/// rank in buckets; if the ranks can be used [beside](Collective::beside) the backward pass, each
/// bucket as soon as the pass has filled it.
pub(crate) fn summed_gradients(
    ranks: &dyn Collective,
    loss: &Tensor,
    variables: &[&NamedVariable],
) -> Result<GradStore> {
    let (sender, parts) = channel();
    let has_failed = AtomicBool::new(false);
    let pass = || {
        let rest = send_all(loss, variables, &sender);
        has_failed.store(rest.is_err(), Ordering::Release);
        drop(sender);
        rest
    };
    let (rest, sums) = match ranks.beside() {
        None => (pass(), sum_parts(ranks, parts, &has_failed)),
        Some(beside) => thread::scope(|scope| {
            let sums = scope.spawn(|| sum_parts(beside.as_ref(), parts, &has_failed));
            let rest = pass();
            (
                rest,
                sums.join().unwrap_or_else(|panic| resume_unwind(panic)),
            )
        }),
    };
    let mut gradients = rest?;
    for (variable, sum) in sums? {
        let sum = match gradients.get(&variable) {
            Some(others) => (others + sum)?,
            None => sum,
        };
        gradients.insert(&variable, sum);
    }
    Ok(gradients)
}

/// The backward pass, which sends all parts of the variables' gradients.
fn send_all(
    loss: &Tensor,
    variables: &[&NamedVariable],
    parts: &Sender<(Tensor, Tensor)>,
) -> Result<GradStore> {
    let mut rest = backward_sending(loss, parts)?;
    for named in variables {
        // What ops of candle have computed.
        if let Some(part) = rest.remove(&named.variable) {
            // Whoever has stopped to receive them says why.
            let _ = parts.send((named.variable.as_tensor().clone(), part));
        }
    }
    Ok(rest)
}

/// Adds up the parts over all ranks, which have them in the same order.
fn sum_parts(
    ranks: &dyn Collective,
    parts: Receiver<(Tensor, Tensor)>,
    has_failed: &AtomicBool,
) -> Result<Vec<(Tensor, Tensor)>> {
    let mut sums = Vec::new();
    let mut bucket = Bucket::default();
    for (variable, part) in parts {
        bucket.push(variable, part)?;
        if bucket.values.len() >= BUCKET {
            bucket.sum(ranks, &mut sums)?;
        }
    }
    // The other ranks wait for a last bucket that this one will not have: the error ends them.
    if !has_failed.load(Ordering::Acquire) {
        bucket.sum(ranks, &mut sums)?;
    }
    Ok(sums)
}

/// Parts that go from rank to rank at once. Its memory serves the next ones.
#[derive(Default)]
struct Bucket {
    parts: Vec<(Tensor, Tensor)>,
    /// The numbers of `parts`, one after the other.
    values: Vec<f32>,
    received: Vec<f32>,
}

impl Bucket {
    fn push(&mut self, variable: Tensor, part: Tensor) -> Result<()> {
        if is_in_place(&part) {
            part.inplace_op1(&Access(RefCell::new(|numbers: &mut [f32]| {
                self.values.extend_from_slice(numbers);
            })))?;
        } else {
            self.values.extend(part.flatten_all()?.to_vec1::<f32>()?);
        }
        self.parts.push((variable, part));
        Ok(())
    }

    /// Adds up the parts over all ranks, moves them to `sums`, and leaves the bucket empty.
    fn sum(&mut self, ranks: &dyn Collective, sums: &mut Vec<(Tensor, Tensor)>) -> Result<()> {
        ranks.all_reduce_in(&mut self.values, &mut self.received)?;
        let mut rest = self.values.as_slice();
        for (variable, part) in self.parts.drain(..) {
            let sum = rest.split_off(..part.elem_count()).unwrap_or_default();
            let part = if is_in_place(&part) {
                part.inplace_op1(&Access(RefCell::new(|numbers: &mut [f32]| {
                    numbers.copy_from_slice(sum);
                })))?;
                part
            } else {
                Tensor::from_slice(sum, part.shape(), part.device())?
            };
            sums.push((variable, part));
        }
        self.values.clear();
        Ok(())
    }
}

/// Whether [`Access`] gives the numbers of a tensor.
fn is_in_place(tensor: &Tensor) -> bool {
    tensor.device().is_cpu() && tensor.dtype() == DType::F32 && tensor.is_contiguous()
}

/// Calls a function with the numbers of a tensor: f32 on the CPU, one after the other.
struct Access<F>(RefCell<F>);

impl<F: FnMut(&mut [f32])> InplaceOp1 for Access<F> {
    fn name(&self) -> &'static str {
        "sum over ranks"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        match (storage, layout.contiguous_offsets()) {
            (CpuStorage::F32(values), Some((start, end))) => {
                (self.0.borrow_mut())(&mut values[start..end]);
                Ok(())
            }
            _ => candle_core::bail!("{}: expected contiguous f32 numbers", self.name()),
        }
    }
}

/// Replaces the moving statistics of batch norms by their means over all ranks.
pub(crate) fn average_moving_statistics(ranks: &dyn Collective, model: &SimClr) -> Result<()> {
    let moving = model
        .parameters()
        .filter(|parameter| !parameter.spec.role.is_trainable());
    let moving: Vec<_> = moving.map(|parameter| &parameter.variable).collect();
    let mut values = Vec::new();
    for variable in &moving {
        values.extend(variable.flatten_all()?.to_vec1::<f32>()?);
    }
    ranks.all_reduce(&mut values)?;
    let count = ranks.size() as f32;
    values.iter_mut().for_each(|value| *value /= count);
    let mut rest = values.as_slice();
    for variable in moving {
        let mean = rest.split_off(..variable.elem_count()).unwrap_or_default();
        variable.set(&Tensor::from_slice(
            mean,
            variable.shape(),
            variable.device(),
        )?)?;
    }
    Ok(())
}
