//! What is trained and what is not.

use serde::{Deserialize, Serialize};

use crate::{Error, Part, Result};

/// Whether a forward pass belongs to training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Batch norm uses the batch's statistics and moves its moving ones; gradients reach the
    /// parameters that are not frozen.
    Train,
    /// Batch norm uses the moving statistics, nothing changes, and no gradient reaches a
    /// parameter, so no intermediate result is kept.
    Infer,
}

/// Which first layers of the encoder stay as they are.
///
/// `k` counts the frozen block groups: 0 freezes the stem alone, 4 the whole encoder. The heads
/// are never frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Freeze {
    /// Everything is trained.
    #[default]
    None,
    /// Stem and block groups up to `k` are left alone entirely: no gradient, and batch norm
    /// uses the moving statistics in every mode and never moves them.
    AfterBlock(usize),
    /// As the original's TF2 code does it: stem and block groups up to `k` get no gradient,
    /// but in training their batch norms use the batch's statistics and move the moving ones,
    /// so that the frozen part's output drifts.
    AfterBlockOriginal(usize),
}

impl Freeze {
    /// From the original's flag `fine_tune_after_block`: -1 freezes nothing.
    ///
    /// # Errors
    /// [`Error::Config`] outside -1 to 4.
    pub fn from_flag(fine_tune_after_block: i64) -> Result<Self> {
        Self::parse_flag(fine_tune_after_block, Self::AfterBlock)
    }

    /// From the flag `fine_tune_after_block`, with the original's effect.
    ///
    /// # Errors
    /// [`Error::Config`] outside -1 to 4.
    pub fn original_from_flag(fine_tune_after_block: i64) -> Result<Self> {
        Self::parse_flag(fine_tune_after_block, Self::AfterBlockOriginal)
    }

    fn parse_flag(flag: i64, freeze: impl Fn(usize) -> Self) -> Result<Self> {
        match flag {
            -1 => Ok(Self::None),
            0..=4 => Ok(freeze(flag as usize)),
            _ => Err(out_of_range(flag)),
        }
    }

    /// Checks that there is such a block group.
    ///
    /// # Errors
    /// [`Error::Config`] above 4.
    pub fn validate(self) -> Result<()> {
        match self {
            Self::AfterBlock(k) | Self::AfterBlockOriginal(k) if k > 4 => Err(out_of_range(k)),
            _ => Ok(()),
        }
    }

    /// Whether the part's parameters get no gradient.
    pub fn freezes(self, part: Part) -> bool {
        let frozen_groups = match self {
            Self::None => return false,
            Self::AfterBlock(k) | Self::AfterBlockOriginal(k) => k,
        };
        match part {
            Part::Stem => true,
            Part::BlockGroup(group) => group <= frozen_groups,
            Part::ProjectionHead | Part::SupervisedHead => false,
        }
    }

    /// Whether the part is the last frozen one.
    pub(crate) fn ends_after(self, part: Part) -> bool {
        let next = match part {
            Part::Stem => Part::BlockGroup(1),
            Part::BlockGroup(4) => Part::ProjectionHead,
            Part::BlockGroup(group) => Part::BlockGroup(group + 1),
            heads => heads,
        };
        self.freezes(part) && !self.freezes(next)
    }
}

fn out_of_range(value: impl ToString) -> Error {
    Error::Config {
        field: "fine_tune_after_block",
        value: value.to_string(),
        expected: "-1 (nothing frozen) or the number of frozen block groups, 0 to 4".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_policies() {
        assert_eq!(Freeze::from_flag(-1).unwrap(), Freeze::None);
        assert_eq!(Freeze::from_flag(2).unwrap(), Freeze::AfterBlock(2));
        assert_eq!(
            Freeze::original_from_flag(0).unwrap(),
            Freeze::AfterBlockOriginal(0)
        );
        assert!(Freeze::from_flag(5).is_err());
        assert!(Freeze::AfterBlock(5).validate().is_err());
    }

    #[test]
    fn parts_are_frozen_from_the_front() {
        let freeze = Freeze::AfterBlock(2);
        assert!(freeze.freezes(Part::Stem) && freeze.freezes(Part::BlockGroup(2)));
        assert!(!freeze.freezes(Part::BlockGroup(3)) && !freeze.freezes(Part::ProjectionHead));
        assert!(freeze.ends_after(Part::BlockGroup(2)));
        assert!(!freeze.ends_after(Part::Stem) && !freeze.ends_after(Part::BlockGroup(4)));
        assert!(Freeze::AfterBlock(0).ends_after(Part::Stem));
        assert!(Freeze::AfterBlockOriginal(4).ends_after(Part::BlockGroup(4)));
        assert!(!Freeze::None.ends_after(Part::BlockGroup(4)));
    }
}
