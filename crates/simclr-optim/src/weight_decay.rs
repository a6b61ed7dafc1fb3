//! The weight-decay term of the training loss.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{NamedVariable, Result};

/// Which variables the term `coefficient * sum of ||w||^2 / 2` in the loss covers.
///
/// It depends on the optimizer, which says it in
/// [`weight_decay_coverage`](crate::Optimizer::weight_decay_coverage). As in the original,
/// LARS adds the decay of all
/// other variables to their gradients by itself and leaves only the kernels of the
/// supervised head, which it excludes, to the loss. With the other optimizers the
/// loss covers everything but batch norms, biases included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightDecayCoverage {
    /// Kernels of the supervised head.
    SupervisedHeadKernels,
    /// Everything but batch norms.
    AllButBatchNorm,
}

impl WeightDecayCoverage {
    /// Whether the variable of this name (ours or the original's) is covered.
    pub fn contains(self, name: &str) -> bool {
        match self {
            Self::SupervisedHeadKernels => {
                let head = name.contains("supervised_head") || name.contains("head_supervised");
                head && !name.contains("bias")
            }
            Self::AllButBatchNorm => !name.contains("batch_norm"),
        }
    }
}

/// `coefficient * sum over covered variables of ||w||^2 / 2`, a scalar that is
/// differentiable with respect to them (gradient `coefficient * w`).
///
/// Frozen variables belong to no optimizer, so give only the trainable ones.
///
/// # Errors
/// Variables of different types or devices.
pub fn weight_decay_term<'a>(
    variables: impl IntoIterator<Item = &'a NamedVariable>,
    coverage: WeightDecayCoverage,
    coefficient: f64,
) -> Result<Option<Tensor>> {
    let covered: Vec<_> = variables
        .into_iter()
        .filter(|variable| coverage.contains(&variable.name))
        .collect();
    if covered.is_empty() {
        return Ok(None);
    }
    let squares = covered
        .iter()
        .map(|variable| half_squared_norm(variable.variable.as_tensor()))
        .collect::<Result<Vec<_>>>()?;
    Ok(Some(
        (Tensor::stack(&squares, 0)?.sum_all()? * coefficient)?,
    ))
}

fn half_squared_norm(tensor: &Tensor) -> Result<Tensor> {
    if tensor.dtype() == DType::F32 && tensor.device().is_cpu() {
        return Ok(tensor.apply_op1(HalfSquaredNorm)?);
    }
    Ok((widened(tensor)?.sqr()?.sum_all()? * 0.5)?)
}

/// Half types as f32, in which a sum of many squares fits.
pub(crate) fn widened(tensor: &Tensor) -> Result<Tensor> {
    match tensor.dtype() {
        DType::F16 | DType::BF16 => Ok(tensor.to_dtype(DType::F32)?),
        _ => Ok(tensor.clone()),
    }
}

/// One pass instead of the four of the stock operations and their gradients.
struct HalfSquaredNorm;

impl CustomOp1 for HalfSquaredNorm {
    fn name(&self) -> &'static str {
        "half-squared-norm"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (start, end) = layout.contiguous_offsets().ok_or_else(|| {
            candle_core::Error::RequiresContiguous {
                op: "half-squared-norm",
            }
            .bt()
        })?;
        // Chunks of fixed size: the same sum for any number of threads.
        let partial: Vec<f64> = storage.as_slice::<f32>()?[start..end]
            .par_chunks(1 << 14)
            .map(|chunk| chunk.iter().map(|&w| f64::from(w) * f64::from(w)).sum())
            .collect();
        let half = 0.5 * partial.into_iter().sum::<f64>();
        Ok((CpuStorage::F32(vec![half as f32]), Shape::from(())))
    }

    fn bwd(
        &self,
        weight: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        let scale = gradient.to_scalar::<f32>()?;
        Ok(Some(weight.detach().affine(f64::from(scale), 0.0)?))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    fn variable(name: &str, values: &[f32]) -> NamedVariable {
        NamedVariable {
            name: name.to_owned(),
            variable: Var::new(values, &Device::Cpu).unwrap(),
        }
    }

    #[test]
    fn coverage_follows_the_optimizer() {
        let variables = [
            variable("encoder.stem.conv.kernel", &[1.0, 2.0]),
            variable("encoder.stem.batch_norm.gamma", &[10.0]),
            variable("supervised_head.dense.kernel", &[3.0]),
            variable("supervised_head.dense.bias", &[4.0]),
        ];
        let term = |coverage| {
            weight_decay_term(&variables, coverage, 0.1)
                .unwrap()
                .unwrap()
        };
        let head = term(WeightDecayCoverage::SupervisedHeadKernels);
        assert!((head.to_scalar::<f32>().unwrap() - 0.45).abs() < 1e-6);
        let all = term(WeightDecayCoverage::AllButBatchNorm);
        assert!((all.to_scalar::<f32>().unwrap() - 1.5).abs() < 1e-6);

        let gradients = all.backward().unwrap();
        let gradient = gradients.get(variables[0].variable.as_tensor()).unwrap();
        assert_eq!(gradient.to_vec1::<f32>().unwrap(), [0.1, 0.2]);
        assert!(gradients.get(variables[1].variable.as_tensor()).is_none());
    }

    #[test]
    fn other_types_take_the_composite_path() {
        let double = NamedVariable {
            name: "dense.kernel".into(),
            variable: Var::new(&[2.0f64], &Device::Cpu).unwrap(),
        };
        let term = weight_decay_term([&double], WeightDecayCoverage::AllButBatchNorm, 0.5)
            .unwrap()
            .unwrap();
        assert_eq!(term.to_scalar::<f64>().unwrap(), 1.0);
    }

    #[test]
    fn sums_of_half_types_are_taken_in_f32() {
        for dtype in [DType::F16, DType::BF16] {
            let half = NamedVariable {
                name: "dense.kernel".into(),
                variable: Var::ones(100_000, dtype, &Device::Cpu).unwrap(),
            };
            let term = weight_decay_term([&half], WeightDecayCoverage::AllButBatchNorm, 1.0);
            let term = term.unwrap().unwrap();
            assert_eq!(term.to_scalar::<f32>().unwrap(), 50_000.0);
            let gradients = term.backward().unwrap();
            let gradient = gradients.get(half.variable.as_tensor()).unwrap();
            assert_eq!(gradient.dtype(), dtype);
        }
    }
}
