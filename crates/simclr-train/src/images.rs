//! What is asked of a data set before the first step.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use simclr_augment::DecodedImage;
use simclr_data::{Dataset, DatasetFacts, Error as DataError, dataset_facts_with_contents};

use crate::error::Result;

/// The facts of a data set, for which all images are read. An own data set may panic in doing so:
/// that is an error that names the image, as in a loader.
pub(crate) fn facts_of(images: &dyn Dataset) -> Result<DatasetFacts> {
    let guarded = Guarded {
        images,
        index: AtomicUsize::new(0),
    };
    let facts = || dataset_facts_with_contents("images", &guarded);
    let facts = catch_unwind(AssertUnwindSafe(facts));
    Ok(facts.unwrap_or_else(|panic| {
        // Of a name or a label, which are asked for one after the other.
        let index = guarded.index.load(Ordering::Relaxed);
        Err(panicked(&format!("image with index {index}"), &*panic))
    })?)
}

/// A data set that knows at which image it panics.
struct Guarded<'a> {
    images: &'a dyn Dataset,
    /// Of the name or label that was asked for last.
    index: AtomicUsize,
}

impl Dataset for Guarded<'_> {
    fn len(&self) -> usize {
        self.images.len()
    }

    fn decode(&self, index: usize) -> simclr_data::Result<DecodedImage> {
        self.images.decode(index)
    }

    fn class_names(&self) -> &[String] {
        self.images.class_names()
    }

    fn label(&self, index: usize) -> Option<u32> {
        self.index.store(index, Ordering::Relaxed);
        self.images.label(index)
    }

    fn name(&self, index: usize) -> String {
        self.index.store(index, Ordering::Relaxed);
        self.images.name(index)
    }

    fn content_digest(&self, index: usize) -> simclr_data::Result<[u8; 32]> {
        let digest = || self.images.content_digest(index);
        catch_unwind(AssertUnwindSafe(digest)).unwrap_or_else(|panic| {
            let name = self.images.name(index);
            let image = format!("'{name}' (image with index {index})");
            Err(panicked(&image, &*panic))
        })
    }
}

fn panicked(image: &str, panic: &(dyn Any + Send)) -> DataError {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    let text = text.unwrap_or("no message");
    DataError::other(format!(
        "{image}: the data set panicked while it was read: {text}"
    ))
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
