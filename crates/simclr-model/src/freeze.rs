//! What is trained and what is not.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::checks::{check, setting_error};
use crate::error::{Error, Result};
use crate::parameter::ModelStage;

/// Whether a forward pass belongs to training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Batch norm uses the batch's statistics and updates its moving ones; gradients reach the
    /// parameters that are not frozen.
    Train,
    /// The same numbers as in [`Train`](Self::Train), but the moving statistics stay, no
    /// gradient reaches a parameter, and no activation is saved.
    TrainNoGrad,
    /// Batch norm uses the moving statistics, nothing changes, and no gradient reaches a
    /// parameter, so no activation is saved.
    Infer,
}

/// Which first layers of the encoder are frozen.
///
/// `k` counts the frozen block groups: 0 freezes the stem alone, 4 the whole encoder. The heads
/// are never frozen.
///
/// On a command line it is written as the original's `fine_tune_after_block`: -1 freezes
/// nothing, and `:original` behind the number asks for the original's batch norm.
///
/// ```
/// use simclr_model::Freeze;
///
/// assert_eq!("2".parse::<Freeze>()?, Freeze::AfterBlock(2));
/// assert_eq!("2:original".parse::<Freeze>()?, Freeze::AfterBlockOriginal(2));
/// assert_eq!(Freeze::try_from(-1)?, Freeze::None);
/// # Ok::<(), simclr_model::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Freeze {
    /// Everything is trained.
    #[default]
    None,
    /// Stem and block groups up to `k` do not change: no gradient, and batch norm uses the
    /// moving statistics in every mode and never updates them.
    AfterBlock(usize),
    /// As the original's TF2 code does it: stem and block groups up to `k` get no gradient,
    /// but in training their batch norms use the batch's statistics and update the moving ones,
    /// so that the frozen part's output drifts.
    AfterBlockOriginal(usize),
}

const NAME: &str = "fine_tune_after_block";
const EXPECTED: &str = "-1 (nothing frozen) or the number of frozen block groups, 0 to 4";

impl Freeze {
    /// The same layers, with the original's batch norm: [`Self::AfterBlockOriginal`].
    pub fn with_original_batch_norm(self) -> Self {
        match self {
            Self::AfterBlock(k) => Self::AfterBlockOriginal(k),
            other => other,
        }
    }

    /// Checks that there is such a block group.
    ///
    /// # Errors
    /// [`Error::Setting`] above 4.
    pub fn validate(self) -> Result<()> {
        match self.frozen_groups() {
            Some(k) => check(NAME, k, EXPECTED, k <= 4),
            None => Ok(()),
        }
    }

    /// In words: "nothing frozen", "stem frozen", "frozen up to block group 2"; with the
    /// original's batch norm it says so.
    pub fn description(self) -> String {
        let frozen = match self.frozen_groups() {
            None => "nothing frozen".to_owned(),
            Some(0) => "stem frozen".to_owned(),
            Some(group) => format!("frozen up to block group {group}"),
        };
        match self {
            Self::AfterBlockOriginal(_) => frozen + ", original batch norm",
            Self::None | Self::AfterBlock(_) => frozen,
        }
    }

    /// Whether the stage's parameters get no gradient.
    pub fn freezes(self, stage: ModelStage) -> bool {
        self.frozen_groups().is_some_and(|k| match stage {
            ModelStage::Stem => true,
            ModelStage::BlockGroup(group) => group <= k,
            ModelStage::ProjectionHead | ModelStage::SupervisedHead => false,
        })
    }

    /// Whether the stage is the last frozen one.
    pub(crate) fn ends_after(self, stage: ModelStage) -> bool {
        match stage {
            ModelStage::Stem => self.frozen_groups() == Some(0),
            ModelStage::BlockGroup(group) => self.frozen_groups() == Some(group),
            ModelStage::ProjectionHead | ModelStage::SupervisedHead => false,
        }
    }

    fn frozen_groups(self) -> Option<usize> {
        match self {
            Self::None => None,
            Self::AfterBlock(k) | Self::AfterBlockOriginal(k) => Some(k),
        }
    }
}

/// From the original's flag `fine_tune_after_block`: -1 freezes nothing.
impl TryFrom<i64> for Freeze {
    type Error = Error;

    fn try_from(fine_tune_after_block: i64) -> Result<Self> {
        let in_range = (-1..=4).contains(&fine_tune_after_block);
        check(NAME, fine_tune_after_block, EXPECTED, in_range)?;
        Ok(usize::try_from(fine_tune_after_block).map_or(Self::None, Self::AfterBlock))
    }
}

impl FromStr for Freeze {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (flag, original) = match text.strip_suffix(":original") {
            Some(flag) => (flag, true),
            None => (text, false),
        };
        let flag: i64 = flag
            .parse()
            .map_err(|_| setting_error(NAME, text, EXPECTED))?;
        let freeze = Self::try_from(flag)?;
        Ok(if original {
            freeze.with_original_batch_norm()
        } else {
            freeze
        })
    }
}

/// What [`FromStr`] reads.
impl fmt::Display for Freeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("-1"),
            Self::AfterBlock(k) => write!(f, "{k}"),
            Self::AfterBlockOriginal(k) => write!(f, "{k}:original"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_policies_and_back() {
        for (flag, freeze) in [
            ("-1", Freeze::None),
            ("0", Freeze::AfterBlock(0)),
            ("4", Freeze::AfterBlock(4)),
            ("2:original", Freeze::AfterBlockOriginal(2)),
        ] {
            assert_eq!(flag.parse::<Freeze>().unwrap(), freeze);
            assert_eq!(freeze.to_string(), flag);
        }
        assert_eq!(
            Freeze::AfterBlock(2).description(),
            "frozen up to block group 2"
        );
        let original = Freeze::AfterBlockOriginal(0).description();
        assert_eq!(original, "stem frozen, original batch norm");
        for flag in ["5", "-2", "all", "", "original"] {
            let error = flag.parse::<Freeze>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("fine_tune_after_block = {flag}: ")));
        }
        assert!(Freeze::AfterBlock(5).validate().is_err());
    }

    #[test]
    fn stages_are_frozen_from_the_front() {
        let freeze = Freeze::AfterBlock(2);
        assert!(freeze.freezes(ModelStage::Stem) && freeze.freezes(ModelStage::BlockGroup(2)));
        assert!(!freeze.freezes(ModelStage::BlockGroup(3)));
        assert!(!freeze.freezes(ModelStage::ProjectionHead));
        assert!(freeze.ends_after(ModelStage::BlockGroup(2)));
        assert!(!freeze.ends_after(ModelStage::Stem));
        assert!(Freeze::AfterBlock(0).ends_after(ModelStage::Stem));
        assert!(Freeze::AfterBlockOriginal(4).ends_after(ModelStage::BlockGroup(4)));
        assert!(!Freeze::None.ends_after(ModelStage::BlockGroup(4)));
    }
}
