//! Tensors that are recorded whole or in parts.
//!
//! A large tensor `X` is kept as `X.ch_mean` and `X.ch_std` (over all axes but the last),
//! `X.first64`, and samples `X.val` at the flat indices `X.idx`.

use candle_core::Tensor;
use simclr_testkit::{GoldenCase, Tolerance};

use crate::tensors::{self, values as flat_values};
use crate::{CaseChecks, Result};

/// Compares an activation with what is recorded of it, each part within `tolerance`.
pub(crate) fn compare_activation(
    checks: &mut CaseChecks<'_>,
    name: &str,
    result: &Tensor,
    tolerance: Tolerance,
) -> Result<()> {
    let values = flat_values(result)?;
    if checks.case.has(name) {
        return checks.compare(name, tolerance, &values);
    }
    let (mean, deviation) = channel_moments(result)?;
    for (part, result) in [("ch_mean", &mean), ("ch_std", &deviation)] {
        checks.compare(&format!("{name}.{part}"), tolerance, result)?;
    }
    let first = format!("{name}.first64");
    let count = checks.case.tensor(&first)?.elem_count().min(values.len());
    checks.compare(&first, tolerance, &values[..count])?;
    let samples = samples(checks.case, name, &values)?;
    checks.compare(&format!("{name}.val"), tolerance, &samples)
}

/// Compares a gradient with what is recorded of it under `name`; the indices of samples are
/// those of `index_name`. `relative_l2` bounds the relative distance.
pub(crate) fn compare_gradient(
    checks: &mut CaseChecks<'_>,
    (name, index_name): (&str, &str),
    result: &Tensor,
    relative_l2: f64,
) -> Result<()> {
    let case = checks.case;
    let tolerance = Tolerance::relative_l2(relative_l2);
    let values = flat_values(result)?;
    if case.has(name) {
        return checks.compare(name, tolerance, &values);
    }
    let sampled = format!("{name}.val");
    if case.has(&sampled) {
        checks.compare(&sampled, tolerance, &samples(case, index_name, &values)?)?;
    }
    let (mean, deviation) = (format!("{name}.ch_mean"), format!("{name}.ch_std"));
    if case.has(&mean) && case.has(&deviation) {
        // The distance of the channels' root mean squares is at most that of the tensors.
        let result = root_mean_squares(channel_moments(result)?);
        let reference =
            root_mean_squares((case.values::<f64>(&mean)?, case.values::<f64>(&deviation)?));
        let name = format!("{name}.rms");
        checks.report.compare(&name, tolerance, &result, &reference);
    }
    Ok(())
}

/// Norms that are further apart than their tensors may be prove that the tensors are.
pub(crate) fn compare_norms(
    checks: &mut CaseChecks<'_>,
    name: &str,
    result: &Tensor,
    reference: f64,
    bound: f64,
) -> Result<()> {
    let values: Vec<f32> = flat_values(result)?;
    let norm = tensors::norm(values.into_iter().map(f64::from));
    let tolerance = Tolerance::relative_l2(bound);
    let name = format!("{name}.l2");
    checks
        .report
        .compare(&name, tolerance, &[norm], &[reference]);
    Ok(())
}

fn samples(case: &GoldenCase, name: &str, values: &[f32]) -> Result<Vec<f32>> {
    let indices = case.values::<i64>(&format!("{name}.idx"))?;
    indices
        .into_iter()
        .map(|index| {
            let value = usize::try_from(index).ok().and_then(|i| values.get(i));
            let missing = || case.error(format!("{name}.idx: no element {index}"));
            Ok(*value.ok_or_else(missing)?)
        })
        .collect()
}

fn root_mean_squares((means, deviations): (Vec<f64>, Vec<f64>)) -> Vec<f64> {
    let pairs = means.into_iter().zip(deviations);
    pairs
        .map(|(mean, deviation)| mean.hypot(deviation))
        .collect()
}

/// Mean and population standard deviation per channel, in f64.
fn channel_moments(tensor: &Tensor) -> Result<(Vec<f64>, Vec<f64>)> {
    let channels = tensor.dims().last().copied().unwrap_or(1).max(1);
    let values: Vec<f32> = flat_values(tensor)?;
    let rows = (values.len() / channels).max(1) as f64;
    let mut mean = vec![0.0; channels];
    for row in values.chunks_exact(channels) {
        for (sum, &value) in mean.iter_mut().zip(row) {
            *sum += f64::from(value) / rows;
        }
    }
    let mut variance = vec![0.0; channels];
    for row in values.chunks_exact(channels) {
        for ((sum, &value), mean) in variance.iter_mut().zip(row).zip(&mean) {
            *sum += (f64::from(value) - mean).powi(2) / rows;
        }
    }
    Ok((mean, variance.into_iter().map(f64::sqrt).collect()))
}
