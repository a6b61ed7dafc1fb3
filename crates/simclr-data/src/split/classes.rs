//! The images of each class, in random order.

use super::fractions::ROUNDING;
use crate::Seed;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::streams::{SPLIT, shuffled};

/// The images of one class in random order.
pub(super) struct ShuffledClass {
    name: String,
    pub(super) images: Vec<usize>,
}

impl ShuffledClass {
    /// The nearest number of images to a fraction of the class.
    pub(super) fn count(&self, fraction: f64) -> usize {
        let images = self.images.len();
        ((images as f64 * fraction + ROUNDING).round() as usize).min(images)
    }

    pub(super) fn part(&self, start: usize, end: usize) -> impl Iterator<Item = usize> {
        let part = self.images.get(start..end).unwrap_or_default();
        part.iter().copied()
    }

    pub(super) fn check_some(
        &self,
        request: &str,
        fraction: f64,
        images: usize,
        part: &'static str,
    ) -> Result<()> {
        if images > 0 {
            return Ok(());
        }
        Err(Error::ClassTooSmall {
            class: self.name.clone(),
            images: self.images.len(),
            request: format!("{request} {fraction}"),
            part,
        })
    }
}

/// The images of each class, shuffled by (seed, class).
pub(super) fn shuffled_classes(
    dataset: &dyn Dataset,
    operation: &'static str,
    seed: Seed,
) -> Result<Vec<ShuffledClass>> {
    let labels = dataset.labels(operation)?;
    let names = dataset.class_names();
    check_classes(names)?;
    let class = |(label, name): (u32, &String)| {
        let members = labels.iter().enumerate();
        let members = members.filter(|&(_, &of)| of == label).map(|(i, _)| i);
        ShuffledClass {
            name: name.clone(),
            images: shuffled(members.collect(), seed, 0, u64::from(label), SPLIT),
        }
    };
    Ok((0u32..).zip(names).map(class).collect())
}

/// Fails if there are no classes.
pub(super) fn check_classes(names: &[String]) -> Result<()> {
    if names.is_empty() {
        return Err(Error::setting("the number of classes", "at least 1", 0));
    }
    Ok(())
}
