//! Gradients against central differences.

use candle_core::{DType, Tensor, Var};

use crate::{Error, Result, Tolerance};

/// Checks the gradient of `sum(weights * forward(inputs))` with respect to every
/// element of every input against the central difference with step `step`.
///
/// The fixed, uneven weights keep errors of opposite sign from cancelling in
/// the sum. The sums are taken in f64, so the noise left is the forward pass's own.
pub fn check_gradients<F, E>(
    inputs: &[Tensor],
    step: f64,
    tolerance: Tolerance,
    forward: F,
) -> Result<()>
where
    F: Fn(&[Tensor]) -> std::result::Result<Tensor, E>,
    Error: From<E>,
{
    let variables = inputs
        .iter()
        .map(Var::from_tensor)
        .collect::<candle_core::Result<Vec<_>>>()?;
    let tracked: Vec<_> = variables.iter().map(|v| v.as_tensor().clone()).collect();
    let output = forward(&tracked)?;
    let weights = uneven_weights(&output)?;
    let store = (output * &weights)?.sum_all()?.backward()?;
    let weights = flat(&weights)?;

    let value = |inputs: &[Tensor]| -> Result<f64> {
        Ok(flat(&forward(inputs)?)?
            .iter()
            .zip(&weights)
            .map(|(y, w)| y * w)
            .sum())
    };
    for (index, input) in inputs.iter().enumerate() {
        let gradient = store
            .get(&tracked[index])
            .ok_or(Error::NoGradient { input: index })?;
        let analytic = flat(gradient)?;
        let base = flat(input)?;
        let mut numeric = Vec::with_capacity(base.len());
        for element in 0..base.len() {
            let shifted = |by: f64| -> Result<f64> {
                let mut values = base.clone();
                values[element] += by;
                let tensor = Tensor::from_vec(values, input.shape(), input.device())?;
                let mut all = inputs.to_vec();
                all[index] = tensor.to_dtype(input.dtype())?;
                value(&all)
            };
            numeric.push((shifted(step)? - shifted(-step)?) / (2.0 * step));
        }
        if tolerance.compare(&analytic, &numeric).failed() {
            return Err(worst(index, &analytic, &numeric));
        }
    }
    Ok(())
}

fn worst(input: usize, analytic: &[f64], numeric: &[f64]) -> Error {
    let gap = |i: usize| (analytic[i] - numeric[i]).abs();
    let element = (0..analytic.len().min(numeric.len()))
        .max_by(|&a, &b| gap(a).total_cmp(&gap(b)))
        .unwrap_or(0);
    Error::Gradient {
        input,
        element,
        analytic: analytic.get(element).copied().unwrap_or(f64::NAN),
        numeric: numeric.get(element).copied().unwrap_or(f64::NAN),
    }
}

fn uneven_weights(like: &Tensor) -> Result<Tensor> {
    let weights: Vec<f32> = (0..like.elem_count())
        .map(|i| 0.5 + ((i * 7919) % 101) as f32 / 101.0)
        .collect();
    Ok(Tensor::from_vec(weights, like.shape(), like.device())?.to_dtype(like.dtype())?)
}

fn flat(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.flatten_all()?.to_dtype(DType::F64)?.to_vec1()?)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;

    fn input() -> Tensor {
        Tensor::new(&[0.3f32, -1.2, 2.0], &Device::Cpu).unwrap()
    }

    #[test]
    fn a_right_gradient_passes() {
        check_gradients(&[input()], 1e-2, Tolerance::relative_to_max(1e-3), |x| {
            x[0].sqr()
        })
        .unwrap();
    }

    #[test]
    fn a_wrong_gradient_is_found() {
        let wrong = |x: &[Tensor]| x[0].sqr()? + x[0].detach();
        let result = check_gradients(&[input()], 1e-2, Tolerance::relative_to_max(1e-3), wrong);
        assert!(matches!(result, Err(Error::Gradient { .. })));
    }
}
