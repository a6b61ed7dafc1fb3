//! Which parts of the band between the core's edges are core.

/// Core or not, in rows of cells across the core.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mask {
    /// Height of a row along the core, in pixels of the photograph.
    row_height: f64,
    /// The share of core in the rows before each row, added up.
    sums: Vec<f64>,
}

impl Mask {
    /// Everything is core.
    pub(super) fn full() -> Self {
        Self {
            row_height: f64::INFINITY,
            sums: Vec::new(),
        }
    }

    pub(super) fn of_rows(row_height: f64, shares: impl Iterator<Item = f64>) -> Self {
        let mut sums = vec![0.0];
        let mut sum = 0.0;
        sums.extend(shares.map(|share| {
            sum += share;
            sum
        }));
        Self { row_height, sums }
    }

    pub(super) fn fraction(&self, top: f64, bottom: f64) -> f64 {
        let Some(last) = self.sums.len().checked_sub(1) else {
            return 1.0;
        };
        let at = |along: f64| {
            let place = (along / self.row_height).clamp(0.0, last as f64);
            let below = (place as usize).min(last.saturating_sub(1));
            let (low, high) = (self.sums[below], self.sums[(below + 1).min(last)]);
            low + (high - low) * (place - below as f64)
        };
        // What lies beyond the core's ends is none.
        let rows = (bottom - top) / self.row_height;
        ((at(bottom) - at(top)) / rows).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_means_of_rows_and_parts_of_rows() {
        let mask = Mask::of_rows(2.0, [1.0, 0.0, 0.5, 1.0].into_iter());
        assert_eq!(mask.fraction(0.0, 2.0), 1.0);
        assert_eq!(mask.fraction(1.0, 3.0), 0.5);
        assert_eq!(mask.fraction(2.0, 8.0), 0.5);
        assert_eq!(mask.fraction(6.0, 10.0), 0.5);
        assert_eq!(Mask::full().fraction(3.0, 9.0), 1.0);
    }
}
