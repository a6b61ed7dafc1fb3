//! Pairs of images of which one is a copy of the other turned by any angle.

use rayon::prelude::*;

use super::disc::{Disc, SCALES};

/// Images most like an image by their descriptors, which are compared with it in full.
const NEIGHBORS: usize = 8;
/// Largest difference of mean red, green or blue.
const COLOR: f32 = 0.05;
/// Layers have so little about them that unrelated ones correlate by up to 0.8: above this
/// much layering, a higher correlation is asked for.
const LAYERED: f32 = 0.3;
const LAYERED_CORRELATION: f32 = 0.8;

/// Two images, and the discs of them that were compared.
#[derive(Clone, Copy)]
struct Candidate {
    likeness: f32,
    images: [usize; 2],
    scales: [usize; 2],
}

/// Indices (ascending) of pairs of `images`, each of which has its discs, that correlate by at
/// least `correlation` somewhere in all rotations and mirror images, one of them cropped about
/// its centre to no less than half its side or not at all.
///
/// Descriptors choose [`NEIGHBORS`] others for each image, so memory grows with the number of
/// images, and only time with its square.
pub(super) fn turned_pairs(images: &[&[Disc]], correlation: f32) -> Vec<[usize; 2]> {
    let descriptors = Descriptors::of(images);
    let rows = (0..images.len()).into_par_iter();
    let neighbors = rows.flat_map_iter(|image| descriptors.neighbors(image, images.len()));
    let mut candidates: Vec<Candidate> = neighbors.collect();
    // Most pairs are each other's neighbours.
    candidates.sort_unstable_by_key(|candidate| candidate.images);
    candidates.dedup_by_key(|candidate| candidate.images);
    let is_confirmed = |candidate: &Candidate| {
        let [first, second] = candidate.images.map(|image| images[image]);
        let [a, b] = candidate.scales;
        // The scales between those of descriptors too.
        let around = a.max(b).saturating_sub(1)..=(a.max(b) + 1).min(SCALES - 1);
        let pairs = around.map(|scale| if a > b { (scale, 0) } else { (0, scale) });
        let mut pairs = pairs.chain((a == b).then_some((1, 0)));
        pairs.any(|(a, b)| is_copy(&first[a], &second[b], correlation))
    };
    let confirmed = candidates.into_par_iter().filter(is_confirmed);
    confirmed.map(|candidate| candidate.images).collect()
}

fn is_copy(first: &Disc, second: &Disc, correlation: f32) -> bool {
    let least = if first.layering.max(second.layering) > LAYERED {
        correlation.max(LAYERED_CORRELATION)
    } else {
        correlation
    };
    first.color_difference(second) <= COLOR && first.correlation(second) >= least
}

/// Scales that have descriptors: every second one.
const DESCRIBED: usize = SCALES.div_ceil(2);

/// The descriptors of all images, freed of their common mean, in units of their deviation, and
/// of unit length. Images without discs have none.
struct Descriptors {
    vectors: Vec<Option<[Vec<f32>; DESCRIBED]>>,
}

impl Descriptors {
    fn of(images: &[&[Disc]]) -> Self {
        let describe = |discs: &&[Disc]| {
            (discs.len() == SCALES).then(|| std::array::from_fn(|i| discs[2 * i].descriptor()))
        };
        let mut vectors: Vec<Option<[Vec<f32>; DESCRIBED]>> =
            images.par_iter().map(describe).collect();
        let all = || vectors.iter().flatten().flatten();
        let count = all().count().max(1) as f32;
        let length = all().next().map_or(0, Vec::len);
        let (mut mean, mut square) = (vec![0.0; length], vec![0.0; length]);
        for (i, value) in all().flat_map(|vector| vector.iter().enumerate()) {
            mean[i] += value / count;
            square[i] += value * value / count;
        }
        for vector in vectors.iter_mut().flatten().flatten() {
            for (i, value) in vector.iter_mut().enumerate() {
                let variance = square[i] - mean[i] * mean[i];
                *value = (*value - mean[i]) / variance.max(1e-6).sqrt();
            }
            let norm = dot(vector, vector).sqrt().max(f32::MIN_POSITIVE);
            vector.iter_mut().for_each(|value| *value /= norm);
        }
        Self { vectors }
    }

    /// The images most like one.
    fn neighbors(&self, image: usize, count: usize) -> Vec<Candidate> {
        let others = (0..count).filter(|&other| other != image);
        let likeness = |other: usize| self.likeness(image.min(other), image.max(other));
        let mut candidates: Vec<Candidate> = others.filter_map(likeness).collect();
        let order = |a: &Candidate, b: &Candidate| b.likeness.total_cmp(&a.likeness);
        if candidates.len() > NEIGHBORS {
            candidates.select_nth_unstable_by(NEIGHBORS, order);
            candidates.truncate(NEIGHBORS);
        }
        candidates
    }

    /// How alike two images are at the best scales, one of which is the largest.
    fn likeness(&self, first: usize, second: usize) -> Option<Candidate> {
        let (a, b) = (
            self.vectors[first].as_ref()?,
            self.vectors[second].as_ref()?,
        );
        let candidate = |i: usize, j: usize| Candidate {
            likeness: dot(&a[i], &b[j]),
            images: [first, second],
            scales: [2 * i, 2 * j],
        };
        let smaller = (1..DESCRIBED).flat_map(|i| [candidate(i, 0), candidate(0, i)]);
        smaller
            .chain([candidate(0, 0)])
            .max_by(|a, b| a.likeness.total_cmp(&b.likeness))
    }
}

/// A sum of products in eight sums, which compilers turn into vector instructions.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; 8];
    for (a, b) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}
