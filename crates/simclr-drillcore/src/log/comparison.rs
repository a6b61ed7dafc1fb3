//! A log against what is known.

use serde::Serialize;
use simclr_files::normalized_name;

use super::depth_log::DepthLog;
use crate::error::{Error, Result};

/// Intervals that touch to within this, in metres, have a boundary between them.
const TOUCHING: f64 = 0.02;

/// The shares of the classes within a metre of depth: those of the log and the true ones, over what is
/// core in both.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MetreShares {
    /// Depth of the metre's top.
    pub top: f64,
    /// Metres of it that both know.
    pub known: f64,
    /// The log's share of each class.
    pub log: Vec<f64>,
    /// The true share of each class.
    pub truth: Vec<f64>,
}

/// The figures of a log against the true classes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LogComparison {
    /// Metres where both have a class.
    pub known: f64,
    /// The share of these metres with the right class.
    pub agreement: f64,
    /// Class shares metre by metre.
    pub metres: Vec<MetreShares>,
    /// The mean over metres and classes of the difference of shares.
    pub share_error: f64,
    /// For each true boundary within the log's core, the distance in centimetres of the nearest
    /// boundary of the log; none if that has no boundary.
    pub boundary_errors_cm: Vec<f64>,
    /// How many boundaries the log has.
    pub log_boundaries: usize,
}

impl LogComparison {
    /// Compares a log with true intervals: top and bottom in metres, and the class's name.
    ///
    /// Where true intervals overlap, as those of cores that overlap do, they count once if they agree
    /// on the class; if they do not, nothing is known there.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if a true class is not one of the log's, or they have no depth in common.
    pub fn new(log: &DepthLog, truth: &[(f64, f64, String)]) -> Result<Self> {
        Self::with_known(log, &known_intervals(log.classes(), truth)?)
    }

    /// As [`Self::new`], with what [`known_intervals`] returns.
    pub(super) fn with_known(log: &DepthLog, intervals: &[(f64, f64, usize)]) -> Result<Self> {
        let parts = common_parts(log, intervals);
        let known: f64 = parts.iter().map(|part| part.bottom - part.top).sum();
        if known <= 0.0 {
            return Err(Error::mismatch(
                "truth",
                "it has no depth in common with the log",
            ));
        }
        let right = parts.iter().filter(|part| part.log == part.truth);
        let right: f64 = right.map(|part| part.bottom - part.top).sum();
        let metres = by_metre(&parts, log.classes().len());
        let errors = metres
            .iter()
            .flat_map(|metre| metre.log.iter().zip(&metre.truth));
        let errors: Vec<f64> = errors.map(|(log, truth)| (log - truth).abs()).collect();
        let true_boundaries = boundaries(intervals.iter().copied());
        let beds = log
            .beds()
            .iter()
            .filter_map(|bed| Some((bed.top, bed.bottom, bed.class?)));
        let log_boundaries = boundaries(beds);
        let within = |depth: &&f64| log.probabilities(**depth).is_some();
        let error = |depth: &f64| {
            let distances = log_boundaries
                .iter()
                .map(|other| 100.0 * (other - depth).abs());
            distances.fold(f64::INFINITY, f64::min)
        };
        let boundary_errors_cm = true_boundaries.iter().filter(within).map(error);
        Ok(Self {
            known,
            agreement: right / known,
            share_error: errors.iter().sum::<f64>() / errors.len() as f64,
            metres,
            boundary_errors_cm: boundary_errors_cm
                .filter(|error| error.is_finite())
                .collect(),
            log_boundaries: log_boundaries.len(),
        })
    }

    /// The median of the boundary errors in centimetres.
    pub fn median_boundary_error_cm(&self) -> Option<f64> {
        let mut errors = self.boundary_errors_cm.clone();
        errors.sort_by(f64::total_cmp);
        let middle = errors.len() / 2;
        let (low, high) = (
            errors.get(middle.saturating_sub(usize::from(errors.len().is_multiple_of(2))))?,
            errors.get(middle)?,
        );
        Some((low + high) / 2.0)
    }
}

struct Part {
    top: f64,
    bottom: f64,
    log: usize,
    truth: usize,
}

/// True intervals with the numbers of their classes, from the top. None overlaps another: the rule is
/// that of [`LogComparison::new`].
pub(super) fn known_intervals(
    classes: &[String],
    truth: &[(f64, f64, String)],
) -> Result<Vec<(f64, f64, usize)>> {
    let number = |(top, bottom, name): &(f64, f64, String)| {
        let is_it = |class: &String| normalized_name(class) == normalized_name(name);
        let class = classes.iter().position(is_it).ok_or_else(|| {
            let classes = classes.join(", ");
            let reason = format!("`{name}` is none of the log's classes ({classes})");
            Error::mismatch("truth", reason)
        })?;
        Ok((*top, *bottom, class))
    };
    let mut named: Vec<_> = truth.iter().map(number).collect::<Result<_>>()?;
    named.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut ends: Vec<f64> = named.iter().flat_map(|one| [one.0, one.1]).collect();
    ends.sort_by(f64::total_cmp);
    ends.dedup();
    let (mut rest, mut open) = (named.into_iter().peekable(), Vec::new());
    let mut known: Vec<(f64, f64, usize)> = Vec::new();
    for pair in ends.windows(2) {
        let (top, bottom) = (pair[0], pair[1]);
        open.extend(std::iter::from_fn(|| rest.next_if(|next| next.0 <= top)));
        open.retain(|(_, end, _)| *end > top);
        let Some(&(.., class)) = open.first() else {
            continue;
        };
        if open.iter().any(|(.., other)| *other != class) {
            continue;
        }
        match known.last_mut() {
            Some(last) if last.1 == top && last.2 == class => last.1 = bottom,
            _ => known.push((top, bottom, class)),
        }
    }
    Ok(known)
}

/// The parts of the hole that have a class in both, from the top; true intervals do not overlap.
fn common_parts(log: &DepthLog, truth: &[(f64, f64, usize)]) -> Vec<Part> {
    let mut parts = Vec::new();
    for bed in log.beds() {
        let Some(class) = bed.class else { continue };
        let first = truth.partition_point(|(_, bottom, _)| *bottom <= bed.top);
        for &(top, bottom, other) in truth[first..]
            .iter()
            .take_while(|(top, ..)| *top < bed.bottom)
        {
            let (top, bottom) = (top.max(bed.top), bottom.min(bed.bottom));
            if bottom > top {
                parts.push(Part {
                    top,
                    bottom,
                    log: class,
                    truth: other,
                });
            }
        }
    }
    parts
}

/// The shares metre by metre, from parts that are in the order of depth.
fn by_metre(parts: &[Part], classes: usize) -> Vec<MetreShares> {
    let mut metres: Vec<MetreShares> = Vec::new();
    for part in parts {
        let mut top = part.top;
        while top < part.bottom {
            let metre = top.floor();
            let bottom = part.bottom.min(metre + 1.0);
            if metres.last().is_none_or(|last| last.top != metre) {
                metres.push(MetreShares {
                    top: metre,
                    known: 0.0,
                    log: vec![0.0; classes],
                    truth: vec![0.0; classes],
                });
            }
            if let Some(last) = metres.last_mut() {
                last.known += bottom - top;
                last.log[part.log] += bottom - top;
                last.truth[part.truth] += bottom - top;
            }
            top = bottom;
        }
    }
    for metre in &mut metres {
        let shares = metre.log.iter_mut().chain(&mut metre.truth);
        shares.for_each(|share| *share /= metre.known);
    }
    metres
}

/// Depths at which the class changes without a gap.
fn boundaries(intervals: impl Iterator<Item = (f64, f64, usize)>) -> Vec<f64> {
    let mut result = Vec::new();
    let mut before: Option<(f64, usize)> = None;
    for (top, bottom, class) in intervals {
        if before.is_some_and(|(end, other)| other != class && (top - end).abs() <= TOUCHING) {
            result.push(top);
        }
        before = Some((bottom, class));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::super::depth_log::LogSettings;
    use super::super::predictions::TilePrediction;
    use super::super::smoothing::Smoothing;
    use super::*;

    #[test]
    fn figures_are_as_by_hand() {
        let tile = |top, bottom, p: f64| TilePrediction::new(top, bottom, vec![1.0 - p, p]);
        let tiles = [
            tile(0.5, 1.0, 0.1),
            tile(1.0, 1.5, 0.9),
            tile(2.0, 2.5, 0.1),
        ];
        let classes = ["none".to_owned(), "soupy".to_owned()];
        let settings = LogSettings::default().with_smoothing(Smoothing::None);
        let log = DepthLog::new(&tiles, &classes, &settings).unwrap();
        let truth = [
            (0.0, 1.1, "none"),
            (1.1, 2.25, "soupy"),
            (2.25, 3.0, "none"),
        ];
        let truth = truth.map(|(top, bottom, class)| (top, bottom, class.to_owned()));
        let figures = LogComparison::new(&log, &truth).unwrap();
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(close(figures.known, 1.5));
        assert!(
            close(figures.agreement, (0.5 + 0.4 + 0.25) / 1.5),
            "{}",
            figures.agreement
        );
        assert_eq!(
            figures
                .metres
                .iter()
                .map(|metre| metre.top)
                .collect::<Vec<_>>(),
            [0.0, 1.0, 2.0]
        );
        assert!(close(figures.metres[1].truth[0], 0.2) && close(figures.metres[1].log[1], 1.0));
        assert!(close(figures.share_error, (0.2 + 0.2 + 0.5 + 0.5) / 6.0));
        assert_eq!(figures.log_boundaries, 1);
        assert_eq!(figures.boundary_errors_cm.len(), 2);
        assert!(
            close(figures.boundary_errors_cm[0], 10.0),
            "{:?}",
            figures.boundary_errors_cm
        );
        assert!(close(
            figures.median_boundary_error_cm().unwrap(),
            (10.0 + 125.0) / 2.0
        ));
        let wrong = [(0.0, 1.0, "crack".to_owned())];
        assert!(LogComparison::new(&log, &wrong).is_err());
        assert!(LogComparison::new(&log, &[(8.0, 9.0, "none".to_owned())]).is_err());
    }

    /// The classes of a log of 10 cm tiles from 0 to 3.3 m: the second one from `from` on.
    fn log_of_two_beds(from: usize) -> DepthLog {
        let tile = |index: usize| {
            let p = if index < from { 0.1 } else { 0.9 };
            let ends = (index as f64 / 10.0, (index + 1) as f64 / 10.0);
            TilePrediction::new(ends.0, ends.1, vec![1.0 - p, p])
        };
        let tiles: Vec<_> = (0..33).map(tile).collect();
        let classes = ["none".to_owned(), "soupy".to_owned()];
        DepthLog::new(&tiles, &classes, &LogSettings::default()).unwrap()
    }

    fn figures(log: &DepthLog, truth: &[(f64, f64, &str)]) -> LogComparison {
        let owned = |&(top, bottom, class): &(f64, f64, &str)| (top, bottom, class.to_owned());
        let truth: Vec<_> = truth.iter().map(owned).collect();
        LogComparison::new(log, &truth).unwrap()
    }

    #[test]
    fn true_intervals_that_overlap_count_once_or_are_not_known() {
        let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
        // Two cores, the lower of which begins 20 cm above the end of the upper.
        let log = log_of_two_beds(33);
        let agreeing = [(0.0, 2.0, "none"), (1.8, 3.3, "none")];
        let found = figures(&log, &agreeing);
        assert!(close(found.known, 3.3) && close(found.agreement, 1.0));

        let contradicting = [(0.0, 2.0, "none"), (1.8, 1.9, "soupy"), (1.9, 3.3, "soupy")];
        let found = figures(&log_of_two_beds(18), &contradicting);
        assert!(close(found.known, 3.1) && close(found.agreement, 1.0));
        let metres: Vec<f64> = found.metres.iter().map(|metre| metre.top).collect();
        assert_eq!(metres, [0.0, 1.0, 2.0, 3.0]);
        let known = found.metres.iter().map(|metre| metre.known);
        for (known, expected) in known.zip([1.0, 0.8, 1.0, 0.3]) {
            assert!(close(known, expected), "{known} for {expected}");
        }
        assert!(found.boundary_errors_cm.is_empty());

        // One that ends before the one above it does.
        let nested = [
            (0.0, 2.2, "none"),
            (1.8, 1.85, "soupy"),
            (1.85, 3.3, "none"),
        ];
        let found = figures(&log_of_two_beds(19), &nested);
        assert!(close(found.known, 3.25));
        assert!(close(found.agreement, 1.85 / 3.25), "{}", found.agreement);
    }
}
