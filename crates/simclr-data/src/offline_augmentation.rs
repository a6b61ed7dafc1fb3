use serde::{Deserialize, Serialize};
use simclr_augment::offline::HeavyAugmentation;
use simclr_augment::ops::{flip_left_right, flip_up_down};
use simclr_augment::{Image, Stream};

use crate::Seed;
use crate::dataset::Dataset;
use crate::error::{Error, Result, check};
use crate::setters::setters;

/// Offline augmentation: altered copies of images, as the geology paper made of its small
/// classes. [`write`](Self::write) puts the images of a folder and their copies into a new
/// folder; [`AugmentedDataset`](crate::AugmentedDataset) makes the same copies on demand.
///
/// Augment the training part of a split, not what is split afterwards: copies of a
/// training image among the test images inflate test accuracy.
/// [`DuplicateSearch`](crate::DuplicateSearch) finds mirrored copies that have leaked. The
/// copies' file names begin with the original's, so a pattern for
/// [`Groups`](crate::Groups) that matches one matches the other.
///
/// ```no_run
/// use simclr_data::{OfflineAugmentation, ImageFolder};
///
/// let train = ImageFolder::labelled("train/")?;
/// let written = OfflineAugmentation::default().write(&train, "train-augmented/")?;
/// println!("{} images and {} copies", written.originals, written.copies);
/// # Ok::<(), simclr_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct OfflineAugmentation {
    /// Whether to add each image mirrored left-right, up-down, and both ways. Default: yes.
    pub flips: bool,
    /// How many heavier copies of each image to add, at most 10,000. Default: 0.
    pub copies: u32,
    /// How the heavier copies are made. Default: that of [`HeavyAugmentation`].
    pub heavier: HeavyAugmentation,
    /// The classes that get copies; the others are taken over as they are. Default: none
    /// named, which means all of them.
    pub classes: Vec<String>,
    /// The seed of the heavier copies. Default: 0.
    pub seed: Seed,
}

impl Default for OfflineAugmentation {
    fn default() -> Self {
        Self {
            flips: true,
            copies: 0,
            heavier: HeavyAugmentation::default(),
            classes: Vec::new(),
            seed: Seed(0),
        }
    }
}

impl std::fmt::Display for OfflineAugmentation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const FLIPS: &str = "mirrored left-right, up-down and both ways";
        const HEAVIER: &str = "blurred, equalised, turned, shifted or otherwise changed by chance";
        const PAPER: &str = "changed by chance as in the paper's script";
        let (copies, seed) = (self.copies, self.seed.0);
        let heavier = if self.heavier == HeavyAugmentation::paper() {
            PAPER
        } else {
            HEAVIER
        };
        match (self.flips, copies) {
            (false, 0) => f.write_str("no copies"),
            (true, 0) => f.write_str(FLIPS),
            (false, _) => write!(f, "{copies} x {heavier} (seed {seed})"),
            (true, _) => write!(f, "{FLIPS}; {copies} x {heavier} (seed {seed})"),
        }
    }
}

/// The most heavier copies of an image: all of them are counted in memory.
const MOST_COPIES: u32 = 10_000;

/// The names of the mirrored copies.
const FLIPS: [&str; 3] = ["left-right", "up-down", "both-ways"];

impl OfflineAugmentation {
    /// Three heavier copies of each image, and no flips.
    pub fn heavier(seed: Seed) -> Self {
        Self::default()
            .with_flips(false)
            .with_copies(3)
            .with_seed(seed)
    }

    /// What the paper's script `Augmentation_more.py` makes: three flips, and one copy by
    /// [`HeavyAugmentation::paper`].
    pub fn paper(seed: Seed) -> Self {
        Self::default()
            .with_copies(1)
            .with_heavier(HeavyAugmentation::paper())
            .with_seed(seed)
    }

    setters! {
        with_flips(flips: bool);
        with_copies(copies: u32);
        with_heavier(heavier: HeavyAugmentation);
        with_seed(seed: Seed);
    }

    /// Sets [`Self::classes`].
    pub fn with_classes<C: Into<String>>(mut self, classes: impl IntoIterator<Item = C>) -> Self {
        self.classes = classes.into_iter().map(Into::into).collect();
        self
    }

    /// How many copies an image gets if its class gets any.
    pub fn copies_per_image(&self) -> usize {
        self.flip_count() + self.copies as usize
    }

    fn flip_count(&self) -> usize {
        if self.flips { FLIPS.len() } else { 0 }
    }

    /// The suffix of the copy `number`, from 0, after its original's name.
    pub(crate) fn suffix(&self, number: usize) -> String {
        match number.checked_sub(self.flip_count()) {
            Some(heavier) => format!("copy{}", heavier + 1),
            None => FLIPS[number].to_owned(),
        }
    }

    /// All that decides how the image `index` looks in its copy `number`: the flip, or the
    /// seed and what is done with the random numbers.
    pub(crate) fn recipe(&self, index: usize, number: usize) -> String {
        let suffix = self.suffix(number);
        if number < self.flip_count() {
            suffix
        } else {
            format!("{suffix} {} {index} {:?}", self.seed.0, self.heavier)
        }
    }

    /// The copy `number`, from 0, of `image`, which is the image `index` of `images`.
    pub(crate) fn copy(
        &self,
        image: &Image,
        images: &dyn Dataset,
        index: usize,
        number: usize,
    ) -> Result<Image> {
        let Some(heavier) = number.checked_sub(self.flip_count()) else {
            return Ok(match number {
                0 => flip_left_right(image),
                1 => flip_up_down(image),
                _ => flip_up_down(&flip_left_right(image)),
            });
        };
        let stream = Stream::new(self.seed).sample(index as u64);
        let copy = self.heavier.copy(image, stream, heavier as u32);
        copy.map_err(|source| {
            let name = images.name(index);
            Error::Augment { name, source }
        })
    }

    /// Fails if a setting is out of range.
    ///
    /// # Errors
    /// Names the setting.
    pub fn validate(&self) -> Result<()> {
        check(
            self.copies <= MOST_COPIES,
            "copies",
            "at most 10000",
            self.copies,
        )?;
        Ok(self.heavier.validate()?)
    }

    /// Fails if a setting is out of range, or a class that is to get copies does not exist.
    pub(crate) fn validate_for(&self, images: &dyn Dataset) -> Result<()> {
        self.validate()?;
        let known = images.class_names();
        if let Some(unknown) = self.classes.iter().find(|class| !known.contains(class)) {
            let expected = format!("among the images' classes: {}", known.join(", "));
            return Err(Error::setting("classes", expected, unknown));
        }
        Ok(())
    }

    /// Whether an image gets copies.
    pub(crate) fn is_chosen(&self, images: &dyn Dataset, index: usize) -> bool {
        let label = images.label(index).map(|label| label as usize);
        let class = label.and_then(|label| images.class_names().get(label));
        self.classes.is_empty() || class.is_some_and(|class| self.classes.contains(class))
    }
}
