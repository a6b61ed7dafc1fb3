//! In how many directions embeddings differ.

use candle_core::{DType, Tensor};
use nalgebra::{DMatrix, SymmetricEigen};

use crate::error::{Error, Result};

/// RankMe: the exponential of the entropy of the singular values of `embeddings` `[n, size]`,
/// scaled to a sum of 1. It lies between 1, if all rows point the same way, and the smaller of n
/// and `size` (Garrido et al., 2023, "RankMe: Assessing the downstream performance of pretrained
/// self-supervised representations by their rank", equation 1). 1 for nothing but zeros.
///
/// # Errors
/// A tensor that is no matrix, is empty, or holds a number that is not finite.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use simclr_eval::analysis::effective_rank;
///
/// let same = Tensor::new(&[[1f32, 2.], [2., 4.], [3., 6.]], &Device::Cpu)?;
/// assert!((effective_rank(&same)? - 1.0).abs() < 1e-5);
/// let two = Tensor::new(&[[1f32, 0., 0.], [0., 1., 0.]], &Device::Cpu)?;
/// assert!((effective_rank(&two)? - 2.0).abs() < 1e-5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn effective_rank(embeddings: &Tensor) -> Result<f64> {
    let (rows, columns) = embeddings.dims2()?;
    let values: Vec<f64> = embeddings.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
    if values.is_empty() || !values.iter().all(|value| value.is_finite()) {
        let reason = "expected embeddings that are finite numbers".to_owned();
        return Err(Error::evaluation("effective rank", reason));
    }
    let matrix = DMatrix::from_row_slice(rows, columns, &values);
    let products = if rows <= columns {
        &matrix * matrix.transpose()
    } else {
        matrix.transpose() * &matrix
    };
    let eigenvalues = SymmetricEigen::new(products).eigenvalues;
    // Rounding can take a value of zero a little below it.
    let singular: Vec<f64> = eigenvalues
        .iter()
        .map(|value| value.max(0.0).sqrt())
        .collect();
    let sum: f64 = singular.iter().sum();
    if sum == 0.0 {
        return Ok(1.0);
    }
    let shares = singular.iter().map(|value| value / sum);
    let entropy: f64 = shares
        .filter(|share| *share > 0.0)
        .map(|share| -share * share.ln())
        .sum();
    Ok(entropy.exp())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn the_rank_is_that_of_the_definition() {
        let tensor = |rows: &[[f32; 3]]| {
            Tensor::from_vec(rows.concat(), (rows.len(), 3), &Device::Cpu).unwrap()
        };
        // Singular values 3, 2 and 1, in rows that are turned.
        let (s, c) = 0.3f32.sin_cos();
        let turned = tensor(&[
            [3.0 * c, 3.0 * s, 0.0],
            [-2.0 * s, 2.0 * c, 0.0],
            [0.0, 0.0, 1.0],
        ]);
        let entropy = -[3.0f64, 2.0, 1.0]
            .map(|v| v / 6.0 * (v / 6.0).ln())
            .iter()
            .sum::<f64>();
        let transposed = turned.t().unwrap();
        for matrix in [
            &turned,
            &transposed,
            &Tensor::cat(&[&turned, &turned], 0).unwrap(),
        ] {
            let rank = effective_rank(matrix).unwrap();
            assert!((rank - entropy.exp()).abs() < 1e-5, "{rank}");
        }
        assert_eq!(effective_rank(&tensor(&[[0.0; 3]; 4])).unwrap(), 1.0);
        let error = effective_rank(&tensor(&[[f32::NAN, 0.0, 1.0]])).unwrap_err();
        assert!(error.to_string().contains("effective rank"), "{error}");
    }
}
