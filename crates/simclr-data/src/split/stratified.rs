use super::fractions::{Fractions, ROUNDING};
use super::parts::{Part, Split, check_classes};
use crate::Seed;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::streams::{SPLIT, shuffled};

/// Splits each class by the same fractions; returns indices.
///
/// # Errors
/// If the images have no labels, the fractions are out of range, or a class is so
/// small that no image is left to train on, or none to validate on although a
/// validation fraction is given.
pub fn stratified_split(
    dataset: &dyn Dataset,
    fractions: Fractions,
    seed: Seed,
) -> Result<Split<Vec<usize>>> {
    let parts = fractions.parts()?;
    let images = cut(dataset, &parts, "a stratified split", seed)?;
    Ok(Split::of_parts(images))
}

/// Cuts each class, shuffled by (seed, class), at the nearest numbers of images to the
/// parts' fractions; returns the images of each part.
pub(super) fn cut(
    dataset: &dyn Dataset,
    parts: &[Part],
    operation: &'static str,
    seed: Seed,
) -> Result<Vec<Vec<usize>>> {
    let labels = dataset.labels(operation)?;
    check_classes(dataset.class_names())?;
    let mut of_parts = vec![Vec::new(); parts.len()];
    for (label, name) in (0u32..).zip(dataset.class_names()) {
        let members = (0..labels.len()).filter(|&i| labels.get(i) == Some(&label));
        let class = shuffled(members.collect(), seed, 0, u64::from(label), SPLIT);
        let (mut start, mut share) = (0, 0.0);
        for (part, images) in parts.iter().zip(&mut of_parts) {
            share += part.fraction;
            let end = (class.len() as f64 * share + ROUNDING).round() as usize;
            let end = end.min(class.len());
            if part.needed && start == end {
                let (request, fraction, part) = (part.request, part.fraction, part.name);
                return Err(Error::ClassTooSmall {
                    class: name.clone(),
                    images: class.len(),
                    reason: format!(", and {request} {fraction} leaves none of them for {part}"),
                });
            }
            images.extend(&class[start..end]);
            start = end;
        }
    }
    Ok(of_parts)
}
