//! The names of a classifier's classes against those of images.

use simclr_files::same_names;

use crate::{Error, Result};

/// Fails, listing both, unless a classifier's classes are those of the images, in the same order.
pub(crate) fn check_class_names(owner: &str, own: &[String], classes: &[String]) -> Result<()> {
    if same_names(own, classes) {
        return Ok(());
    }
    Err(other_classes(owner, own, classes))
}

pub(crate) fn other_classes(owner: &str, own: &[String], classes: &[String]) -> Error {
    Error::Setting {
        setting: "classes",
        expected: format!("those of the images ({})", classes.join(", ")),
        found: format!("those of {owner} ({})", own.join(", ")),
    }
}
