//! Fewer labels, or fewer images without labels.

use std::sync::Arc;

use super::check_fraction;
use crate::seed::{BUDGET, shuffled};
use crate::{Dataset, Result, Seed, Subset};

/// Keeps a fraction of each class, at least one image of each: what a model may
/// learn from when labels are scarce.
///
/// Budgets of one seed are nested: every image of the 5 % is in the 10 %, so that a
/// curve over budgets shows what more labels bring and not other images.
///
/// # Errors
/// If the images have no labels or the fraction is not in (0, 1].
pub fn label_budget<D>(dataset: &D, fraction: f64, seed: Seed) -> Result<Subset>
where
    D: Dataset + Clone + 'static,
{
    check_fraction("the label fraction", fraction)?;
    let labels = dataset.labels("a label budget")?;
    let mut kept = Vec::new();
    for label in 0..dataset.class_names().len() as u32 {
        let members = (0..labels.len()).filter(|&i| labels.get(i) == Some(&label));
        kept.extend(keep(members.collect(), fraction, seed, u64::from(label)));
    }
    kept.sort_unstable();
    Subset::new(Arc::new(dataset.clone()), kept)
}

/// Keeps a fraction of the images without looking at labels, at least one: for
/// curves over the number of unlabelled images. Fractions of one seed are nested.
///
/// # Errors
/// If the fraction is not in (0, 1].
pub fn unlabelled_fraction<D>(dataset: &D, fraction: f64, seed: Seed) -> Result<Subset>
where
    D: Dataset + Clone + 'static,
{
    check_fraction("the unlabelled fraction", fraction)?;
    // Any number that is not a label.
    const NO_CLASS: u64 = u64::MAX;
    let mut kept = keep((0..dataset.len()).collect(), fraction, seed, NO_CLASS);
    kept.sort_unstable();
    Subset::new(Arc::new(dataset.clone()), kept)
}

/// The first of the shuffled images.
fn keep(images: Vec<usize>, fraction: f64, seed: Seed, part: u64) -> Vec<usize> {
    let count = (images.len() as f64 * fraction).round().max(1.0) as usize;
    let mut kept = shuffled(images, seed, 0, part, BUDGET);
    kept.truncate(count);
    kept
}
