//! Clusters of a pool's images.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use simclr_augment::Seed;

use crate::pool::{Pool, dot};

/// Rounds of Lloyd's algorithm at most.
const ROUNDS: usize = 25;
/// An image is as typical as its so many nearest neighbours are near.
const NEIGHBOURS: usize = 20;

/// The images of each cluster, by spherical k-means: the means are scaled to length 1, and begin
/// with images that are chosen as k-means++ does. Some clusters may be empty.
pub(crate) fn clusters(pool: &Pool, count: usize, seed: Seed) -> Vec<Vec<usize>> {
    let mut centres = first_centres(pool, count, seed);
    let mut nearest = assign(pool, &centres);
    for _ in 0..ROUNDS {
        centres = means(pool, &nearest, &centres);
        let next = assign(pool, &centres);
        if next == nearest {
            break;
        }
        nearest = next;
    }
    let mut members = vec![Vec::new(); centres.len()];
    for (index, cluster) in nearest.into_iter().enumerate() {
        members[cluster].push(index);
    }
    members
}

/// Each further centre is an image, the likelier the farther it lies from the centres before.
fn first_centres(pool: &Pool, count: usize, seed: Seed) -> Vec<Vec<f32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed.0);
    let mut centres = vec![pool.row(rng.random_range(0..pool.len())).to_vec()];
    let mut distances = pool.distances(&centres[0]);
    while centres.len() < count.min(pool.len()) {
        let total: f64 = distances
            .iter()
            .map(|&distance| f64::from(distance.max(0.0)))
            .sum();
        let mut left = rng.random_range(0.0..1.0) * total;
        let chosen = distances.iter().position(|&distance| {
            left -= f64::from(distance.max(0.0));
            left < 0.0
        });
        // All images are where a centre is.
        let Some(chosen) = chosen else { break };
        let row = pool.row(chosen).to_vec();
        for (distance, new) in distances.iter_mut().zip(pool.distances(&row)) {
            *distance = distance.min(new);
        }
        centres.push(row);
    }
    centres
}

fn assign(pool: &Pool, centres: &[Vec<f32>]) -> Vec<usize> {
    let nearest = |index: usize| {
        let row = pool.row(index);
        let similarities = centres.iter().map(|centre| dot(row, centre)).enumerate();
        // Of equals the first.
        let best = similarities.fold((0, f32::NEG_INFINITY), |best, next| {
            if next.1 > best.1 { next } else { best }
        });
        best.0
    };
    (0..pool.len()).into_par_iter().map(nearest).collect()
}

fn means(pool: &Pool, nearest: &[usize], centres: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let mut sums = vec![vec![0.0; pool.size()]; centres.len()];
    for (row, &cluster) in pool.rows().zip(nearest) {
        for (sum, value) in sums[cluster].iter_mut().zip(row) {
            *sum += value;
        }
    }
    for (sum, centre) in sums.iter_mut().zip(centres) {
        let length = dot(sum, sum).sqrt();
        if length > 0.0 {
            sum.iter_mut().for_each(|value| *value /= length);
        } else {
            sum.clone_from(centre);
        }
    }
    sums
}

/// How typical each of a cluster's images is: one divided by the mean distance to its nearest
/// neighbours in the cluster (Hacohen, Dekel and Weinshall, "Active learning on a budget", 2022).
pub(crate) fn typicalities(pool: &Pool, cluster: &[usize]) -> Vec<f64> {
    let neighbours = NEIGHBOURS.min(cluster.len() - 1);
    let typicality = |&index: &usize| {
        let row = pool.row(index);
        let mut distances: Vec<f32> = cluster
            .iter()
            .filter(|&&other| other != index)
            .map(|&other| 2.0 * (1.0 - dot(row, pool.row(other))))
            .map(|square| square.max(0.0).sqrt())
            .collect();
        distances.sort_unstable_by(f32::total_cmp);
        let sum: f32 = distances.iter().take(neighbours).sum();
        neighbours as f64 / f64::from(sum).max(1e-9)
    };
    cluster.par_iter().map(typicality).collect()
}
