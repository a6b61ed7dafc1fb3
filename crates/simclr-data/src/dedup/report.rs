use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::split::Groups;

/// Groups shown in full when a report is printed.
const SHOWN: usize = 5;

/// The groups of images that are the same, or nearly so.
///
/// Printed, it is one line with the numbers and one line each for the first few groups,
/// leaks and disagreeing classes first, which names the files.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DuplicateReport {
    /// How many images were looked at.
    pub images: usize,
    /// Groups of two images or more, in the order of their first images.
    pub groups: Vec<DuplicateGroup>,
}

/// How the images of a group are related, by the weakest of the relations that connect them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DuplicateKind {
    /// All have the same pixels.
    SamePixels,
    /// Saved again, resized, mirrored or turned by quarters.
    NearCopy,
    /// Turned by any angle.
    TurnedCopy,
}

/// Images that are the same, or nearly so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DuplicateGroup {
    /// How they are related.
    pub kind: DuplicateKind,
    /// Two images or more, in order.
    pub images: Vec<DuplicateImage>,
}

/// One image of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DuplicateImage {
    /// The part that it is in, `train` for example; empty where one set was searched.
    pub part: String,
    /// Its index there.
    pub index: usize,
    /// Its name there.
    pub name: String,
    /// Its class, if it has one.
    pub class: Option<String>,
}

impl DuplicateGroup {
    /// Whether its images are in more than one part.
    pub fn leaks(&self) -> bool {
        differ(self.images.iter().map(|image| &image.part))
    }

    /// Whether its images have different classes, of which all but one must be wrong.
    pub fn classes_differ(&self) -> bool {
        differ(self.images.iter().filter_map(|image| image.class.as_ref()))
    }
}

/// Whether not all of them are equal.
pub(super) fn differ<T: PartialEq>(mut items: impl Iterator<Item = T>) -> bool {
    let first = items.next();
    items.any(|item| Some(item) != first)
}

impl DuplicateReport {
    /// Whether every image is unlike the others.
    pub fn is_clean(&self) -> bool {
        self.groups.is_empty()
    }

    /// The groups whose images are in more than one part.
    pub fn leaks(&self) -> impl Iterator<Item = &DuplicateGroup> {
        self.groups.iter().filter(|group| group.leaks())
    }

    /// The groups whose images have different classes.
    pub fn conflicts(&self) -> impl Iterator<Item = &DuplicateGroup> {
        self.groups.iter().filter(|group| group.classes_differ())
    }

    /// The duplicates of one set as groups that a split keeps together; every other
    /// image is a group of its own.
    ///
    /// # Errors
    /// If more than one set was searched.
    pub fn to_groups(&self) -> Result<Groups> {
        let mut keys: Vec<usize> = (0..self.images).collect();
        for group in &self.groups {
            let first = group.images.first().map_or(0, |image| image.index);
            for image in &group.images {
                match keys.get_mut(image.index) {
                    Some(key) if !group.leaks() && image.part.is_empty() => *key = first,
                    _ => {
                        let name = "duplicates that a split keeps together";
                        let got = format!("image {} of '{}'", image.index, image.part);
                        return Err(Error::setting(name, "of one set", got));
                    }
                }
            }
        }
        Ok(Groups::by_key(keys))
    }

    /// Says in the log, as a warning that names the first files, the duplicates; nothing
    /// if there are none.
    pub fn warn(&self) {
        if !self.is_clean() {
            tracing::warn!("{self}");
        }
    }
}

impl fmt::Display for DuplicateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_clean() {
            return write!(f, "no duplicates among {} images", self.images);
        }
        let surplus: usize = self.groups.iter().map(|group| group.images.len() - 1).sum();
        let (images, groups) = (self.images, self.groups.len());
        write!(
            f,
            "{surplus} of {images} images are duplicates of others; groups: {groups}"
        )?;
        let counts = [
            ("in more than one part", self.leaks().count()),
            ("of more than one class", self.conflicts().count()),
        ];
        for (what, count) in counts.into_iter().filter(|&(_, count)| count > 0) {
            write!(f, ", {what}: {count}")?;
        }
        let mut worst_first: Vec<&DuplicateGroup> = self.groups.iter().collect();
        worst_first.sort_by_key(|group| std::cmp::Reverse((group.leaks(), group.classes_differ())));
        for group in worst_first.iter().take(SHOWN) {
            write!(f, "\n  {group}")?;
        }
        match self.groups.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

/// `a.png = b.png` for equal pixels, `a.png ~ b.png` for near copies, `a.png @ b.png` for turned
/// ones.
impl fmt::Display for DuplicateGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.kind {
            DuplicateKind::SamePixels => " = ",
            DuplicateKind::NearCopy => " ~ ",
            DuplicateKind::TurnedCopy => " @ ",
        };
        for (position, image) in self.images.iter().take(SHOWN).enumerate() {
            let sign = if position == 0 { "" } else { sign };
            write!(f, "{sign}{image}")?;
        }
        match self.images.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "{sign}{more} more"),
        }
    }
}

impl fmt::Display for DuplicateImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.part.is_empty() { "" } else { ": " };
        write!(f, "{}{separator}{}", self.part, self.name)
    }
}
