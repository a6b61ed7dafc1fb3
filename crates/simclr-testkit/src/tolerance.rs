//! How close two lists of numbers must be.

use candle_core::WithDType;

/// A bound on the difference between a result and its reference. Every part
/// that is set must hold.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tolerance {
    /// `max |a - b| <= absolute`.
    absolute: Option<f64>,
    /// `max |a - b| <= relative_to_max * max |b|` (added to `absolute` when both are set).
    relative_to_max: Option<f64>,
    /// `||a - b|| <= relative_l2 * ||b||`.
    relative_l2: Option<f64>,
}

/// What a comparison found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// `max |a - b|`; infinite where lengths differ or a value is not a number.
    pub max_absolute: f64,
    /// `max |a - b| / max |b|`.
    pub max_relative: f64,
    /// `||a - b|| / ||b||`.
    pub relative_l2: f64,
    /// Whether the tolerance holds.
    pub passed: bool,
}

impl Comparison {
    /// The opposite of `passed`.
    pub fn failed(&self) -> bool {
        !self.passed
    }
}

impl Tolerance {
    const NONE: Self = Self {
        absolute: None,
        relative_to_max: None,
        relative_l2: None,
    };

    /// `max |a - b| <= bound`.
    pub const fn absolute(bound: f64) -> Self {
        Self {
            absolute: Some(bound),
            ..Self::NONE
        }
    }

    /// `max |a - b| <= bound * max |b|`.
    pub const fn relative_to_max(bound: f64) -> Self {
        Self {
            relative_to_max: Some(bound),
            ..Self::NONE
        }
    }

    /// `||a - b|| <= bound * ||b||`.
    pub const fn relative_l2(bound: f64) -> Self {
        Self {
            relative_l2: Some(bound),
            ..Self::NONE
        }
    }

    /// Adds an absolute allowance to a bound relative to the maximum.
    pub const fn plus_absolute(mut self, bound: f64) -> Self {
        self.absolute = Some(bound);
        self
    }

    /// Compares a result with its reference, in double precision.
    pub fn compare<T: WithDType>(&self, result: &[T], reference: &[T]) -> Comparison {
        let difference = Difference::between(result, reference);
        let entrywise = match (self.absolute, self.relative_to_max) {
            (None, None) => f64::INFINITY,
            (absolute, relative) => {
                absolute.unwrap_or(0.0) + relative.unwrap_or(0.0) * difference.reference_max
            }
        };
        let norm = self
            .relative_l2
            .map_or(f64::INFINITY, |bound| bound * difference.reference_norm);
        Comparison {
            max_absolute: difference.max,
            max_relative: ratio(difference.max, difference.reference_max),
            relative_l2: ratio(difference.norm, difference.reference_norm),
            passed: difference.max.is_finite()
                && difference.max <= entrywise
                && difference.norm <= norm,
        }
    }
}

#[derive(Default)]
struct Difference {
    max: f64,
    norm: f64,
    reference_max: f64,
    reference_norm: f64,
}

impl Difference {
    fn between<T: WithDType>(result: &[T], reference: &[T]) -> Self {
        let mut difference = Self::default();
        if result.len() != reference.len() {
            difference.max = f64::INFINITY;
            difference.norm = f64::INFINITY;
            return difference;
        }
        for (a, b) in result.iter().zip(reference) {
            let (a, b) = (a.to_f64(), b.to_f64());
            // Equal infinities agree; a NaN on either side never does.
            let gap = if a == b { 0.0 } else { (a - b).abs() };
            let gap = if gap.is_nan() { f64::INFINITY } else { gap };
            difference.max = difference.max.max(gap);
            difference.norm += gap * gap;
            difference.reference_max = difference.reference_max.max(b.abs());
            difference.reference_norm += b * b;
        }
        difference.norm = difference.norm.sqrt();
        difference.reference_norm = difference.reference_norm.sqrt();
        difference
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if part == 0.0 { 0.0 } else { part / whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_is_enforced() {
        for (bound, met, missed) in [
            (Tolerance::absolute as fn(f64) -> _, 0.11, 0.09),
            (Tolerance::relative_to_max, 0.026, 0.024),
            (Tolerance::relative_l2, 0.023, 0.022),
        ] {
            let compare = |limit| bound(limit).compare(&[0.1f32, 2.0, -4.0], &[0.0, 2.0, -4.0]);
            assert!(compare(met).passed && !compare(met).failed());
            assert!(!compare(missed).passed && compare(missed).failed());
        }
    }

    #[test]
    fn lengths_and_nans_never_pass() {
        for (tolerance, result, reference) in [
            (Tolerance::absolute(1e9), &[1.0][..], &[1.0, 1.0][..]),
            (Tolerance::relative_l2(1e9), &[f32::NAN], &[1.0]),
            (Tolerance::default(), &[f32::INFINITY], &[1.0]),
        ] {
            assert!(tolerance.compare(result, reference).failed());
        }
    }
}
