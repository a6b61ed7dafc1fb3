//! Classes along the hole as a hidden Markov chain.

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
        /// The probability that one centimetre further down the class is the same, between 0 and 1.
        /// Changes to all other classes are equally probable.
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

    /// The class of each cell; none in gaps.
    pub(super) fn classes(self, cells: &[Cell]) -> Vec<Option<usize>> {
        let states = match self {
            Self::None => cells
                .iter()
                .map(|cell| most_probable(&cell.probabilities))
                .collect(),
            Self::Viterbi { stay } => viterbi(cells, stay),
        };
        let in_core = |(cell, class): (&Cell, usize)| (!cell.is_gap()).then_some(class);
        cells.iter().zip(states).map(in_core).collect()
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

fn viterbi(cells: &[Cell], stay: f64) -> Vec<usize> {
    let classes = cells
        .iter()
        .map(|cell| cell.probabilities.len())
        .max()
        .unwrap_or(0);
    let mut scores = vec![0.0; classes];
    let mut origins: Vec<Vec<usize>> = Vec::with_capacity(cells.len());
    let mut before: Option<&Cell> = None;
    for cell in cells {
        let distance = before.map_or(0.0, |before| (before.length() + cell.length()) / 2.0);
        let same = stay.powf(100.0 * distance);
        let other = ((1.0 - same) / (classes.max(2) - 1) as f64).max(f64::MIN_POSITIVE);
        let (same, other) = (same.max(f64::MIN_POSITIVE).ln(), other.ln());
        let best = most_probable(&scores);
        let origin_of = |class: usize| {
            let change = before.is_some() && scores[best] + other > scores[class] + same;
            if change { best } else { class }
        };
        let origin: Vec<usize> = (0..classes).map(origin_of).collect();
        let next = (0..classes).map(|class| {
            let step = match before {
                None => 0.0,
                Some(_) if origin[class] == class => same,
                Some(_) => other,
            };
            let seen = cell
                .probabilities
                .get(class)
                .map_or(0.0, |p| cell.evidence * p.max(LEAST).ln());
            scores[origin[class]] + step + seen
        });
        scores = next.collect();
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

/// The probability that one centimetre further down the class is the same, from intervals:
/// `exp(-1 / mean thickness)`. Intervals that touch and have the same class are one.
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
    (-1.0 / mean.max(0.1)).exp()
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

    /// The most probable path by trying all.
    fn by_trial(cells: &[Cell], stay: f64) -> Vec<usize> {
        let classes = 3usize;
        let paths = (0..classes.pow(cells.len() as u32)).map(|code| {
            (0..cells.len())
                .map(|place| code / classes.pow(place as u32) % classes)
                .collect::<Vec<_>>()
        });
        let same = stay.powf(10.0);
        let score = |path: &Vec<usize>| {
            let seen = cells.iter().zip(path).map(|(cell, &class)| {
                cell.probabilities
                    .get(class)
                    .map_or(0.0, |p| p.max(LEAST).ln())
            });
            let steps = path.windows(2).map(|pair| {
                if pair[0] == pair[1] {
                    same.ln()
                } else {
                    ((1.0 - same) / 2.0).ln()
                }
            });
            seen.sum::<f64>() + steps.sum::<f64>()
        };
        paths.max_by(|a, b| score(a).total_cmp(&score(b))).unwrap()
    }

    #[test]
    fn the_path_is_the_most_probable_of_all() {
        let mut seed = 7u64;
        let mut random = || {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (seed >> 33) as f64 / (1u64 << 31) as f64 + 0.01
        };
        for stay in [0.9, 0.97, 0.999] {
            for _ in 0..20 {
                let cells: Vec<Cell> = (0..7)
                    .map(|index| {
                        if index == 3 {
                            return cell(index, &[]);
                        }
                        let values = [random(), random(), random()];
                        let sum: f64 = values.iter().sum();
                        cell(index, &values.map(|value| value / sum))
                    })
                    .collect();
                let mut expected: Vec<_> = by_trial(&cells, stay).into_iter().map(Some).collect();
                expected[3] = None;
                assert_eq!(Smoothing::Viterbi { stay }.classes(&cells), expected);
            }
        }
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
