//! Nearest neighbours in feature space.

use candle_core::{DType, Tensor};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Queries that are compared with the whole gallery at a time.
const CHUNK: usize = 256;

/// An image of the gallery and its similarity to the query.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Neighbour {
    /// Its row in the gallery.
    pub index: usize,
    /// The cosine of the angle between the two feature vectors.
    pub similarity: f32,
}

/// The `count` rows of `gallery` `[m, d]` that are most similar to each row of
/// `queries` `[n, d]`, by the cosine of their angle, best first; of equals the
/// one with the lower index comes first. A row of zeros has similarity 0 to all.
///
/// # Errors
/// [`Error::Evaluation`] if the rows differ in length or are not finite;
/// [`Error::Candle`] if a tensor is no matrix.
pub fn nearest_neighbours(
    queries: &Tensor,
    gallery: &Tensor,
    count: usize,
) -> Result<Vec<Vec<Neighbour>>> {
    search(&unit_rows(queries)?, &unit_rows(gallery)?, count, |_, _| {
        true
    })
}

/// As [`nearest_neighbours`] within one set: no row is its own neighbour.
///
/// # Errors
/// As [`nearest_neighbours`].
pub fn neighbours_within(features: &Tensor, count: usize) -> Result<Vec<Vec<Neighbour>>> {
    let rows = unit_rows(features)?;
    search(&rows, &rows, count, |query, other| query != other)
}

fn search(
    queries: &Tensor,
    gallery: &Tensor,
    count: usize,
    allowed: impl Fn(usize, usize) -> bool + Sync,
) -> Result<Vec<Vec<Neighbour>>> {
    let (rows, dimension) = queries.dims2()?;
    let (_, expected) = gallery.dims2()?;
    if dimension != expected {
        return Err(wrong(format!(
            "queries with {dimension} features, a gallery with {expected}"
        )));
    }
    let gallery = gallery.t()?;
    let mut nearest = Vec::with_capacity(rows);
    for start in (0..rows).step_by(CHUNK) {
        let chunk = queries.narrow(0, start, CHUNK.min(rows - start))?;
        let similarities = chunk.matmul(&gallery)?.to_vec2::<f32>()?;
        let best = similarities
            .par_iter()
            .enumerate()
            .map(|(row, row_similarities)| {
                let candidates = row_similarities.iter().enumerate();
                let candidates = candidates.filter(|(index, _)| allowed(start + row, *index));
                best_of(candidates, count)
            });
        nearest.par_extend(best);
    }
    Ok(nearest)
}

fn best_of<'s>(candidates: impl Iterator<Item = (usize, &'s f32)>, count: usize) -> Vec<Neighbour> {
    let mut all: Vec<Neighbour> = candidates
        .map(|(index, similarity)| Neighbour {
            index,
            similarity: *similarity,
        })
        .collect();
    let order = |a: &Neighbour, b: &Neighbour| {
        let by_similarity = b.similarity.total_cmp(&a.similarity);
        by_similarity.then(a.index.cmp(&b.index))
    };
    if count < all.len() {
        all.select_nth_unstable_by(count, order);
        all.truncate(count);
    }
    all.sort_unstable_by(order);
    all
}

/// The rows of a matrix `[n, d]`, each divided by its length; a row of zeros stays one.
///
/// # Errors
/// [`Error::Evaluation`] if a row is not finite; [`Error::Candle`] if the tensor is no matrix.
pub fn unit_rows(features: &Tensor) -> Result<Tensor> {
    let features = scaled(&features.detach().to_dtype(DType::F32)?)?;
    let lengths = features.sqr()?.sum_keepdim(1)?.sqrt()?;
    let unit = features.broadcast_div(&lengths.maximum(f32::MIN_POSITIVE)?)?;
    // A row that is not finite has no finite length.
    let lengths = lengths.flatten_all()?.to_vec1::<f32>()?;
    match lengths.iter().position(|length| !length.is_finite()) {
        Some(row) => Err(wrong(format!("row {row} has no finite length"))),
        None => Ok(unit),
    }
}

/// The rows whose squares would leave f32's range, divided by their largest number; the others as
/// they are.
fn scaled(rows: &Tensor) -> Result<Tensor> {
    let largest = rows.abs()?.max_keepdim(1)?;
    let is_usual = (largest.gt(1e-15)? * largest.lt(1e15)?)?;
    let divisor = is_usual.where_cond(&largest.ones_like()?, &largest)?;
    Ok(rows.broadcast_div(&divisor.maximum(f32::MIN_POSITIVE)?)?)
}

fn wrong(reason: String) -> Error {
    Error::evaluation("nearest neighbours", reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn tensor<const D: usize>(rows: &[[f32; D]]) -> Tensor {
        Tensor::from_slice(rows.as_flattened(), (rows.len(), D), &Device::Cpu).unwrap()
    }

    fn indices(neighbours: &[Vec<Neighbour>]) -> Vec<Vec<usize>> {
        let row = |row: &Vec<Neighbour>| row.iter().map(|neighbour| neighbour.index).collect();
        neighbours.iter().map(row).collect()
    }

    #[test]
    fn direction_counts_and_length_does_not() {
        let gallery = tensor(&[[100.0, 1.0], [0.0, 0.1], [-3.0, 0.0], [1.0, 1.0]]);
        let found = nearest_neighbours(&tensor(&[[1.0, 0.0]]), &gallery, 3).unwrap();
        assert_eq!(indices(&found), [[0, 3, 1]]);
        let best = found[0][0].similarity;
        assert!((best - 100.0 / 10001f32.sqrt()).abs() < 1e-6, "{best}");
    }

    #[test]
    fn within_a_set_an_image_is_not_its_own_neighbour() {
        let set = tensor(&[[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]);
        let found = neighbours_within(&set, 5).unwrap();
        assert_eq!(indices(&found), [[1, 2], [0, 2], [1, 0]]);
    }

    #[test]
    fn many_queries_find_what_a_plain_search_finds() {
        let value = |i| simclr_testkit::formula_value("features", i, -1.0, 1.0);
        let data: Vec<f32> = (0..600 * 7).map(value).collect();
        let features = Tensor::from_vec(data.clone(), (600, 7), &Device::Cpu).unwrap();
        let found = neighbours_within(&features, 4).unwrap();
        let row = |i: usize| &data[7 * i..7 * (i + 1)];
        let dot =
            |a: &[f32], b: &[f32]| -> f64 { a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum() };
        for query in [0, 255, 256, 599] {
            let cosine = |i: usize| {
                let lengths = dot(row(i), row(i)) * dot(row(query), row(query));
                dot(row(query), row(i)) / lengths.sqrt()
            };
            let mut all: Vec<usize> = (0..600).filter(|i| *i != query).collect();
            all.sort_by(|a, b| cosine(*b).total_cmp(&cosine(*a)));
            assert_eq!(indices(&found)[query], all[..4], "query {query}");
        }
    }

    #[test]
    fn equals_come_in_order_and_zeros_are_like_nothing() {
        let gallery = tensor(&[[0.0, 0.0], [2.0, 2.0], [2.0, 2.0]]);
        let found = nearest_neighbours(&tensor(&[[1.0, 1.0]]), &gallery, 3).unwrap();
        assert_eq!(indices(&found), [[1, 2, 0]]);
        assert_eq!(found[0][2].similarity, 0.0);
    }

    #[test]
    fn rows_of_any_size_have_unit_length() {
        for size in [1e-38, 1e-25, 1e-19, 1.0, 1e19, 5e37] {
            let unit = unit_rows(&tensor(&[[3.0 * size, 4.0 * size, 0.0]])).unwrap();
            let unit = unit.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let error = (unit[0] - 0.6).abs().max((unit[1] - 0.8).abs());
            assert!(error < 1e-6, "{size}: {unit:?}");
        }
    }

    #[test]
    fn features_that_make_no_sense_are_refused() {
        let one = tensor(&[[1.0, 1.0]]);
        let error = nearest_neighbours(&tensor(&[[1.0]]), &one, 1).unwrap_err();
        assert!(
            error.to_string().contains("queries with 1 features"),
            "{error}"
        );
        let bad = tensor(&[[1.0, 1.0], [1.0, f32::NAN]]);
        let error = nearest_neighbours(&one, &bad, 1).unwrap_err();
        assert!(
            error.to_string().contains("row 1 has no finite length"),
            "{error}"
        );
    }
}
