//! What a comparison with recorded tensors found.

use candle_core::{Tensor, WithDType};
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
    /// The quantities, in the order in which they were compared.
    pub checks: Vec<Check>,
    /// Stands before the names of what is compared next.
    pub(crate) prefix: String,
}

impl CaseReport {
    /// Compares and records values, in double precision.
    pub(crate) fn compare<T: WithDType>(
        &mut self,
        name: &str,
        tolerance: Tolerance,
        result: &[T],
        reference: &[T],
    ) {
        self.record(name, tolerance.compare(result, reference));
    }

    /// Records a requirement that either holds or does not.
    pub(crate) fn require(&mut self, name: &str, holds: bool) {
        let gap = if holds { 0.0 } else { f64::INFINITY };
        let comparison = Comparison {
            max_absolute: gap,
            max_relative: gap,
            relative_l2: gap,
            passed: holds,
        };
        self.record(name, comparison);
    }

    fn record(&mut self, name: &str, comparison: Comparison) {
        let name = format!("{}{name}", self.prefix);
        self.checks.push(Check { name, comparison });
    }

    /// Whether everything compared is within tolerance, and anything was compared.
    pub fn passed(&self) -> bool {
        !self.checks.is_empty() && self.passed_below("")
    }

    /// Whether everything whose name begins like this is within tolerance.
    pub(crate) fn passed_below(&self, prefix: &str) -> bool {
        !self.failures().any(|check| check.name.starts_with(prefix))
    }

    /// The quantities that are out of tolerance.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.comparison.failed())
    }

    /// The largest absolute error.
    pub fn max_absolute(&self) -> f64 {
        let errors = self
            .checks
            .iter()
            .map(|check| check.comparison.max_absolute);
        errors.fold(0.0, f64::max)
    }

    /// The largest error relative to its reference's maximum.
    pub fn max_relative(&self) -> f64 {
        let errors = self
            .checks
            .iter()
            .map(|check| check.comparison.max_relative);
        errors.fold(0.0, f64::max)
    }
}

/// A case, and what has been compared of it so far.
pub(crate) struct CaseChecks<'a> {
    pub(crate) case: &'a GoldenCase,
    pub(crate) report: CaseReport,
}

impl<'a> CaseChecks<'a> {
    pub(crate) fn new(case: &'a GoldenCase) -> Self {
        let report = CaseReport::default();
        Self { case, report }
    }

    /// Compares with the recorded tensor of the same name, read in the type of the result.
    pub(crate) fn compare<T: WithDType>(
        &mut self,
        name: &str,
        tolerance: Tolerance,
        result: &[T],
    ) -> Result<()> {
        let reference = self.case.values(name)?;
        self.report.compare(name, tolerance, result, &reference);
        Ok(())
    }

    /// [`Self::compare`] for a tensor, in single precision.
    pub(crate) fn compare_tensor(
        &mut self,
        name: &str,
        tolerance: Tolerance,
        result: &Tensor,
    ) -> Result<()> {
        self.compare(name, tolerance, &values::<f32>(result)?)
    }

    /// Compares a number with the recorded result of the same name.
    pub(crate) fn compare_result(
        &mut self,
        name: &str,
        tolerance: Tolerance,
        result: f64,
    ) -> Result<()> {
        let reference = self.case.result(name)?;
        self.report
            .compare(name, tolerance, &[result], &[reference]);
        Ok(())
    }
}
