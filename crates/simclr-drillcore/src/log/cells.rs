//! The hole in pieces of which each lies in the same tiles throughout.

use super::predictions::TilePrediction;

/// Ends of tiles that are nearer to each other, in metres, are one.
pub(super) const SAME: f64 = 0.001;

/// A piece of the hole.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cell {
    pub(super) top: f64,
    pub(super) bottom: f64,
    /// The mean of the probabilities of the tiles that it lies in; empty in a gap.
    pub(super) probabilities: Vec<f64>,
    /// How many tiles' worth of evidence it has: its length in lengths of its tiles.
    pub(super) evidence: f64,
}

impl Cell {
    pub(super) fn length(&self) -> f64 {
        self.bottom - self.top
    }

    pub(super) fn is_gap(&self) -> bool {
        self.probabilities.is_empty()
    }
}

/// The pieces from the top. Gaps of at most `closed` metres go to the piece above them.
pub(super) fn cells(tiles: &[TilePrediction], closed: f64) -> Vec<Cell> {
    let mut ends: Vec<f64> = tiles
        .iter()
        .flat_map(|tile| [tile.top, tile.bottom])
        .collect();
    ends.sort_by(f64::total_cmp);
    ends.dedup_by(|end, before| *end - *before < SAME);
    let mut result: Vec<Cell> = Vec::new();
    let (mut next, mut open) = (0, Vec::<&TilePrediction>::new());
    for pair in ends.windows(2) {
        let (top, bottom) = (pair[0], pair[1]);
        let middle = (top + bottom) / 2.0;
        open.retain(|tile| tile.bottom > middle);
        while tiles.get(next).is_some_and(|tile| tile.top < middle) {
            open.extend(tiles.get(next).filter(|tile| tile.bottom > middle));
            next += 1;
        }
        let count = open.len() as f64;
        if open.is_empty() && bottom - top <= closed {
            if let Some(above) = result.last_mut() {
                above.bottom = bottom;
            }
            continue;
        }
        let classes = open.first().map_or(0, |tile| tile.probabilities.len());
        let mean = |class: usize| {
            open.iter()
                .map(|tile| tile.probabilities[class])
                .sum::<f64>()
                / count
        };
        let length: f64 = open.iter().map(|tile| tile.bottom - tile.top).sum::<f64>() / count;
        result.push(Cell {
            top,
            bottom,
            probabilities: (0..classes).map(mean).collect(),
            evidence: if open.is_empty() {
                0.0
            } else {
                (bottom - top) / length
            },
        });
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_tiles_are_averaged_and_gaps_stay() {
        let tile = |top, bottom, p: f64| TilePrediction::new(top, bottom, vec![p, 1.0 - p]);
        let tiles = [
            tile(0.0, 0.2, 1.0),
            tile(0.1, 0.3, 0.0),
            tile(0.3004, 0.5, 0.5),
            tile(0.505, 0.7, 0.5),
            tile(1.0, 1.2, 0.25),
        ];
        let cells = cells(&tiles, 0.01);
        let summary: Vec<_> = cells
            .iter()
            .map(|cell| (cell.top, cell.bottom, cell.probabilities.first().copied()))
            .collect();
        let expected = [
            (0.0, 0.1, Some(1.0)),
            (0.1, 0.2, Some(0.5)),
            (0.2, 0.3, Some(0.0)),
            (0.3, 0.505, Some(0.5)),
            (0.505, 0.7, Some(0.5)),
            (0.7, 1.0, None),
            (1.0, 1.2, Some(0.25)),
        ];
        assert_eq!(summary, expected);
        let evidence: f64 = cells[..3].iter().map(|cell| cell.evidence).sum();
        assert!(
            (evidence - 1.5).abs() < 1e-9,
            "two tiles that overlap by half are one and a half"
        );
    }
}
