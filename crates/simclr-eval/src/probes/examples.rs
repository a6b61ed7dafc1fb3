//! Features with labels.

use candle_core::{Device, Tensor};

use crate::{Error, Result};

/// Rows of features, each with its class.
#[derive(Debug, Clone, Copy)]
pub struct Examples<'a> {
    features: &'a [f32],
    width: usize,
    labels: &'a [u32],
}

impl<'a> Examples<'a> {
    /// Features `[n, width]`, flat, with `n` labels.
    ///
    /// # Errors
    /// No rows or no columns, or another number of labels than of rows; rows that are not finite,
    /// or too long for f32.
    pub fn new(features: &'a [f32], width: usize, labels: &'a [u32]) -> Result<Self> {
        let error = |reason| Err(Error::evaluation("examples", reason));
        if width == 0 || labels.is_empty() || features.len() != width * labels.len() {
            return error(format!(
                "{} labels for {} features in rows of {width}",
                labels.len(),
                features.len()
            ));
        }
        if let Some(position) = features.iter().position(|value| !value.is_finite()) {
            return error(format!("row {} is not finite", position / width));
        }
        let length = |row: &[f32]| row.iter().map(|value| value * value).sum::<f32>();
        let mut rows = features.chunks_exact(width);
        if let Some(row) = rows.position(|row| !length(row).is_finite()) {
            return error(format!("row {row} has no finite length"));
        }
        Ok(Self {
            features,
            width,
            labels,
        })
    }

    /// The number of rows.
    #[allow(clippy::len_without_is_empty, reason = "there is at least one row")]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// The numbers per row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The classes.
    pub fn labels(&self) -> &'a [u32] {
        self.labels
    }

    /// The features, flat.
    pub fn features(&self) -> &'a [f32] {
        self.features
    }

    /// The features `[n, width]`.
    pub(super) fn tensor(&self) -> Result<Tensor> {
        let shape = (self.len(), self.width);
        Ok(Tensor::from_slice(self.features, shape, &Device::Cpu)?)
    }

    /// Features `[rows.len(), width]` and labels of some rows.
    pub(super) fn batch(&self, rows: &[usize]) -> Result<(Tensor, Tensor)> {
        let mut features: Vec<f32> = Vec::with_capacity(rows.len() * self.width);
        let mut labels = Vec::with_capacity(rows.len());
        for &row in rows {
            let label = self.labels.get(row).ok_or_else(|| {
                Error::evaluation("examples", format!("row {row} of {}", self.len()))
            })?;
            labels.push(*label);
            features.extend(&self.features[row * self.width..(row + 1) * self.width]);
        }
        let features = Tensor::from_vec(features, (rows.len(), self.width), &Device::Cpu)?;
        Ok((features, Tensor::new(labels, &Device::Cpu)?))
    }

    /// That there are no more than these classes.
    pub(super) fn check_labels(&self, operation: &'static str, classes: usize) -> Result<()> {
        let unknown = self.labels.iter().find(|&&label| label as usize >= classes);
        unknown.map_or(Ok(()), |&label| {
            Err(Error::unknown_class(operation, label, classes))
        })
    }

    /// That other examples have rows of the same length.
    pub(super) fn check_alike(&self, operation: &'static str, other: &Self) -> Result<()> {
        if self.width == other.width {
            return Ok(());
        }
        Err(Error::evaluation(
            operation,
            format!("rows of {} and of {} features", self.width, other.width),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(Examples::new(&[1.0, 2.0], 2, &[0]).is_ok());
        assert!(Examples::new(&[1.0, 2.0], 2, &[0, 1]).is_err());
        assert!(Examples::new(&[], 2, &[]).is_err());
        assert!(Examples::new(&[1.0, f32::NAN], 1, &[0, 1]).is_err());
        assert!(Examples::new(&[1.0, 1e18], 1, &[0, 1]).is_ok());
        let error = Examples::new(&[1.0, 3e38], 1, &[0, 1]).unwrap_err();
        assert!(error.to_string().ends_with("row 1 has no finite length"));
        let examples = Examples::new(&[1.0, 2.0], 1, &[0, 1]).unwrap();
        assert!(examples.batch(&[2]).is_err());
    }
}
