use super::fractions::check_fraction;
use crate::Seed;
use crate::dataset::Dataset;
use crate::error::Result;
use crate::streams::{BUDGET, shuffled};

/// The indices of a fraction of each class.
pub(crate) fn label_budget(dataset: &dyn Dataset, fraction: f64, seed: Seed) -> Result<Vec<usize>> {
    check_fraction("the label fraction", fraction)?;
    let labels = dataset.labels("a label budget")?;
    let mut kept = Vec::new();
    for label in 0..dataset.class_names().len() as u32 {
        let members = (0..labels.len()).filter(|&i| labels.get(i) == Some(&label));
        kept.extend(keep(members.collect(), fraction, seed, u64::from(label)));
    }
    kept.sort_unstable();
    Ok(kept)
}

/// The indices of a fraction of all images.
pub(crate) fn unlabelled_fraction(len: usize, fraction: f64, seed: Seed) -> Result<Vec<usize>> {
    check_fraction("the unlabelled fraction", fraction)?;
    // Any number that is not a label.
    const NO_CLASS: u64 = u64::MAX;
    let mut kept = keep((0..len).collect(), fraction, seed, NO_CLASS);
    kept.sort_unstable();
    Ok(kept)
}

/// The first of the shuffled images, at least one.
fn keep(images: Vec<usize>, fraction: f64, seed: Seed, part: u64) -> Vec<usize> {
    let count = (images.len() as f64 * fraction).round().max(1.0) as usize;
    let mut kept = shuffled(images, seed, 0, part, BUDGET);
    kept.truncate(count);
    kept
}
