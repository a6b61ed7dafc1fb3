//! Classes along the hole as a hidden Markov chain.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::cells::Cell;
use crate::error::{Result, check};
use crate::table::{IntervalTable, LabelledInterval};

/// No class is less probable: one tile alone rules nothing out.
const LEAST: f64 = 1e-4;

/// How the classes of neighbours in depth influence each other.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Smoothing {
    /// Not at all: each place has its most probable class. The default: a classifier that is wrong
    /// about an interval is wrong about all of its tiles, and smoothing then costs thin intervals.
    #[default]
    None,
    /// A hidden Markov model, whose most probable path is taken (Viterbi).
    Viterbi {
        /// The probability that one centimetre further down the class is the same, from that of
        /// chance (one over the number of classes) to below 1. Changes to all other classes are
        /// equally probable. Further down a class may have changed and come back, so that it is
        /// never less probable than chance. What lies in a gap has no class; the gap counts as a
        /// distance.
        stay: f64,
    },
}

impl Smoothing {
    /// A [`Self::Viterbi`] with which a class stays for 33 centimetres on average.
    pub const VITERBI: Self = Self::Viterbi { stay: 0.97 };

    pub(super) fn validate(self) -> Result<()> {
        let Self::Viterbi { stay } = self else {
            return Ok(());
        };
        check(
            stay > 0.0 && stay < 1.0,
            "stay",
            "a probability between 0 and 1",
            stay,
        )
    }

    /// That a class is no less probable one centimetre further down than by chance. A chain with
    /// changes that are not bound to whole centimetres cannot be so.
    pub(super) fn check_classes(self, classes: usize) -> Result<()> {
        let Self::Viterbi { stay } = self else {
            return Ok(());
        };
        let expected = format!("at least one over the number of classes, {classes}");
        check(
            classes < 2 || stay * classes as f64 > 1.0 - 1e-9,
            "stay",
            &expected,
            stay,
        )
    }

    /// The class of each cell; none in gaps.
    pub(super) fn classes(self, cells: &[Cell]) -> Vec<Option<usize>> {
        let in_core: Vec<&Cell> = cells.iter().filter(|cell| !cell.is_gap()).collect();
        let states = match self {
            Self::None => in_core
                .iter()
                .map(|cell| most_probable(&cell.probabilities))
                .collect(),
            Self::Viterbi { stay } => viterbi(&in_core, stay),
        };
        let mut states = states.into_iter();
        let class = |cell: &Cell| if cell.is_gap() { None } else { states.next() };
        cells.iter().map(class).collect()
    }
}

fn most_probable(values: &[f64]) -> usize {
    let best = values
        .iter()
        .enumerate()
        .rev()
        .max_by(|(_, a), (_, b)| a.total_cmp(b));
    best.map_or(0, |(class, _)| class)
}

/// The most probable path through cells that are no gaps.
fn viterbi(cells: &[&Cell], stay: f64) -> Vec<usize> {
    let classes = cells.first().map_or(0, |cell| cell.probabilities.len());
    let middle = |cell: &Cell| (cell.top + cell.bottom) / 2.0;
    let mut scores = vec![0.0; classes];
    let mut origins: Vec<Vec<usize>> = Vec::with_capacity(cells.len());
    let mut before: Option<&Cell> = None;
    for &cell in cells {
        let step = before.map(|before| transition(stay, classes, middle(cell) - middle(before)));
        // The first has no origin but itself.
        let (same, other) = step.unwrap_or((0.0, f64::NEG_INFINITY));
        let best_origin = |class: usize| {
            let from = |origin| scores[origin] + if origin == class { same } else { other };
            let values: Vec<f64> = (0..classes).map(from).collect();
            let origin = most_probable(&values);
            let seen = cell.evidence * cell.probabilities[class].max(LEAST).ln();
            (origin, values[origin] + seen)
        };
        let (origin, next) = (0..classes).map(best_origin).unzip();
        scores = next;
        origins.push(origin);
        before = Some(cell);
    }
    let mut class = most_probable(&scores);
    let mut path = Vec::with_capacity(cells.len());
    for origin in origins.iter().rev() {
        path.push(class);
        class = origin[class];
    }
    path.reverse();
    path
}

/// The logarithms of the probabilities that so many metres further down the class is the same, and
/// that it is a certain other one.
fn transition(stay: f64, classes: usize, distance: f64) -> (f64, f64) {
    let (classes, others) = (classes as f64, classes as f64 - 1.0);
    // A power of the chain's second eigenvalue, 1 - (1 - stay) classes / others; rounding must not
    // take it below 0.
    let eigenvalue_less_1 = (-(1.0 - stay) * classes / others).max(-1.0);
    let log_memory = 100.0 * distance * eigenvalue_less_1.ln_1p();
    let same = (1.0 + others * log_memory.exp()) / classes;
    let other = -log_memory.exp_m1() / classes;
    (same.ln(), other.ln())
}

/// The probability that one centimetre further down the class is the same, from intervals: where they
/// end at a rate of one in their mean thickness, each followed by any other of the table's classes.
/// Intervals that touch and have the same class are one.
pub fn stay_from_intervals(intervals: &IntervalTable) -> f64 {
    let mut thicknesses: Vec<f64> = Vec::new();
    let mut before: Option<&LabelledInterval> = None;
    for interval in intervals.intervals() {
        let thickness = 100.0 * (interval.bottom - interval.top);
        let goes_on = before.is_some_and(|above| {
            above.place() == interval.place()
                && above.class == interval.class
                && interval.top - above.bottom < 0.002
        });
        match thicknesses.last_mut().filter(|_| goes_on) {
            Some(last) => *last += thickness,
            None => thicknesses.push(thickness),
        }
        before = Some(interval);
    }
    let mean = thicknesses.iter().sum::<f64>() / thicknesses.len().max(1) as f64;
    let names = intervals.intervals().iter().map(|interval| &interval.class);
    let classes = names.collect::<BTreeSet<_>>().len().max(2) as f64;
    let others = classes - 1.0;
    (1.0 + others * (-classes / others / mean.max(0.1)).exp()) / classes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(index: usize, probabilities: &[f64]) -> Cell {
        Cell {
            top: 0.1 * index as f64,
            bottom: 0.1 * (index + 1) as f64,
            probabilities: probabilities.to_vec(),
            evidence: if probabilities.is_empty() { 0.0 } else { 1.0 },
        }
    }

    /// The logarithms of the chain's probabilities after so many whole centimetres, a centimetre at a
    /// time.
    fn by_centimetres(stay: f64, classes: usize, centimetres: usize) -> (f64, f64) {
        let change = (1.0 - stay) / (classes - 1) as f64;
        let mut shares = vec![0.0; classes];
        shares[0] = 1.0;
        for _ in 0..centimetres {
            let sum: f64 = shares.iter().sum();
            let next = shares.iter().map(|p| stay * p + change * (sum - p));
            shares = next.collect();
        }
        (shares[0].ln(), shares[1].ln())
    }

    /// How probable a path is, as a logarithm.
    fn score(path: &[usize], cells: &[&Cell], steps: &[(f64, f64)]) -> f64 {
        let seen = cells.iter().zip(path);
        let seen = seen.map(|(cell, &class)| cell.probabilities[class].max(LEAST).ln());
        let pairs = path.windows(2).zip(steps);
        let steps = pairs.map(|(pair, step)| if pair[0] == pair[1] { step.0 } else { step.1 });
        seen.sum::<f64>() + steps.sum::<f64>()
    }

    #[test]
    fn the_path_is_the_most_probable_of_all() {
        let mut seed = 7u64;
        let mut random = || {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (seed >> 33) as f64 / (1u64 << 31) as f64
        };
        for (case, classes) in (0..240).zip([2, 3, 4].into_iter().cycle()) {
            let stay = [1.0 / classes as f64, 0.6, 0.85, 0.97, 0.999][case % 5];
            let mut top = 0;
            let mut lengths = Vec::new();
            let mut cells = Vec::new();
            for index in 0..6 {
                // Whole centimetres between the middles.
                let length = [2, 4, 10, 60, 240][(5.0 * random()) as usize];
                let values: Vec<f64> = (0..classes).map(|_| random() + 0.05).collect();
                let sum: f64 = values.iter().sum();
                let values = values.iter().map(|value| value / sum);
                let is_gap = index == case % 6;
                cells.push(Cell {
                    top: f64::from(top) / 100.0,
                    bottom: f64::from(top + length) / 100.0,
                    probabilities: if is_gap { Vec::new() } else { values.collect() },
                    evidence: if is_gap { 0.0 } else { 1.0 },
                });
                if !is_gap {
                    lengths.push((top + length / 2) as usize);
                }
                top += length;
            }
            let in_core: Vec<&Cell> = cells.iter().filter(|cell| !cell.is_gap()).collect();
            let steps: Vec<(f64, f64)> = lengths
                .windows(2)
                .map(|pair| by_centimetres(stay, classes, pair[1] - pair[0]))
                .collect();
            let best = (0..classes.pow(5)).map(|code| {
                let class = |place| code / classes.pow(place) % classes;
                score(&(0..5).map(class).collect::<Vec<_>>(), &in_core, &steps)
            });
            let best = best.fold(f64::NEG_INFINITY, f64::max);
            let found = Smoothing::Viterbi { stay }.classes(&cells);
            assert_eq!(found.iter().position(Option::is_none), Some(case % 6));
            let path: Vec<usize> = found.into_iter().flatten().collect();
            let reached = score(&path, &in_core, &steps);
            assert!(reached > best - 1e-9, "{path:?} of {cells:?}, stay {stay}");
        }
    }

    #[test]
    fn a_class_is_never_less_probable_further_down_than_by_chance() {
        for (stay, classes) in [(0.85, 2), (0.97, 5), (0.5, 2), (0.999, 3), (0.25, 4)] {
            for centimetres in [1, 7, 66, 1000] {
                let found = transition(stay, classes, centimetres as f64 / 100.0);
                let expected = by_centimetres(stay, classes, centimetres);
                assert!((found.0.exp() - expected.0.exp()).abs() < 1e-9);
                assert!((found.1.exp() - expected.1.exp()).abs() < 1e-9);
                assert!(found.0 >= found.1 - 1e-9);
            }
        }
        // Tiles that all look like one class are of it, however far they are from each other.
        let tiles: Vec<Cell> = (0..8).map(|index| cell(index, &[0.6, 0.4])).collect();
        let smoothing = Smoothing::Viterbi { stay: 0.85 };
        assert_eq!(smoothing.classes(&tiles), [Some(0); 8]);
        let smoothing = Smoothing::Viterbi { stay: 0.3 };
        assert!(smoothing.check_classes(4).is_ok());
        let error = smoothing.check_classes(3).unwrap_err().to_string();
        let expected = "stay: expected at least one over the number of classes, 3, found 0.3";
        assert_eq!(error, expected);
    }

    #[test]
    fn one_doubtful_tile_does_not_make_a_bed_and_a_sure_one_does() {
        let cells = |p: f64| {
            [
                cell(0, &[0.9, 0.1]),
                cell(1, &[1.0 - p, p]),
                cell(2, &[0.9, 0.1]),
            ]
        };
        let smoothing = Smoothing::VITERBI;
        assert_eq!(smoothing.classes(&cells(0.7)), [Some(0); 3]);
        assert_eq!(
            smoothing.classes(&cells(0.999)),
            [Some(0), Some(1), Some(0)]
        );
        assert_eq!(
            Smoothing::None.classes(&cells(0.7)),
            [Some(0), Some(1), Some(0)]
        );
    }
}
