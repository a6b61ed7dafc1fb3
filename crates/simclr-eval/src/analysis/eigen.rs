//! The leading eigenvectors of a symmetric matrix.

/// Directions iterated beside the wanted ones: they make the iteration
/// converge as fast as the eigenvalue after them is small.
const SPARE: usize = 6;
const MAX_ITERATIONS: usize = 500;
/// Residual of an eigenvector, relative to the largest eigenvalue.
const TOLERANCE: f64 = 1e-9;

/// The `count` largest eigenvalues of the symmetric `side` x `side` matrix
/// and their eigenvectors.
pub(super) fn leading_eigenpairs(
    matrix: &[f64],
    side: usize,
    count: usize,
) -> Vec<(f64, Vec<f64>)> {
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

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
