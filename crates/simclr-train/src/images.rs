//! What is asked of a data set before the first step.

use std::panic::{AssertUnwindSafe, catch_unwind};

use simclr_data::{Dataset, DatasetFacts, Error as DataError, dataset_facts_with_contents};

use crate::error::Result;

/// The facts of a data set, for which all images are read. An own data set may panic in doing so:
/// that is an error, as in a loader.
pub(crate) fn facts_of(images: &dyn Dataset) -> Result<DatasetFacts> {
    let facts = || dataset_facts_with_contents("images", images);
    let facts = catch_unwind(AssertUnwindSafe(facts));
    Ok(facts.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        let text = text.unwrap_or("no message");
        Err(DataError::other(format!(
            "images: the data set panicked while its images were read: {text}"
        )))
    })?)
}

/// Fails on the first label that names no class. Where there are no classes, labels are not looked
/// at.
pub(crate) fn check_labels(images: &dyn Dataset) -> Result<()> {
    let classes = images.class_names().len();
    let mut labels = (0..images.len()).map(|index| (index, images.label(index)));
    let wrong =
        |label: Option<u32>| label.filter(|&label| classes > 0 && label as usize >= classes);
    match labels.find_map(|(index, label)| Some((index, wrong(label)?))) {
        None => Ok(()),
        Some((index, label)) => Err(DataError::Label {
            name: images.name(index),
            label,
            classes,
        }
        .into()),
    }
}
