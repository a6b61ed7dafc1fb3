//! Checks of settings and inputs, with errors that name them.

use candle_core::Tensor;

use crate::error::{Error, Result};

/// The error of a setting that is out of its range.
pub(crate) fn setting_error(name: &'static str, value: impl ToString, expected: &str) -> Error {
    Error::Setting {
        name,
        expected: expected.to_owned(),
        found: value.to_string(),
    }
}

/// An error that names the setting unless `holds`.
pub(crate) fn check(
    name: &'static str,
    value: impl ToString,
    expected: &str,
    holds: bool,
) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(setting_error(name, value, expected))
    }
}

/// An error that names the setting unless `1 <= value <= maximum`.
pub(crate) fn check_count(name: &'static str, value: usize, maximum: usize) -> Result<()> {
    let holds = (1..=maximum).contains(&value);
    check(name, value, &format!("1 to {maximum}"), holds)
}

/// An error unless the features are `[n, size]`.
pub(crate) fn check_features(layer: &'static str, features: &Tensor, size: usize) -> Result<()> {
    match features.dims() {
        &[_, length] if length == size => Ok(()),
        dims => Err(Error::Input {
            layer,
            expected: format!("[n, {size}]"),
            found: dims.to_vec(),
        }),
    }
}
