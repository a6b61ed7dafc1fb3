//! Principal components: a map of an embedding.

use candle_core::{DType, Device, Tensor};

use super::eigen::{dot, leading_eigenpairs};
use crate::{Error, Result};

/// The directions in which features vary most.
///
/// The leading eigenvectors of the covariance matrix (divisor n - 1), found by
/// subspace iteration with Rayleigh-Ritz steps from a fixed start, in f64: the
/// same features always give the same map. The sign of each component is such
/// that its largest entry is positive.
#[derive(Debug, Clone, PartialEq)]
pub struct PrincipalComponents {
    mean: Vec<f64>,
    components: Vec<Vec<f64>>,
    variances: Vec<f64>,
    total_variance: f64,
}

impl PrincipalComponents {
    /// The first `count` components of `features` `[n, d]`; fewer if d is
    /// smaller.
    ///
    /// # Errors
    /// [`Error::Evaluation`] if there are fewer than two rows, no columns, or a
    /// value is not finite; [`Error::Candle`] if `features` is no matrix.
    pub fn fit(features: &Tensor, count: usize) -> Result<Self> {
        let (rows, columns) = features.dims2()?;
        if rows < 2 || columns == 0 {
            return Err(wrong(format!(
                "features of shape [{rows}, {columns}] have no variance"
            )));
        }
        let features = features.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
        let mean = features.mean_keepdim(0)?;
        let centred = features.broadcast_sub(&mean)?;
        let covariance = (centred.t()?.matmul(&centred)? / (rows as f64 - 1.0))?;
        let mean = mean.flatten_all()?.to_vec1::<f64>()?;
        let covariance = covariance.flatten_all()?.to_vec1::<f64>()?;
        if covariance.iter().any(|value| !value.is_finite()) {
            return Err(wrong("the features are not finite".into()));
        }
        let total_variance = covariance.iter().step_by(columns + 1).sum();
        let pairs = leading_eigenpairs(&covariance, columns, count.min(columns));
        let (variances, components) = pairs.into_iter().unzip();
        Ok(Self {
            mean,
            components,
            variances,
            total_variance,
        })
    }

    /// The unit vectors, the one with the largest variance first.
    pub fn components(&self) -> &[Vec<f64>] {
        &self.components
    }

    /// The share of all variance that each component has; 0 where nothing
    /// varies.
    pub fn variance_shares(&self) -> Vec<f64> {
        let share = |variance: &f64| match self.total_variance {
            total if total > 0.0 => variance / total,
            _ => 0.0,
        };
        self.variances.iter().map(share).collect()
    }

    /// The coordinates of each row of `features` `[n, d]` along the
    /// components.
    ///
    /// # Errors
    /// [`Error::Evaluation`] if d is not that of the fit; [`Error::Candle`] if
    /// `features` is no matrix.
    pub fn project(&self, features: &Tensor) -> Result<Vec<Vec<f64>>> {
        let (_, columns) = features.dims2()?;
        if columns != self.mean.len() {
            let expected = self.mean.len();
            return Err(wrong(format!("{columns} features, fitted to {expected}")));
        }
        let rows = features.to_dtype(DType::F64)?.to_vec2::<f64>()?;
        Ok(rows
            .iter()
            .map(|row| {
                let centred: Vec<f64> = row.iter().zip(&self.mean).map(|(x, m)| x - m).collect();
                self.components
                    .iter()
                    .map(|component| dot(component, &centred))
                    .collect()
            })
            .collect())
    }

    /// The first two coordinates of each row, for a map; the second is 0 if
    /// there is only one component.
    ///
    /// # Errors
    /// As [`project`](Self::project).
    pub fn map(&self, features: &Tensor) -> Result<Vec<(f64, f64)>> {
        let coordinate = |row: &[f64], axis| row.get(axis).copied().unwrap_or(0.0);
        let rows = self.project(features)?;
        Ok(rows
            .iter()
            .map(|row| (coordinate(row, 0), coordinate(row, 1)))
            .collect())
    }
}

fn wrong(reason: String) -> Error {
    Error::evaluation("principal components", reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows that vary along given orthogonal directions with given strengths.
    fn features(rows: usize, columns: usize, strengths: &[f64]) -> Tensor {
        let noise = |row: usize, axis: usize| {
            simclr_testkit::formula_value("pca", (row * 64 + axis) as u64, -1.0, 1.0)
        };
        let data: Vec<f32> = (0..rows)
            .flat_map(|row| {
                (0..columns).map(move |column| {
                    let axis = strengths.get(column);
                    5.0 + axis.map_or(0.0, |strength| *strength as f32 * noise(row, column))
                })
            })
            .collect();
        Tensor::from_vec(data, (rows, columns), &Device::Cpu).unwrap()
    }

    #[test]
    fn the_map_shows_the_directions_of_most_variance() {
        let features = features(500, 12, &[0.1, 4.0, 0.0, 2.0]);
        let pca = PrincipalComponents::fit(&features, 2).unwrap();
        // Little correlation by chance turns the axes a little.
        assert!(pca.components()[0][1] > 0.99, "{:?}", pca.components());
        assert!(pca.components()[1][3] > 0.99, "{:?}", pca.components());
        let shares = pca.variance_shares();
        assert!((shares[0] - 0.8).abs() < 0.03, "{shares:?}");
        assert!((shares[1] - 0.2).abs() < 0.03, "{shares:?}");

        let map = pca.map(&features).unwrap();
        let mean: f64 = map.iter().map(|point| point.0).sum::<f64>() / 500.0;
        let variance: f64 = map.iter().map(|point| point.0.powi(2)).sum::<f64>() / 499.0;
        assert!(mean.abs() < 1e-9);
        assert!((variance - pca.variances[0]).abs() < 1e-9 * variance);
    }

    #[test]
    fn features_that_do_not_vary_or_in_few_directions_only_are_fine() {
        let constant = Tensor::ones((4, 3), DType::F32, &Device::Cpu).unwrap();
        let pca = PrincipalComponents::fit(&constant, 2).unwrap();
        assert_eq!(pca.variance_shares(), [0.0, 0.0]);
        assert!(
            pca.map(&constant)
                .unwrap()
                .iter()
                .all(|point| *point == (0.0, 0.0))
        );

        let pair = features(2, 40, &[1.0; 40]);
        let pca = PrincipalComponents::fit(&pair, 2).unwrap();
        assert!((pca.variance_shares()[0] - 1.0).abs() < 1e-9);

        let column = features(9, 1, &[1.0]);
        let pca = PrincipalComponents::fit(&column, 2).unwrap();
        assert_eq!(pca.components().len(), 1);
        assert!(pca.map(&column).unwrap().iter().all(|point| point.1 == 0.0));
    }

    #[test]
    fn features_that_make_no_sense_are_refused() {
        let one = Tensor::ones((1, 3), DType::F32, &Device::Cpu).unwrap();
        let error = PrincipalComponents::fit(&one, 2).unwrap_err();
        assert!(
            error.to_string().contains("[1, 3] have no variance"),
            "{error}"
        );
        let nan = Tensor::full(f32::NAN, (3, 3), &Device::Cpu).unwrap();
        let error = PrincipalComponents::fit(&nan, 2).unwrap_err();
        assert!(error.to_string().contains("not finite"), "{error}");
        let pca = PrincipalComponents::fit(&features(9, 4, &[1.0]), 2).unwrap();
        let error = pca.project(&features(9, 5, &[1.0])).unwrap_err();
        assert!(
            error.to_string().contains("5 features, fitted to 4"),
            "{error}"
        );
    }
}
