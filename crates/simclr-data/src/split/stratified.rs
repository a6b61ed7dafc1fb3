//! Splits that divide each class by the same fractions.

use super::classes::shuffled_classes;
use super::fractions::Fractions;
use super::parts::Split;
use crate::Seed;
use crate::dataset::Dataset;
use crate::error::Result;

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
    fractions.validate()?;
    let mut split = Split {
        train: Vec::new(),
        validation: Vec::new(),
        test: Vec::new(),
    };
    for class in shuffled_classes(dataset, "a stratified split", seed)? {
        let (train_end, validation_end) = (
            class.count(fractions.train),
            class.count(fractions.train + fractions.validation),
        );
        class.check_some(
            "a train fraction of",
            fractions.train,
            train_end,
            "training",
        )?;
        let validated = validation_end - train_end;
        if fractions.validation > 0.0 {
            let request = "a validation fraction of";
            class.check_some(request, fractions.validation, validated, "validation")?;
        }
        split.train.extend(class.part(0, train_end));
        split
            .validation
            .extend(class.part(train_end, validation_end));
        split
            .test
            .extend(class.part(validation_end, class.images.len()));
    }
    Ok(split.sorted())
}
