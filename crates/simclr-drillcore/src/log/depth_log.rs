//! The log itself.

use serde::{Deserialize, Serialize};

use super::cells::{Cell, SAME, cells};
use super::predictions::TilePrediction;
use super::smoothing::Smoothing;
use crate::error::{Error, Result, check};
use crate::setters::setters;
use crate::table::DEEPEST_M;

/// How predictions become a log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LogSettings {
    /// How neighbours influence each other. Default: not at all.
    pub smoothing: Smoothing,
    /// Thinner beds become part of the neighbour that their tiles look like more, in metres; 0 keeps
    /// all. Default: 0.05.
    pub min_length: f64,
    /// Holes between tiles up to this length in metres are roundings of depths and no gaps.
    /// Default: 0.01.
    pub closed_gap: f64,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            smoothing: Smoothing::default(),
            min_length: 0.05,
            closed_gap: 0.01,
        }
    }
}

impl LogSettings {
    setters! {
        with_smoothing(smoothing: Smoothing);
        with_min_length(min_length: f64);
        with_closed_gap(closed_gap: f64);
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Setting`] for one that is out of range.
    pub fn validate(&self) -> Result<()> {
        self.smoothing.validate()?;
        for (name, length) in [
            ("min-length", self.min_length),
            ("closed-gap", self.closed_gap),
        ] {
            check(
                (0.0..10.0).contains(&length),
                name,
                "0 to 10 metres",
                length,
            )?;
        }
        Ok(())
    }
}

/// An interval of one class, or a gap.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Bed {
    /// Depth of its top in metres.
    pub top: f64,
    /// Depth of its bottom.
    pub bottom: f64,
    /// Its class, an index into those of the log; none in a gap.
    pub class: Option<usize>,
    /// The mean probability of the class over the bed's length; 0 in a gap.
    pub confidence: f64,
}

/// Classes by depth.
#[derive(Debug, Clone, PartialEq)]
pub struct DepthLog {
    classes: Vec<String>,
    beds: Vec<Bed>,
    cells: Vec<Cell>,
}

impl DepthLog {
    /// The log of a hole from what its tiles were taken for.
    ///
    /// Where tiles overlap, the mean of their probabilities counts. What lies in no tile is a gap, and
    /// stays one.
    ///
    /// ```
    /// use simclr_drillcore::{DepthLog, LogSettings, Smoothing, TilePrediction};
    ///
    /// let tile = |top: f64, soupy: f64| TilePrediction::new(top, top + 0.1, vec![1.0 - soupy, soupy]);
    /// let tiles = [tile(2.0, 0.1), tile(2.1, 0.6), tile(2.2, 0.1), tile(2.5, 0.9), tile(2.6, 0.9)];
    /// let classes = ["none".to_owned(), "soupy".to_owned()];
    /// let settings = LogSettings::default().with_smoothing(Smoothing::VITERBI);
    /// let log = DepthLog::new(&tiles, &classes, &settings)?;
    /// let beds: Vec<_> = log.beds().iter().map(|bed| (bed.top, bed.bottom, bed.class)).collect();
    /// assert_eq!(beds.len(), 3);
    /// assert_eq!((beds[0].2, beds[1].2, beds[2].2), (Some(0), None, Some(1)));
    /// # Ok::<(), simclr_drillcore::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Setting`]; [`Error::Mismatch`] if there are no tiles, not a probability per class, one
    /// that is not in [0, 1], or a tile's bottom is not below its top.
    pub fn new(
        tiles: &[TilePrediction],
        classes: &[String],
        settings: &LogSettings,
    ) -> Result<Self> {
        settings.validate()?;
        if tiles.is_empty() || classes.is_empty() {
            return Err(Error::mismatch("log", "there is no tile, or no class"));
        }
        settings.smoothing.check_classes(classes.len())?;
        if let Some(tile) = tiles
            .iter()
            .find(|tile| tile.probabilities.len() != classes.len())
        {
            let reason = format!(
                "{} probabilities for {} classes",
                tile.probabilities.len(),
                classes.len()
            );
            return Err(Error::mismatch(format!("tile at {} m", tile.top), reason));
        }
        let is_share = |share: &f64| (0.0..=1.0).contains(share);
        for tile in tiles {
            if let Some(share) = tile.probabilities.iter().find(|share| !is_share(share)) {
                let reason = format!("a probability of {share}; expected 0 to 1");
                return Err(Error::mismatch(format!("tile at {} m", tile.top), reason));
            }
        }
        // A tile without a length has no place in the hole, and one of endless length no end.
        let has_place = |tile: &&TilePrediction| {
            let ends = [tile.top, tile.bottom];
            ends.iter().all(|end| end.abs() <= DEEPEST_M) && tile.bottom - tile.top >= SAME
        };
        if let Some(tile) = tiles.iter().find(|tile| !has_place(tile)) {
            let reason = format!(
                "it ends at {} m; expected a bottom at least {SAME} m below the top, and depths to {DEEPEST_M} m",
                tile.bottom
            );
            return Err(Error::mismatch(format!("tile at {} m", tile.top), reason));
        }
        let mut tiles = tiles.to_vec();
        tiles.sort_by(|a, b| a.top.total_cmp(&b.top));
        let cells = cells(&tiles, settings.closed_gap);
        let states = settings.smoothing.classes(&cells);
        let mut runs = runs(&states);
        merge_thin(&mut runs, &cells, settings.min_length);
        let beds = runs.iter().map(|run| run.bed(&cells)).collect();
        Ok(Self {
            classes: classes.to_vec(),
            beds,
            cells,
        })
    }

    /// The names of the classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Intervals and gaps from the top, without holes.
    pub fn beds(&self) -> &[Bed] {
        &self.beds
    }

    /// Depth of the top and of the bottom in metres.
    pub fn range(&self) -> (f64, f64) {
        let first = self.beds.first().map_or(0.0, |bed| bed.top);
        (first, self.beds.last().map_or(first, |bed| bed.bottom))
    }

    /// The bed at a depth.
    pub fn at(&self, depth: f64) -> Option<&Bed> {
        let bed = self
            .beds
            .get(self.beds.partition_point(|bed| bed.bottom <= depth));
        bed.filter(|bed| bed.top <= depth)
    }

    /// The mean class probabilities of the tiles at a depth; nothing in a gap.
    pub fn probabilities(&self, depth: f64) -> Option<&[f64]> {
        let cell = self
            .cells
            .get(self.cells.partition_point(|cell| cell.bottom <= depth));
        let cell = cell.filter(|cell| cell.top <= depth && !cell.is_gap());
        cell.map(|cell| cell.probabilities.as_slice())
    }

    /// The ends of the parts that lie in the same tiles, and the probability of the log's class in
    /// each: the confidence curve.
    pub(super) fn confidences(&self) -> impl Iterator<Item = (f64, f64, Option<f64>)> {
        self.cells.iter().map(|cell| {
            let class = self
                .at((cell.top + cell.bottom) / 2.0)
                .and_then(|bed| bed.class);
            let confidence = class.and_then(|class| cell.probabilities.get(class).copied());
            (cell.top, cell.bottom, confidence)
        })
    }
}

/// Cells of one class that touch.
struct Run {
    cells: std::ops::Range<usize>,
    class: Option<usize>,
}

impl Run {
    fn length(&self, cells: &[Cell]) -> f64 {
        cells[self.cells.clone()].iter().map(Cell::length).sum()
    }

    /// The mean probability of a class over the run's length.
    fn confidence(&self, class: Option<usize>, cells: &[Cell]) -> f64 {
        let sum = |cell: &Cell| {
            class
                .and_then(|class| cell.probabilities.get(class))
                .map_or(0.0, |p| p * cell.length())
        };
        cells[self.cells.clone()].iter().map(sum).sum::<f64>() / self.length(cells)
    }

    fn bed(&self, cells: &[Cell]) -> Bed {
        let own = &cells[self.cells.clone()];
        let top = own.first().map_or(0.0, |cell| cell.top);
        Bed {
            top,
            bottom: own.last().map_or(top, |cell| cell.bottom),
            class: self.class,
            confidence: self.confidence(self.class, cells),
        }
    }
}

fn runs(states: &[Option<usize>]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (index, &class) in states.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if run.class == class => run.cells.end = index + 1,
            _ => runs.push(Run {
                cells: index..index + 1,
                class,
            }),
        }
    }
    runs
}

/// Gives beds that are thinner than `shortest` to a neighbour, the thinnest first. Gaps stay, and so
/// do beds between gaps.
fn merge_thin(runs: &mut Vec<Run>, cells: &[Cell], shortest: f64) {
    // A bed of exactly this length stays.
    let shortest = shortest - 1e-9;
    loop {
        let class_at = |index: Option<usize>| {
            index
                .and_then(|index| runs.get(index))
                .and_then(|run| run.class)
        };
        let thin = runs.iter().enumerate().filter(|(index, run)| {
            let neighbours = [class_at(index.checked_sub(1)), class_at(Some(index + 1))];
            run.class.is_some()
                && neighbours.iter().any(Option::is_some)
                && run.length(cells) < shortest
        });
        let thinnest = thin.min_by(|(_, a), (_, b)| a.length(cells).total_cmp(&b.length(cells)));
        let Some((index, run)) = thinnest else {
            return;
        };
        let neighbours = [class_at(index.checked_sub(1)), class_at(Some(index + 1))];
        let likelier = neighbours.into_iter().flatten().max_by(|a, b| {
            let confidence = |class: &usize| run.confidence(Some(*class), cells);
            confidence(a).total_cmp(&confidence(b))
        });
        runs[index].class = likelier;
        let mut joined: Vec<Run> = Vec::with_capacity(runs.len());
        for run in runs.drain(..) {
            match joined.last_mut() {
                Some(above) if above.class == run.class => above.cells.end = run.cells.end,
                _ => joined.push(run),
            }
        }
        *runs = joined;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(tiles: &[(f64, f64, f64)], settings: &LogSettings) -> DepthLog {
        let tiles: Vec<_> = tiles
            .iter()
            .map(|&(top, bottom, p)| TilePrediction::new(top, bottom, vec![1.0 - p, p]))
            .collect();
        let classes = ["none".to_owned(), "soupy".to_owned()];
        DepthLog::new(&tiles, &classes, settings).unwrap()
    }

    #[test]
    fn what_is_no_probability_is_refused() {
        let classes = ["none".to_owned(), "soupy".to_owned()];
        for probabilities in [[f64::NAN, 0.6], [-5.0, 7.0], [f64::INFINITY, 1.0]] {
            let tiles = [TilePrediction::new(0.0, 0.5, probabilities.to_vec())];
            let error = DepthLog::new(&tiles, &classes, &LogSettings::default()).unwrap_err();
            assert!(error.to_string().contains("expected 0 to 1"), "{error}");
        }
    }

    #[test]
    fn thin_beds_go_to_the_likelier_neighbour_but_not_across_gaps() {
        let plain = LogSettings::default();
        let tiles = [
            (0.0, 0.1, 0.1),
            (0.1, 0.14, 0.9),
            (0.14, 0.24, 0.2),
            (0.5, 0.54, 0.8),
            (0.8, 0.9, 0.3),
        ];
        let kept = log(&tiles, &plain.clone().with_min_length(0.0));
        assert_eq!(
            kept.beds().iter().map(|bed| bed.class).collect::<Vec<_>>(),
            [Some(0), Some(1), Some(0), None, Some(1), None, Some(0)]
        );
        let merged = log(&tiles, &plain);
        let classes: Vec<_> = merged.beds().iter().map(|bed| bed.class).collect();
        assert_eq!(classes, [Some(0), None, Some(1), None, Some(0)]);
        let first = merged.beds()[0];
        assert_eq!((first.top, first.bottom), (0.0, 0.24));
        assert!((first.confidence - (0.1 * 0.9 + 0.04 * 0.1 + 0.1 * 0.8) / 0.24).abs() < 1e-9);
        assert_eq!(merged.at(0.12).unwrap().class, Some(0));
        assert_eq!(merged.at(0.3).unwrap().class, None);
        assert_eq!(merged.at(0.9), None);
        assert_eq!(merged.probabilities(0.3), None);
        assert!((merged.probabilities(0.12).unwrap()[1] - 0.9).abs() < 1e-9);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let classes = ["none".to_owned()];
        let settings = LogSettings::default();
        assert!(DepthLog::new(&[], &classes, &settings).is_err());
        let tile = TilePrediction::new(0.0, 0.1, vec![0.5, 0.5]);
        let error = DepthLog::new(&[tile], &classes, &settings).unwrap_err();
        assert!(
            error.to_string().contains("2 probabilities for 1 classes"),
            "{error}"
        );
        let classes = ["none".to_owned(), "soupy".to_owned()];
        for (top, bottom) in [
            (0.1, 0.1),
            (0.2, 0.1),
            (0.0, f64::NAN),
            (0.0, f64::INFINITY),
            (0.0, 1e300),
        ] {
            let tile = TilePrediction::new(top, bottom, vec![0.5, 0.5]);
            let error = DepthLog::new(&[tile], &classes, &settings).unwrap_err();
            assert!(error.to_string().contains("it ends at"), "{error}");
        }
        assert!(
            settings
                .clone()
                .with_smoothing(Smoothing::Viterbi { stay: 1.0 })
                .validate()
                .is_err()
        );
        assert!(settings.with_min_length(f64::NAN).validate().is_err());
    }
}
