//! Principal components: a map of an embedding.

use candle_core::{DType, Device, Tensor};
use nalgebra::{DMatrix, SymmetricEigen};

use crate::{Error, Result};

/// Directions iterated beside the wanted ones: the iteration converges as fast as the
/// eigenvalue after them is small.
const OVERSAMPLING: usize = 6;
const MAX_ITERATIONS: usize = 200;
/// Residual of an eigenvector, relative to the largest eigenvalue.
const TOLERANCE: f64 = 1e-9;

/// The directions in which features vary most.
///
/// The leading eigenvectors of the covariance matrix (divisor n - 1), computed in f64
/// from a fixed start: the same features always give the same map. The sign of each
/// component is such that its largest entry is positive.
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
        let covariance = DMatrix::from_vec(columns, columns, covariance);
        let total_variance = covariance.trace();
        let (variances, components) = leading_eigenpairs(&covariance, count.min(columns));
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
        let total = self.total_variance;
        let share = |variance: &f64| if total > 0.0 { variance / total } else { 0.0 };
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
                let along = |component: &Vec<f64>| {
                    let centred = row.iter().zip(&self.mean).map(|(x, mean)| x - mean);
                    centred.zip(component).map(|(x, c)| x * c).sum::<f64>()
                };
                self.components.iter().map(along).collect()
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

/// The `count` largest eigenvalues of a positive semidefinite matrix and their unit
/// eigenvectors.
///
/// Subspace iteration with Rayleigh-Ritz steps, which costs little for the leading few of a
/// large matrix. Where eigenvalues lie so close that it does not converge, the whole
/// decomposition.
fn leading_eigenpairs(matrix: &DMatrix<f64>, count: usize) -> (Vec<f64>, Vec<Vec<f64>>) {
    let (values, vectors) =
        subspace_iteration(matrix, count).unwrap_or_else(|| descending_eigenpairs(matrix.clone()));
    let vectors = vectors.column_iter().take(count).map(|vector| {
        let largest = vector[vector.icamax()];
        (vector * largest.signum()).as_slice().to_vec()
    });
    // Rounding can take a variance of zero a little below it.
    let values = values.into_iter().take(count).map(|value| value.max(0.0));
    (values.collect(), vectors.collect())
}

fn subspace_iteration(matrix: &DMatrix<f64>, count: usize) -> Option<(Vec<f64>, DMatrix<f64>)> {
    let side = matrix.nrows();
    // A start that favours no direction, but is the same every time.
    let start = DMatrix::from_fn(side, (count + OVERSAMPLING).min(side), |row, column| {
        let phase = (row + 1) as f64 * (column + 1) as f64 * 0.754_877_666_246_692_7;
        phase.fract() - 0.5 + if row == column { 1.0 } else { 0.0 }
    });
    let mut basis = start.qr().q();
    for _ in 0..MAX_ITERATIONS {
        let image = matrix * &basis;
        // The best eigenvectors within the span of the basis.
        let (values, rotation) = descending_eigenpairs(basis.tr_mul(&image));
        let (vectors, images) = (&basis * &rotation, &image * &rotation);
        let largest = values.first().copied().unwrap_or(0.0).abs();
        let converged = (0..count).all(|i| {
            let residual = images.column(i) - vectors.column(i) * values[i];
            residual.norm() <= TOLERANCE * largest
        });
        if converged {
            return Some((values, vectors));
        }
        basis = image.qr().q();
    }
    None
}

/// All eigenvalues of a symmetric matrix, largest first, with their eigenvectors as columns.
fn descending_eigenpairs(matrix: DMatrix<f64>) -> (Vec<f64>, DMatrix<f64>) {
    let eigen = SymmetricEigen::new(matrix);
    let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let values = order.iter().map(|&i| eigen.eigenvalues[i]).collect();
    (values, eigen.eigenvectors.select_columns(&order))
}

fn wrong(reason: String) -> Error {
    Error::evaluation("principal components", reason)
}

#[cfg(test)]
mod tests {
    use nalgebra::DVector;

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

    fn assert_eigenpairs(matrix: &DMatrix<f64>, count: usize) -> Vec<f64> {
        let (values, vectors) = leading_eigenpairs(matrix, count);
        let vectors: Vec<_> = vectors.into_iter().map(DVector::from_vec).collect();
        for (i, (value, vector)) in values.iter().zip(&vectors).enumerate() {
            let residual = (matrix * vector - vector * *value).norm();
            assert!(residual < 1e-8 * values[0], "{value}: {residual}");
            for (j, other) in vectors.iter().enumerate() {
                let expected = if i == j { 1.0 } else { 0.0 };
                assert!((vector.dot(other) - expected).abs() < 1e-12);
            }
        }
        values
    }

    #[test]
    fn eigenpairs_satisfy_their_equation() {
        // Eigenvalues 1, 2 and 4.
        let known = DMatrix::from_row_slice(3, 3, &[3.0, 1.0, 0.0, 1.0, 3.0, 0.0, 0.0, 0.0, 1.0]);
        for (value, expected) in assert_eigenpairs(&known, 3).iter().zip([4.0, 2.0, 1.0]) {
            assert!((value - expected).abs() < 1e-12, "{value} {expected}");
        }
        // Positive semidefinite, with eigenvalues close to each other.
        let entry = |i: usize, j: usize| {
            let index = (i.min(j) * 80 + i.max(j)) as u64;
            f64::from(simclr_testkit::formula_value("m", index, -1.0, 1.0))
        };
        let large = DMatrix::from_fn(80, 80, entry);
        let values = assert_eigenpairs(&large.tr_mul(&large), 2);
        assert!(values[0] > values[1]);
    }

    #[test]
    fn eigenvectors_belong_to_their_values_where_the_iteration_does_not_converge() {
        let values: Vec<f64> = (0..40).map(|i| 1.0 - 1e-6 * f64::from(i)).collect();
        let householder = {
            let axis = DVector::from_fn(40, |i, _| 1.0 + i as f64).normalize();
            DMatrix::identity(40, 40) - 2.0 * &axis * axis.transpose()
        };
        let diagonal = DMatrix::from_diagonal(&DVector::from_vec(values));
        let matrix = &householder * diagonal * &householder;
        assert!(subspace_iteration(&matrix, 2).is_none());
        let (values, vectors) = leading_eigenpairs(&matrix, 2);
        for (k, (value, vector)) in values.iter().zip(vectors).enumerate() {
            assert!((value - (1.0 - 1e-6 * k as f64)).abs() < 1e-12, "{value}");
            let expected = householder.column(k);
            let overlap = DVector::from_vec(vector).dot(&expected).abs();
            assert!((overlap - 1.0).abs() < 1e-9, "{overlap}");
        }
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
