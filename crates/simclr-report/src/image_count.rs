//! How many images something is done with, where it is done several times.

use std::fmt;

use crate::table::Cell;

/// The fewest and the most images over folds and seeds: `120`, or `120 to 122`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageCount {
    /// The fewest.
    pub fewest: usize,
    /// The most.
    pub most: usize,
}

impl ImageCount {
    /// The range of these counts; zero where there are none.
    pub fn of(counts: impl IntoIterator<Item = usize>) -> Self {
        let counts: Vec<usize> = counts.into_iter().collect();
        Self {
            fewest: counts.iter().copied().min().unwrap_or(0),
            most: counts.iter().copied().max().unwrap_or(0),
        }
    }
}

impl fmt::Display for ImageCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fewest, most } = self;
        if fewest == most {
            write!(f, "{most}")
        } else {
            write!(f, "{fewest} to {most}")
        }
    }
}

/// A number where there is one alone.
impl From<ImageCount> for Cell {
    fn from(count: ImageCount) -> Self {
        if count.fewest == count.most {
            count.most.into()
        } else {
            count.to_string().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_said_where_the_counts_differ() {
        let said = |counts: &[usize]| ImageCount::of(counts.iter().copied()).to_string();
        assert_eq!(said(&[121, 122, 120, 122]), "120 to 122");
        assert_eq!(said(&[120, 120]), "120");
        assert_eq!(said(&[]), "0");
    }
}
