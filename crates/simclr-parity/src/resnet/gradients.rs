//! The gradients of two losses with respect to all parameters and the images.

use candle_core::{DType, Tensor};
use simclr_model::SimClrOutput;

use super::Run;
use crate::recorded::{compare_gradient, compare_norms};
use crate::tensors::gradient_of;
use crate::{CaseChecks, Result};

/// Relative distance in the L2 norm between two f64 computations, one of them stored as f32.
const ROUNDING: f64 = 1e-6;

/// A loss is the mean of a result of the model times a recorded tensor.
type Loss = (&'static str, fn(&SimClrOutput) -> &Tensor, &'static str);

/// Through the whole model, and through the encoder alone.
const LOSSES: [Loss; 2] = [
    ("grad", SimClrOutput::z, "R"),
    ("grad2", SimClrOutput::h, "R2"),
];

/// Relative distances in the L2 norm: from the recorded f64 run and, if there is a bound, from the
/// recorded f32 run, which is noisy itself.
type Bounds = (f64, Option<f64>);

/// Compares the gradients of an f32 run within the case's bounds. Between an f64 run and the
/// recorded one lies nothing but the rounding of the recorded values to f32.
pub(super) fn check(checks: &mut CaseChecks<'_>, run: &Run) -> Result<()> {
    for loss in LOSSES {
        let prefix = loss.0;
        let bound = |run: &str| checks.case.bound(&format!("{prefix}_rel_l2_vs_{run}"));
        let bounds = if run.images.dtype() == DType::F64 {
            (ROUNDING, None)
        } else if prefix == "grad" {
            (bound("f64")?, Some(bound("f32")?))
        } else {
            (bound("f64")?, None)
        };
        check_loss(checks, run, loss, bounds)?;
    }
    Ok(())
}

fn check_loss(
    checks: &mut CaseChecks<'_>,
    run: &Run,
    (prefix, output, cotangent): Loss,
    bounds: Bounds,
) -> Result<()> {
    let case = checks.case;
    let output = output(&run.output);
    let cotangent = case.tensor(cotangent)?.to_dtype(output.dtype())?;
    let gradients = (output * cotangent)?.mean_all()?.backward()?;
    let norms = &case.description[format!("{prefix}_l2_f64")];
    for parameter in run.model.parameters() {
        let original = &parameter.spec.original_name;
        let name = format!("{prefix}/{original}");
        let gradient = gradients.get(&parameter.variable);
        let (Some(gradient), Some(reference)) = (gradient, norms[original].as_f64()) else {
            // What had no way to the loss in the original must have none here.
            let none = gradient.is_none() && norms[original].is_null();
            checks.report.require(&name, none);
            continue;
        };
        compare_norms(checks, &name, gradient, reference, bounds.0)?;
        compare(checks, &name, gradient, bounds)?;
    }
    let gradient = gradient_of(case, &gradients, &run.images, "the input")?;
    compare(checks, &format!("{prefix}_input"), gradient, bounds)
}

fn compare(
    checks: &mut CaseChecks<'_>,
    name: &str,
    gradient: &Tensor,
    bounds: Bounds,
) -> Result<()> {
    let double = format!("f64/{name}");
    compare_gradient(checks, (&double, name), gradient, bounds.0)?;
    match bounds.1 {
        Some(bound) => compare_gradient(checks, (name, name), gradient, bound),
        None => Ok(()),
    }
}
