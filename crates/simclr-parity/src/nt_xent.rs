//! NT-Xent: loss, metrics and gradient, on one device and over replicas, and
//! batch norm over replicas.

use candle_core::{DType, Tensor, Var};
use simclr_kernels::{Activation, BatchNormParameters, batch_norm_training};
use simclr_loss::{NtXent, NtXentOutput};
use simclr_testkit::{GoldenCase, Tolerance, formula_range, formula_values};

use crate::tensors::{scalar, values};
use crate::{CaseReport, Result};

pub(crate) fn check(case: &GoldenCase) -> Result<CaseReport> {
    if case.has("input") {
        batch_norm_over_replicas(case)
    } else if case.has("hidden_global") {
        replicas(case)
    } else {
        one_device(case)
    }
}

fn loss_of(case: &GoldenCase) -> Result<NtXent> {
    Ok(NtXent {
        temperature: case.number("temperature")?,
        normalize: case.flag("hidden_norm")?,
        ..NtXent::default()
    })
}

/// The loss and its gradient with respect to the embeddings.
fn differentiate(
    case: &GoldenCase,
    embeddings: &Tensor,
    forward: impl Fn(&Tensor) -> simclr_loss::Result<NtXentOutput>,
) -> Result<(NtXentOutput, Tensor)> {
    let variable = Var::from_tensor(embeddings)?;
    let output = forward(variable.as_tensor())?;
    let gradients = output.loss.backward()?;
    let gradient = gradients
        .get(variable.as_tensor())
        .ok_or_else(|| case.error("the embeddings got no gradient"))?;
    Ok((output, gradient.clone()))
}

/// Both forms, the fused and the composite, by the same case.
fn one_device(case: &GoldenCase) -> Result<CaseReport> {
    let loss = loss_of(case)?;
    let hidden = case.tensor("hidden")?;
    let mut report = CaseReport::default();
    let fused = differentiate(case, hidden, |x| loss.forward(x))?;
    compare(&mut report, case, "", &fused)?;
    let composite = differentiate(case, hidden, |x| loss.forward_composite(x))?;
    compare(&mut report, case, "composite ", &composite)?;
    if case.has("logits_ab") {
        let logits = loss.contrast_logits(hidden)?;
        let bound = Tolerance::relative_to_max(case.bound("loss_rel")?);
        report.compare_tensor(case, "logits_ab", bound, &logits)?;
    }
    Ok(report)
}

/// `|loss - loss_f64| <= loss_rel |loss_f64| + loss_abs`, and so on for the gradient.
fn compare(
    report: &mut CaseReport,
    case: &GoldenCase,
    form: &str,
    (output, gradient): &(NtXentOutput, Tensor),
) -> Result<()> {
    let bound = |of: &str| -> Result<Tolerance> {
        let relative = Tolerance::relative_to_max(case.bound(&format!("{of}_rel"))?);
        Ok(relative.plus_absolute(case.bound(&format!("{of}_abs"))?))
    };
    let share = Tolerance::absolute(1e-6 + undecided_share(case)?);
    for (name, tolerance, result, reference) in [
        ("loss", bound("loss")?, &output.loss, "loss_f64"),
        (
            "contrast_entropy",
            bound("loss")?,
            &output.entropy,
            "contrast_entropy",
        ),
        ("contrast_acc", share, &output.accuracy, "contrast_acc"),
    ] {
        let name = format!("{form}{name}");
        report.compare_number(&name, tolerance, scalar(result)?, case.result(reference)?);
    }
    let (name, reference) = (format!("{form}grad"), case.values("f64/grad")?);
    report.compare(&name, bound("grad")?, &values(gradient)?, &reference);
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

fn replicas(case: &GoldenCase) -> Result<CaseReport> {
    let loss = loss_of(case)?;
    let replicas = case.count("replicas")?;
    let locals = (0..replicas)
        .map(|replica| {
            Ok(Var::from_tensor(
                case.tensor(&format!("replica{replica}/hidden"))?,
            )?)
        })
        .collect::<Result<Vec<_>>>()?;
    let gathered = gather(&locals)?;

    let mut report = CaseReport::default();
    let bound = Tolerance::relative_to_max(case.bound("loss_rel")?);
    let mut losses = Vec::with_capacity(replicas);
    for (replica, local) in locals.iter().enumerate() {
        losses.push(
            loss.forward_replica(local.as_tensor(), &gathered, replica)?
                .loss,
        );
    }
    let recorded: Vec<f64> = case.description["result"]["loss_per_replica"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(serde_json::Value::as_f64)
        .collect();
    let per_replica = losses.iter().map(scalar).collect::<Result<Vec<_>>>()?;
    report.compare_f64("loss_per_replica", bound, &per_replica, &recorded);

    let mean = (Tensor::stack(&losses, 0)?.sum_all()? / replicas as f64)?;
    let gradients = mean.backward()?;
    let global = loss.forward(case.tensor("hidden_global")?)?;
    for (name, value) in [
        ("mean_of_replica_losses", scalar(&mean)?),
        ("loss_global", scalar(&global.loss)?),
    ] {
        report.compare_result(case, name, bound, value)?;
    }

    let bound = Tolerance::relative_to_max(case.bound("grad_rel_to_max_abs")?);
    for (replica, local) in locals.iter().enumerate() {
        let name = format!("replica{replica}/grad");
        let gradient = gradients
            .get(local.as_tensor())
            .ok_or_else(|| case.error("a replica got no gradient"))?;
        report.compare_tensor(case, &name, bound, gradient)?;
    }
    let (_, gradient) = differentiate(case, case.tensor("hidden_global")?, |x| loss.forward(x))?;
    report.compare_tensor(case, "grad_global", bound, &gradient)?;
    Ok(report)
}

/// All first views, replica by replica, then all second views.
fn gather(locals: &[Var]) -> Result<Tensor> {
    let mut views = Vec::with_capacity(2 * locals.len());
    for view in 0..2 {
        for local in locals {
            let images = local.dim(0)? / 2;
            views.push(local.narrow(0, view * images, images)?);
        }
    }
    Ok(Tensor::cat(&views, 0)?)
}

/// Batch norm over replicas is the batch norm of the whole batch.
fn batch_norm_over_replicas(case: &GoldenCase) -> Result<CaseReport> {
    let input = case.tensor("input")?;
    let channels = input.dim(input.rank() - 1)?;
    let momentum = case.number("momentum")?;
    let start = |variable: &str| -> Result<Tensor> {
        let name = format!("base_model/batch_normalization/{variable}");
        let (low, high) = formula_range(&name, &[channels]);
        let values = formula_values(&name, channels, low, high);
        Ok(Tensor::from_vec(values, channels, input.device())?)
    };
    let norm = BatchNormParameters {
        gamma: &start("gamma")?,
        beta: &start("beta")?,
        epsilon: case.number("eps")?,
    };
    let (output, stats) = batch_norm_training(input, norm, Activation::Identity, None)?;
    let moved = |variable: &str, batch: &Tensor| -> Result<Tensor> {
        Ok(((start(variable)? * momentum)? + (batch * (1.0 - momentum))?)?)
    };

    let bound = Tolerance::absolute(case.bound("abs")?);
    let mut report = CaseReport::default();
    report.compare_tensor(case, "output", bound, &output)?;
    for (name, batch) in [
        ("moving_mean", &stats.mean),
        ("moving_variance", &stats.variance),
    ] {
        report.compare_tensor(case, name, bound, &moved(name, batch)?)?;
    }
    Ok(report)
}
