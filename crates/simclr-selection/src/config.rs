use std::fmt;
use std::str::FromStr;

use simclr_augment::Seed;

use crate::error::{Error, Result};

/// How images are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// Any image, each as likely as the others: what a strategy has to beat.
    Random,
    /// The images with the smallest margin between the two most probable classes.
    Uncertainty,
    /// One image after the other, each the farthest from all that have a label or were chosen.
    Coreset,
    /// The most typical image of each large cluster that has no label.
    Typicality,
    /// As `Typicality`, but of a cluster's images the typical ones about which the classifier is
    /// unsure, and of the clusters the large ones about which it is unsure.
    Mixed,
}

impl Strategy {
    /// All strategies.
    pub const ALL: [Self; 5] = [
        Self::Random,
        Self::Uncertainty,
        Self::Coreset,
        Self::Typicality,
        Self::Mixed,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Uncertainty => "uncertainty",
            Self::Coreset => "coreset",
            Self::Typicality => "typicality",
            Self::Mixed => "mixed",
        }
    }

    pub(crate) fn needs_probabilities(self) -> bool {
        matches!(self, Self::Uncertainty | Self::Mixed)
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Strategy {
    type Err = String;

    /// A name such as `coreset`.
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL
            .into_iter()
            .find(|strategy| strategy.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("expected one of {names}, found {text}")
        })
    }
}

/// How many images are chosen, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SelectionConfig {
    /// How images are chosen. Default: [`Strategy::Mixed`].
    pub strategy: Strategy,
    /// How many. Default: 30.
    pub count: usize,
    /// At most so many of each group of the pool. Default: any number.
    pub per_group: Option<usize>,
    /// Seed of clusters and of random choices. Default: 0.
    pub seed: Seed,
}

impl Default for SelectionConfig {
    fn default() -> Self {
        Self {
            strategy: Strategy::Mixed,
            count: 30,
            per_group: None,
            seed: Seed(0),
        }
    }
}

/// Methods that take the configuration and give it back with one field set.
macro_rules! setters {
    ($($method:ident($field:ident: $type:ty);)*) => {$(
        #[doc = concat!("Sets [`Self::", stringify!($field), "`].")]
        #[must_use]
        pub fn $method(mut self, $field: $type) -> Self {
            self.$field = $field;
            self
        }
    )*};
}

impl SelectionConfig {
    setters! {
        with_strategy(strategy: Strategy);
        with_count(count: usize);
        with_per_group(per_group: Option<usize>);
        with_seed(seed: Seed);
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`Error::Setting`] for one that is out of range.
    pub fn validate(&self) -> Result<()> {
        let counts = [("count", Some(self.count)), ("per_group", self.per_group)];
        match counts.iter().find(|(_, count)| *count == Some(0)) {
            None => Ok(()),
            Some((setting, _)) => Err(Error::Setting {
                setting,
                expected: "at least 1",
                found: "0".into(),
            }),
        }
    }
}
