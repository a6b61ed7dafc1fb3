use std::sync::Arc;

use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::located::forward_images;

/// The classes that a [`ClassMap`](crate::ClassMap) makes of given ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedClasses {
    /// The new class names in label order.
    pub names: Vec<String>,
    /// The new label of each old one.
    pub labels: Vec<u32>,
}

/// The images of another set with other classes; made by
/// [`ClassMap::apply`](crate::ClassMap::apply).
#[derive(Debug, Clone)]
pub struct Mapped {
    dataset: Arc<dyn Dataset>,
    resolved: ResolvedClasses,
}

impl Mapped {
    pub(crate) fn new(dataset: Arc<dyn Dataset>, resolved: ResolvedClasses) -> Self {
        Self { dataset, resolved }
    }

    /// The new names, and the new label of each old one.
    pub fn classes(&self) -> &ResolvedClasses {
        &self.resolved
    }

    fn new_label(&self, old: u32) -> Option<u32> {
        self.resolved.labels.get(old as usize).copied()
    }

    fn locate(&self, index: usize) -> Option<(&dyn Dataset, usize)> {
        Some((self.dataset.as_ref(), index))
    }
}

impl Dataset for Mapped {
    fn len(&self) -> usize {
        self.dataset.len()
    }

    fn is_empty(&self) -> bool {
        self.dataset.is_empty()
    }

    fn class_names(&self) -> &[String] {
        &self.resolved.names
    }

    fn label(&self, index: usize) -> Option<u32> {
        self.new_label(self.dataset.label(index)?)
    }

    forward_images!();

    fn labels(&self, operation: &'static str) -> Result<Vec<u32>> {
        let old = self.dataset.labels(operation)?;
        let new = old.iter().enumerate().map(|(index, &label)| {
            self.new_label(label).ok_or_else(|| Error::Label {
                name: self.name(index),
                label,
                classes: self.resolved.labels.len(),
            })
        });
        new.collect()
    }

    fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.resolved.names.len()];
        for (&new, count) in self.resolved.labels.iter().zip(self.dataset.class_counts()) {
            if let Some(sum) = counts.get_mut(new as usize) {
                *sum += count;
            }
        }
        counts
    }
}
