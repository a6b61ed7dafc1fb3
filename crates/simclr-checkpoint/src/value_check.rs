//! Values that no network can have.

use std::path::Path;

use candle_core::Tensor;

use crate::element::Values;
use crate::error::{Error, InFile, Result};

/// What variances are called here, and by PyTorch.
const VARIANCES: [&str; 2] = ["moving_variance", "running_var"];

/// Looks for NaN and infinity in any tensor, and for negative numbers in a batch norm's variance.
///
/// `name` tells whether it is a variance: it ends with `moving_variance` or `running_var`.
///
/// # Errors
/// [`Error::InvalidValues`] with the first such value, its position and the number of them.
pub fn check_values(path: &Path, name: &str, values: &Values) -> Result<()> {
    let mut check = ValueCheck::new(name);
    match values {
        Values::F32(values) => check.update(values.iter().copied()),
        others if others.element_type().is_float() => {
            check.update(others.to_f64().into_iter().map(|value| value as f32));
        }
        _ => {}
    }
    check.finish(path, name)
}

/// [`check_values`] for a tensor.
pub(crate) fn check_tensor(path: &Path, name: &str, tensor: &Tensor) -> Result<()> {
    match Values::of_tensor(tensor).in_file(path)? {
        Some(values) => check_values(path, name, &values),
        None => Ok(()),
    }
}

/// [`check_values`] for values that come in pieces.
pub(crate) struct ValueCheck {
    is_variance: bool,
    seen: usize,
    invalid: usize,
    first: Option<(usize, f32)>,
}

impl ValueCheck {
    pub(crate) fn new(name: &str) -> Self {
        let name = name.trim_end_matches("/.ATTRIBUTES/VARIABLE_VALUE");
        Self {
            is_variance: VARIANCES.iter().any(|variance| name.ends_with(variance)),
            seen: 0,
            invalid: 0,
            first: None,
        }
    }

    pub(crate) fn update(&mut self, values: impl ExactSizeIterator<Item = f32> + Clone) {
        let is_variance = self.is_variance;
        let is_invalid = |value: &f32| !value.is_finite() || is_variance && *value < 0.0;
        let (start, count) = (self.seen, values.len());
        // Counting alone takes no branch for each value.
        let invalid = values.clone().filter(is_invalid).count();
        if invalid > 0 && self.first.is_none() {
            let mut numbered = (start..).zip(values);
            self.first = numbered.find(|(_, value)| is_invalid(value));
        }
        self.seen += count;
        self.invalid += invalid;
    }

    /// Values given as little-endian bytes.
    pub(crate) fn update_bytes(&mut self, bytes: &[u8]) {
        let (values, _) = bytes.as_chunks();
        self.update(values.iter().map(|value| f32::from_le_bytes(*value)));
    }

    pub(crate) fn finish(self, path: &Path, name: &str) -> Result<()> {
        let Some((index, value)) = self.first else {
            return Ok(());
        };
        Err(Error::InvalidValues {
            path: path.to_owned(),
            name: name.to_owned(),
            invalid: self.invalid,
            count: self.seen,
            index,
            value,
        })
    }
}
