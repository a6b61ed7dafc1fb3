//! NT-Xent: loss, metrics and gradient, on one device and over replicas.

use candle_core::{DType, Tensor, Var};
use simclr_loss::NtXentOutput;
use simclr_testkit::{GoldenCase, Tolerance};

use crate::replicas::check_in_threads;
use crate::settings::loss_of;
use crate::tensors::{gradient_of, scalar, values};
use crate::{CaseChecks, Result};

pub(crate) fn check(checks: &mut CaseChecks<'_>) -> Result<()> {
    if checks.case.has("input") {
        check_in_threads(checks)
    } else if checks.case.has("hidden_global") {
        replicas(checks)
    } else {
        one_device(checks)
    }
}

/// The loss and its gradient with respect to the embeddings.
fn differentiate(
    case: &GoldenCase,
    embeddings: &Tensor,
    forward: impl Fn(&Tensor) -> simclr_loss::Result<NtXentOutput>,
) -> Result<(NtXentOutput, Tensor)> {
    let variable = Var::from_tensor(embeddings)?;
    let output = forward(&variable)?;
    let gradients = output.loss.backward()?;
    let gradient = gradient_of(case, &gradients, &variable, "the embeddings")?;
    Ok((output, gradient.clone()))
}

/// Both forms, the fused and the composite, by the same case.
fn one_device(checks: &mut CaseChecks<'_>) -> Result<()> {
    let case = checks.case;
    let loss = loss_of(case)?;
    let hidden = case.tensor("hidden")?;
    let fused = differentiate(case, hidden, |x| loss.forward(x))?;
    compare(checks, "", &fused)?;
    let composite = differentiate(case, hidden, |x| loss.forward_composite(x))?;
    compare(checks, "composite ", &composite)?;
    if case.has("logits_ab") {
        let logits = loss.contrast_logits(hidden)?;
        let bound = Tolerance::relative_to_max(case.bound("loss_rel")?);
        checks.compare_tensor("logits_ab", bound, &logits)?;
    }
    Ok(())
}

/// `|loss - loss_f64| <= loss_rel |loss_f64| + loss_abs`, and so on for the gradient.
fn compare(
    checks: &mut CaseChecks<'_>,
    form: &str,
    (output, gradient): &(NtXentOutput, Tensor),
) -> Result<()> {
    let case = checks.case;
    let bound = |of: &str| -> Result<Tolerance> {
        let relative = Tolerance::relative_to_max(case.bound(&format!("{of}_rel"))?);
        Ok(relative.plus_absolute(case.bound(&format!("{of}_abs"))?))
    };
    let loss = bound("loss")?;
    let share = Tolerance::absolute(1e-6 + undecided_share(case)?);
    for (name, reference, tolerance, result) in [
        ("loss", "loss_f64", loss, &output.loss),
        (
            "contrast_entropy",
            "contrast_entropy",
            loss,
            &output.entropy,
        ),
        ("contrast_acc", "contrast_acc", share, &output.accuracy),
    ] {
        let (result, reference) = (scalar(result)?, case.result(reference)?);
        let name = format!("{form}{name}");
        checks
            .report
            .compare(&name, tolerance, &[result], &[reference]);
    }
    let (gradient, reference) = (values::<f32>(gradient)?, case.values("f64/grad")?);
    let name = format!("{form}grad");
    checks
        .report
        .compare(&name, bound("grad")?, &gradient, &reference);
    Ok(())
}

/// The share of images whose hit or miss is decided by less than the rounding of
/// f32 similarities: the original's answer is not a fact there. Rows that are
/// equal bit for bit do not count, their order is defined.
fn undecided_share(case: &GoldenCase) -> Result<f64> {
    let hidden = case.tensor("hidden")?;
    let logits = loss_of(case)?.contrast_logits(&hidden.to_dtype(DType::F64)?)?;
    let images = logits.dim(0)?;
    let logits: Vec<Vec<f64>> = logits.to_vec2()?;
    let rows: Vec<Vec<f32>> = hidden.narrow(0, images, images)?.to_vec2()?;
    let scale = logits.iter().flatten().fold(0.0f64, |m, x| m.max(x.abs()));
    let undecided = (0..images).filter(|&image| {
        let own = logits[image][image];
        let close = |other: usize| (logits[image][other] - own).abs() <= 4e-7 * scale;
        (0..images).any(|other| rows[other] != rows[image] && close(other))
    });
    Ok(undecided.count() as f64 / images as f64)
}

/// What the replicas compute, and the same over the whole batch.
fn replicas(checks: &mut CaseChecks<'_>) -> Result<()> {
    check_in_threads(checks)?;
    let case = checks.case;
    let loss = loss_of(case)?;
    let bound = Tolerance::relative_to_max(case.bound("loss_rel")?);
    let hidden = case.tensor("hidden_global")?;
    let (global, gradient) = differentiate(case, hidden, |x| loss.forward(x))?;
    checks.compare_result("loss_global", bound, scalar(&global.loss)?)?;
    let bound = Tolerance::relative_to_max(case.bound("grad_rel_to_max_abs")?);
    checks.compare_tensor("grad_global", bound, &gradient)
}
