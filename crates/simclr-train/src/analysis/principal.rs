//! Principal components: a map of an embedding.

use candle_core::{DType, Device, Tensor};

use crate::{Error, Result};

/// Directions iterated beside the wanted ones: they make the iteration
/// converge as fast as the eigenvalue after them is small.
const SPARE: usize = 6;
const MAX_ITERATIONS: usize = 500;
/// Residual of an eigenvector, relative to the largest eigenvalue.
const TOLERANCE: f64 = 1e-9;

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

/// The `count` largest eigenvalues of the symmetric `side` x `side` matrix
/// and their eigenvectors.
fn leading_eigenpairs(matrix: &[f64], side: usize, count: usize) -> Vec<(f64, Vec<f64>)> {
    let block = (count + SPARE).min(side);
    let mut basis: Vec<Vec<f64>> = (0..block).map(|index| start_vector(side, index)).collect();
    orthonormalise(&mut basis);
    let mut values = vec![0.0; block];
    for _ in 0..MAX_ITERATIONS {
        let images: Vec<Vec<f64>> = basis
            .iter()
            .map(|vector| multiply(matrix, vector))
            .collect();
        // The best eigenvectors within the span of the basis.
        let (ritz_values, rotation) = jacobi(&inner_products(&basis, &images));
        let vectors = rotate(&basis, &rotation);
        let images = rotate(&images, &rotation);
        let largest = ritz_values.first().copied().unwrap_or(0.0).abs();
        let converged = (0..count).all(|i| {
            let residual = vectors[i].iter().zip(&images[i]);
            let squares = residual.map(|(v, image)| (image - ritz_values[i] * v).powi(2));
            squares.sum::<f64>().sqrt() <= TOLERANCE * largest
        });
        values = ritz_values;
        if converged {
            basis = vectors;
            break;
        }
        basis = images;
        orthonormalise(&mut basis);
    }
    let mut pairs: Vec<_> = values.into_iter().zip(basis).take(count).collect();
    for (value, vector) in &mut pairs {
        // Rounding can take a variance of zero a little below it.
        *value = value.max(0.0);
        fix_sign(vector);
    }
    pairs
}

/// A start that favours no direction, but is the same every time.
fn start_vector(side: usize, index: usize) -> Vec<f64> {
    (0..side)
        .map(|i| {
            let phase = (i + 1) as f64 * (index + 1) as f64 * 0.754_877_666_246_692_7;
            phase.fract() - 0.5 + if i == index { 1.0 } else { 0.0 }
        })
        .collect()
}

/// Gram-Schmidt, twice over for accuracy. A vector that depends on the ones
/// before it is replaced by a coordinate direction that does not.
fn orthonormalise(basis: &mut [Vec<f64>]) {
    for index in 0..basis.len() {
        let (before, rest) = basis.split_at_mut(index);
        let Some(vector) = rest.first_mut() else {
            return;
        };
        let mut replacement = 0;
        while !orthonormalise_one(before, vector) && replacement < vector.len() {
            vector.fill(0.0);
            vector[replacement] = 1.0;
            replacement += 1;
        }
    }
}

/// Makes `vector` orthogonal to `before` and of unit length; `false` if there
/// is nothing left of it.
fn orthonormalise_one(before: &[Vec<f64>], vector: &mut [f64]) -> bool {
    for _ in 0..2 {
        let length_before = dot(vector, vector).sqrt();
        for other in before {
            let overlap = dot(other, vector);
            vector
                .iter_mut()
                .zip(other)
                .for_each(|(v, o)| *v -= overlap * o);
        }
        let length = dot(vector, vector).sqrt();
        if length <= 1e-10 * length_before || length == 0.0 {
            return false;
        }
        vector.iter_mut().for_each(|value| *value /= length);
    }
    true
}

/// `result[i][j] = a[i] . b[j]`, made symmetric.
fn inner_products(a: &[Vec<f64>], b: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let product = |i: usize, j: usize| 0.5 * (dot(&a[i], &b[j]) + dot(&a[j], &b[i]));
    let row = |i| (0..b.len()).map(|j| product(i, j)).collect();
    (0..a.len()).map(row).collect()
}

/// The vectors `sum_j rotation[i][j] vectors[j]`.
fn rotate(vectors: &[Vec<f64>], rotation: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let length = vectors.first().map_or(0, Vec::len);
    rotation
        .iter()
        .map(|weights| {
            let mut sum = vec![0.0; length];
            for (weight, vector) in weights.iter().zip(vectors) {
                sum.iter_mut()
                    .zip(vector)
                    .for_each(|(s, v)| *s += weight * v);
            }
            sum
        })
        .collect()
}

/// All eigenvalues, largest first, and the eigenvectors (as rows) of a small
/// symmetric matrix, by Jacobi's rotations.
fn jacobi(matrix: &[Vec<f64>]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let side = matrix.len();
    let mut a = matrix.to_vec();
    let mut vectors = identity(side);
    for _sweep in 0..60 {
        let mut rotated = false;
        for p in 0..side {
            for q in p + 1..side {
                if a[p][q].abs() > 1e-17 * (a[p][p] * a[q][q]).abs().sqrt() && a[p][q] != 0.0 {
                    rotate_plane(&mut a, &mut vectors, p, q);
                    rotated = true;
                }
            }
        }
        if !rotated {
            break;
        }
    }
    let mut order: Vec<usize> = (0..side).collect();
    order.sort_by(|i, j| a[*j][*j].total_cmp(&a[*i][*i]));
    let values = order.iter().map(|i| a[*i][*i]).collect();
    let vectors = order.iter().map(|i| vectors[*i].clone()).collect();
    (values, vectors)
}

/// The rotation in the plane (p, q) that makes `a[p][q]` zero.
fn rotate_plane(a: &mut [Vec<f64>], vectors: &mut [Vec<f64>], p: usize, q: usize) {
    let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    let sign = if theta < 0.0 { -1.0 } else { 1.0 };
    let tangent = sign / (theta.abs() + (theta * theta + 1.0).sqrt());
    let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
    let sine = tangent * cosine;
    for row in a.iter_mut() {
        let (at_p, at_q) = (row[p], row[q]);
        row[p] = cosine * at_p - sine * at_q;
        row[q] = sine * at_p + cosine * at_q;
    }
    turn_rows(a, p, q, cosine, sine);
    turn_rows(vectors, p, q, cosine, sine);
}

fn turn_rows(rows: &mut [Vec<f64>], p: usize, q: usize, cosine: f64, sine: f64) {
    for column in 0..rows[p].len() {
        let (at_p, at_q) = (rows[p][column], rows[q][column]);
        rows[p][column] = cosine * at_p - sine * at_q;
        rows[q][column] = sine * at_p + cosine * at_q;
    }
}

fn identity(side: usize) -> Vec<Vec<f64>> {
    let entry = |i, j| if i == j { 1.0 } else { 0.0 };
    (0..side)
        .map(|i| (0..side).map(|j| entry(i, j)).collect())
        .collect()
}

fn multiply(matrix: &[f64], vector: &[f64]) -> Vec<f64> {
    matrix
        .chunks_exact(vector.len())
        .map(|row| dot(row, vector))
        .collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn fix_sign(vector: &mut [f64]) {
    let largest = vector.iter().copied().fold(0.0, |largest: f64, value| {
        if value.abs() > largest.abs() {
            value
        } else {
            largest
        }
    });
    if largest < 0.0 {
        vector.iter_mut().for_each(|value| *value = -*value);
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
    fn eigenpairs_of_a_known_matrix_are_found() {
        // Eigenvalues 1, 2 and 4.
        let matrix = [3.0, 1.0, 0.0, 1.0, 3.0, 0.0, 0.0, 0.0, 1.0];
        let pairs = leading_eigenpairs(&matrix, 3, 3);
        let values: Vec<f64> = pairs.iter().map(|pair| pair.0).collect();
        for (value, expected) in values.iter().zip([4.0, 2.0, 1.0]) {
            assert!((value - expected).abs() < 1e-12, "{values:?}");
        }
        let half = 0.5f64.sqrt();
        for (entry, expected) in pairs[0].1.iter().zip([half, half, 0.0]) {
            assert!((entry - expected).abs() < 1e-9, "{pairs:?}");
        }
    }

    #[test]
    fn eigenpairs_of_a_large_matrix_satisfy_their_equation() {
        let side = 80;
        let entry = |i: usize, j: usize| {
            let (i, j) = (i.min(j), i.max(j));
            f64::from(simclr_testkit::formula_value(
                "m",
                (i * side + j) as u64,
                -1.0,
                1.0,
            ))
        };
        // M M is positive semidefinite, with eigenvalues close to each other.
        let m: Vec<Vec<f64>> = (0..side)
            .map(|i| (0..side).map(|j| entry(i, j)).collect())
            .collect();
        let square: Vec<f64> = (0..side)
            .flat_map(|i| (0..side).map(|j| dot(&m[i], &m[j])).collect::<Vec<_>>())
            .collect();
        let pairs = leading_eigenpairs(&square, side, 2);
        let scale = pairs[0].0;
        for (value, vector) in &pairs {
            let image = multiply(&square, vector);
            let residual: f64 = image
                .iter()
                .zip(vector)
                .map(|(image, v)| (image - value * v).powi(2))
                .sum();
            assert!(
                residual.sqrt() < 1e-8 * scale,
                "{value}: {}",
                residual.sqrt()
            );
            assert!((dot(vector, vector) - 1.0).abs() < 1e-12);
        }
        assert!(dot(&pairs[0].1, &pairs[1].1).abs() < 1e-12);
        assert!(pairs[0].0 > pairs[1].0);
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
