//! What a comparison with recorded tensors found.

use candle_core::Tensor;
use simclr_testkit::{Comparison, GoldenCase, Tolerance};

use crate::Result;
use crate::tensors::values;

/// One compared quantity.
#[derive(Debug, Clone)]
pub struct Check {
    /// What was compared.
    pub name: String,
    /// How close it was.
    pub comparison: Comparison,
}

/// All compared quantities of a case.
#[derive(Debug, Clone, Default)]
pub struct CaseReport {
    checks: Vec<Check>,
}

impl CaseReport {
    /// Compares and records f32 values.
    pub fn compare(&mut self, name: &str, tolerance: Tolerance, result: &[f32], reference: &[f32]) {
        self.record(name, tolerance.compare(result, reference));
    }

    /// Compares with the recorded tensor of the same name.
    pub(crate) fn compare_recorded(
        &mut self,
        case: &GoldenCase,
        name: &str,
        tolerance: Tolerance,
        result: &[f32],
    ) -> Result<()> {
        self.compare(name, tolerance, result, &case.values(name)?);
        Ok(())
    }

    /// [`Self::compare_recorded`] for a tensor.
    pub(crate) fn compare_tensor(
        &mut self,
        case: &GoldenCase,
        name: &str,
        tolerance: Tolerance,
        result: &Tensor,
    ) -> Result<()> {
        self.compare_recorded(case, name, tolerance, &values(result)?)
    }

    /// [`Self::compare_recorded`] in double precision.
    pub(crate) fn compare_recorded_f64(
        &mut self,
        case: &GoldenCase,
        name: &str,
        tolerance: Tolerance,
        result: &[f64],
    ) -> Result<()> {
        self.compare_f64(name, tolerance, result, &case.values_f64(name)?);
        Ok(())
    }

    /// Compares a number with the recorded result of the same name.
    pub(crate) fn compare_result(
        &mut self,
        case: &GoldenCase,
        name: &str,
        tolerance: Tolerance,
        result: f64,
    ) -> Result<()> {
        self.compare_number(name, tolerance, result, case.result(name)?);
        Ok(())
    }

    /// Compares and records one number.
    pub(crate) fn compare_number(
        &mut self,
        name: &str,
        tolerance: Tolerance,
        result: f64,
        reference: f64,
    ) {
        self.compare_f64(name, tolerance, &[result], &[reference]);
    }

    /// Compares and records f64 values.
    pub fn compare_f64(
        &mut self,
        name: &str,
        tolerance: Tolerance,
        result: &[f64],
        reference: &[f64],
    ) {
        self.record(name, tolerance.compare_f64(result, reference));
    }

    /// Records a requirement that either holds or does not.
    pub fn require(&mut self, name: &str, holds: bool) {
        let gap = if holds { 0.0 } else { f64::INFINITY };
        self.record(
            name,
            Comparison {
                max_absolute: gap,
                max_relative: gap,
                relative_l2: gap,
                passed: holds,
            },
        );
    }

    /// Records a comparison made elsewhere.
    pub fn record(&mut self, name: &str, comparison: Comparison) {
        self.checks.push(Check {
            name: name.to_owned(),
            comparison,
        });
    }

    /// Takes over another report's checks, each name behind `label`.
    pub fn absorb(&mut self, label: &str, other: Self) {
        let checks = other.checks.into_iter();
        self.checks.extend(checks.map(|check| Check {
            name: format!("{label}/{}", check.name),
            ..check
        }));
    }

    /// Whether everything compared is within tolerance, and anything was compared.
    pub fn passed(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| check.comparison.passed)
    }

    /// Whether everything whose name begins like this is within tolerance.
    pub fn passed_below(&self, prefix: &str) -> bool {
        let mut below = self
            .checks
            .iter()
            .filter(|check| check.name.starts_with(prefix));
        below.all(|check| check.comparison.passed)
    }

    /// The quantities that are out of tolerance.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.comparison.failed())
    }

    /// How many quantities were compared.
    pub fn len(&self) -> usize {
        self.checks.len()
    }

    /// Whether nothing was compared.
    pub fn is_empty(&self) -> bool {
        self.checks.is_empty()
    }

    /// The largest absolute error.
    pub fn max_absolute(&self) -> f64 {
        self.largest(|comparison| comparison.max_absolute)
    }

    /// The largest error relative to its reference's maximum.
    pub fn max_relative(&self) -> f64 {
        self.largest(|comparison| comparison.max_relative)
    }

    fn largest(&self, of: impl Fn(&Comparison) -> f64) -> f64 {
        self.checks
            .iter()
            .map(|check| of(&check.comparison))
            .fold(0.0, f64::max)
    }
}
