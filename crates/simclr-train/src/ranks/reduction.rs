//! Means and sums over ranks within a step.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use candle_core::Tensor;
use candle_core::backprop::GradStore;
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
    let (mut bucket, mut values) = (Vec::new(), Vec::new());
    for (variable, part) in parts {
        values.extend(part.flatten_all()?.to_vec1::<f32>()?);
        bucket.push(variable);
        if values.len() >= BUCKET {
            sum_bucket(ranks, &mut bucket, &mut values, &mut sums)?;
        }
    }
    // The other ranks wait for a last bucket that this one will not have: the error ends them.
    if !has_failed.load(Ordering::Acquire) {
        sum_bucket(ranks, &mut bucket, &mut values, &mut sums)?;
    }
    Ok(sums)
}

/// Adds up and empties a bucket with numbers of these variables.
fn sum_bucket(
    ranks: &dyn Collective,
    variables: &mut Vec<Tensor>,
    values: &mut Vec<f32>,
    sums: &mut Vec<(Tensor, Tensor)>,
) -> Result<()> {
    ranks.all_reduce(values)?;
    let mut rest = values.as_slice();
    for variable in variables.drain(..) {
        let sum = rest.split_off(..variable.elem_count()).unwrap_or_default();
        let sum = Tensor::from_slice(sum, variable.shape(), variable.device())?;
        sums.push((variable, sum));
    }
    values.clear();
    Ok(())
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
