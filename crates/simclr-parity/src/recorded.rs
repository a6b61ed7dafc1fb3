//! Tensors that are recorded whole or in parts.
//!
//! A large tensor `X` is kept as `X.ch_mean` and `X.ch_std` (over all axes but the last),
//! `X.first64`, and samples `X.val` at the flat indices `X.idx`.

use candle_core::Tensor;
use simclr_testkit::{GoldenCase, Tolerance};

use crate::tensors::values as flat_values;
use crate::{CaseReport, Result};

/// Compares an activation with what is recorded of it, each part within `tolerance`.
pub(crate) fn compare_activation(
    report: &mut CaseReport,
    case: &GoldenCase,
    name: &str,
    result: &Tensor,
    tolerance: Tolerance,
) -> Result<()> {
    let values = flat_values(result)?;
    if case.has(name) {
        report.compare(name, tolerance, &values, &case.values(name)?);
        return Ok(());
    }
    let moments = ChannelMoments::of(result)?;
    for (part, result) in [("ch_mean", &moments.mean), ("ch_std", &moments.deviation)] {
        let name = format!("{name}.{part}");
        report.compare_f64(&name, tolerance, result, &case.values_f64(&name)?);
    }
    let first = format!("{name}.first64");
    let reference = case.values(&first)?;
    let count = reference.len().min(values.len());
    report.compare(&first, tolerance, &values[..count], &reference);
    let samples = samples(case, name, &values)?;
    let name = format!("{name}.val");
    report.compare(&name, tolerance, &samples, &case.values(&name)?);
    Ok(())
}

/// Compares a gradient with what is recorded of it under `name`; the indices of samples are
/// those of `index_name`. `relative_l2` bounds the relative distance.
pub(crate) fn compare_gradient(
    report: &mut CaseReport,
    case: &GoldenCase,
    names: (&str, &str),
    result: &Tensor,
    relative_l2: f64,
) -> Result<()> {
    let (name, index_name) = names;
    let tolerance = Tolerance::relative_l2(relative_l2);
    let values = flat_values(result)?;
    if case.has(name) {
        let reference = case.values(name)?;
        report.compare(name, tolerance, &values, &reference);
        return Ok(());
    }
    let sampled = format!("{name}.val");
    if case.has(&sampled) {
        let samples = samples(case, index_name, &values)?;
        let reference = case.values(&sampled)?;
        report.compare(&sampled, tolerance, &samples, &reference);
    }
    let (mean, deviation) = (format!("{name}.ch_mean"), format!("{name}.ch_std"));
    if case.has(&mean) && case.has(&deviation) {
        // The distance of the channels' root mean squares is at most that of the tensors.
        let moments = ChannelMoments::of(result)?;
        let result = root_mean_squares(&moments.mean, &moments.deviation);
        let reference = root_mean_squares(&case.values_f64(&mean)?, &case.values_f64(&deviation)?);
        report.compare_f64(&format!("{name}.rms"), tolerance, &result, &reference);
    }
    Ok(())
}

/// The Euclidean norm, summed in f64.
pub(crate) fn norm(tensor: &Tensor) -> Result<f64> {
    let values = flat_values(tensor)?;
    let squares = values.iter().map(|&value| f64::from(value).powi(2));
    Ok(squares.sum::<f64>().sqrt())
}

/// Norms that are further apart than their tensors may be prove that the tensors are.
pub(crate) fn compare_norms(
    report: &mut CaseReport,
    name: &str,
    result: f64,
    reference: f64,
    bound: f64,
) {
    let tolerance = Tolerance::relative_l2(bound);
    report.compare_number(&format!("{name}.l2"), tolerance, result, reference);
}

fn samples(case: &GoldenCase, name: &str, values: &[f32]) -> Result<Vec<f32>> {
    let indices = case.integers(&format!("{name}.idx"))?;
    indices
        .into_iter()
        .map(|index| {
            let value = usize::try_from(index).ok().and_then(|i| values.get(i));
            let missing = || case.error(format!("{name}.idx: no element {index}"));
            Ok(*value.ok_or_else(missing)?)
        })
        .collect()
}

fn root_mean_squares(means: &[f64], deviations: &[f64]) -> Vec<f64> {
    let pairs = means.iter().zip(deviations);
    pairs
        .map(|(mean, deviation)| mean.hypot(*deviation))
        .collect()
}

/// Mean and population standard deviation per channel, in f64.
struct ChannelMoments {
    mean: Vec<f64>,
    deviation: Vec<f64>,
}

impl ChannelMoments {
    fn of(tensor: &Tensor) -> Result<Self> {
        let channels = tensor.dims().last().copied().unwrap_or(1).max(1);
        let values = flat_values(tensor)?;
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
        let deviation = variance.into_iter().map(f64::sqrt).collect();
        Ok(Self { mean, deviation })
    }
}
