//! Numbers out of tensors.

use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor, WithDType};
use simclr_testkit::GoldenCase;

use crate::Result;

/// The one number of a tensor.
pub(crate) fn scalar(tensor: &Tensor) -> Result<f64> {
    Ok(tensor.to_dtype(DType::F64)?.to_scalar()?)
}

/// All numbers of a tensor, flat.
pub(crate) fn values<T: WithDType>(tensor: &Tensor) -> Result<Vec<T>> {
    Ok(tensor.flatten_all()?.to_dtype(T::DTYPE)?.to_vec1()?)
}

/// The Euclidean norm, summed in f64.
pub(crate) fn norm(values: impl IntoIterator<Item = f64>) -> f64 {
    let squares = values.into_iter().map(|value| value * value);
    squares.sum::<f64>().sqrt()
}

/// The gradient of what must have one; `what` is for the error.
pub(crate) fn gradient_of<'g>(
    case: &GoldenCase,
    gradients: &'g GradStore,
    variable: &Tensor,
    what: &str,
) -> Result<&'g Tensor> {
    let missing = || case.error(format!("{what} got no gradient"));
    Ok(gradients.get(variable).ok_or_else(missing)?)
}
