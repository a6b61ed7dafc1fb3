//! Which images does the network take for alike?

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// An image of the gallery and how like the query it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Neighbour {
    /// Its row in the gallery.
    pub index: usize,
    /// The cosine of the angle between the two feature vectors.
    pub similarity: f32,
}

/// The `count` rows of `gallery` that are most like each row of `queries`, by
/// the cosine of their angle, best first; of equals the one with the lower
/// index comes first. `dimension` is the length of a row in both.
///
/// With `skip_same_row`, query i is not compared with gallery row i: for
/// neighbours within one set.
///
/// # Errors
/// [`Error::Evaluation`] if a length is no multiple of `dimension`, or the
/// features are not finite.
pub fn nearest_neighbours(
    queries: &[f32],
    gallery: &[f32],
    dimension: usize,
    count: usize,
    skip_same_row: bool,
) -> Result<Vec<Vec<Neighbour>>> {
    let queries = unit_rows(queries, dimension)?;
    let gallery = unit_rows(gallery, dimension)?;
    let neighbours = queries.par_chunks_exact(dimension).enumerate();
    Ok(neighbours
        .map(|(row, query)| {
            let mut all: Vec<Neighbour> = gallery
                .chunks_exact(dimension)
                .enumerate()
                .filter(|(index, _)| !(skip_same_row && *index == row))
                .map(|(index, other)| Neighbour {
                    index,
                    similarity: query.iter().zip(other).map(|(a, b)| a * b).sum(),
                })
                .collect();
            all.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
            all.truncate(count);
            all
        })
        .collect())
}

/// The rows divided by their lengths; a row of zeros stays.
fn unit_rows(features: &[f32], dimension: usize) -> Result<Vec<f32>> {
    let wrong = |reason: String| Error::evaluation("nearest neighbours", reason);
    if dimension == 0 || !features.len().is_multiple_of(dimension) {
        let length = features.len();
        return Err(wrong(format!("{length} values are no rows of {dimension}")));
    }
    if let Some(position) = features.iter().position(|value| !value.is_finite()) {
        return Err(wrong(format!("row {} is not finite", position / dimension)));
    }
    let mut unit = features.to_vec();
    for row in unit.chunks_exact_mut(dimension) {
        let squares: f64 = row.iter().map(|value| f64::from(*value).powi(2)).sum();
        let length = squares.sqrt().max(f64::from(f32::MIN_POSITIVE));
        for value in row {
            *value = (f64::from(*value) / length) as f32;
        }
    }
    Ok(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indices(neighbours: &[Vec<Neighbour>]) -> Vec<Vec<usize>> {
        let row = |row: &Vec<Neighbour>| row.iter().map(|neighbour| neighbour.index).collect();
        neighbours.iter().map(row).collect()
    }

    #[test]
    fn direction_counts_and_length_does_not() {
        let gallery = [100.0, 1.0, 0.0, 0.1, -3.0, 0.0, 1.0, 1.0];
        let found = nearest_neighbours(&[1.0, 0.0], &gallery, 2, 3, false).unwrap();
        assert_eq!(indices(&found), [[0, 3, 1]]);
        let best = found[0][0].similarity;
        assert!((best - 100.0 / 10001f32.sqrt()).abs() < 1e-6, "{best}");
    }

    #[test]
    fn within_a_set_an_image_is_not_its_own_neighbour() {
        let set = [1.0, 0.0, 1.0, 0.1, 0.0, 1.0];
        let found = nearest_neighbours(&set, &set, 2, 5, true).unwrap();
        assert_eq!(indices(&found), [[1, 2], [0, 2], [1, 0]]);
    }

    #[test]
    fn equals_come_in_order_and_zeros_are_like_nothing() {
        let found = nearest_neighbours(&[1.0, 1.0], &[0.0, 0.0, 2.0, 2.0, 3.0, 3.0], 2, 3, false);
        let found = found.unwrap();
        assert_eq!(indices(&found), [[1, 2, 0]]);
        assert_eq!(found[0][2].similarity, 0.0);
    }

    #[test]
    fn features_that_make_no_sense_are_refused() {
        let error = nearest_neighbours(&[1.0; 3], &[1.0; 4], 2, 1, false).unwrap_err();
        assert!(
            error.to_string().contains("3 values are no rows of 2"),
            "{error}"
        );
        let error = nearest_neighbours(&[1.0; 2], &[1.0, 1.0, 1.0, f32::NAN], 2, 1, false);
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("row 1 is not finite")
        );
        assert!(nearest_neighbours(&[], &[], 0, 1, false).is_err());
    }
}
