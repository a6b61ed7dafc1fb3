//! Means and sums over ranks within a step.

use candle_core::Tensor;
use candle_core::backprop::GradStore;
use simclr_collective::Collective;
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

/// Replaces the gradients of the variables by their sums over all ranks.
pub(crate) fn sum_gradients(
    ranks: &dyn Collective,
    gradients: &mut GradStore,
    variables: &[&NamedVariable],
) -> Result<()> {
    let mut bucket = Vec::new();
    let mut values = Vec::new();
    for (index, named) in variables.iter().enumerate() {
        if let Some(gradient) = gradients.get(&named.variable) {
            values.extend(gradient.flatten_all()?.to_vec1::<f32>()?);
            bucket.push(*named);
        }
        if values.len() >= BUCKET || index + 1 == variables.len() {
            ranks.all_reduce(&mut values)?;
            let mut rest = values.as_slice();
            for named in bucket.drain(..) {
                let (variable, of_variable) = (
                    &named.variable,
                    rest.split_off(..named.variable.elem_count()),
                );
                let sum = Tensor::from_slice(
                    of_variable.unwrap_or_default(),
                    variable.shape(),
                    variable.device(),
                )?;
                gradients.insert(variable, sum);
            }
            values.clear();
        }
    }
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
