//! What can go wrong with a training without an error: it diverges, collapses, or waits.

use std::sync::Arc;
use std::time::Duration;

use candle_core::{DType, Device, Tensor};
use simclr_augment::Policy;
use simclr_data::{Dataset, DatasetExt, ViewLoader};
use simclr_eval::analysis::effective_rank;
use simclr_model::{Mode, SimClr};

use crate::error::Result;

/// A loss this many times that of the first step (or 1, if that is less) is no training any more.
pub(crate) const DIVERGED: f64 = 1e4;

/// Steps without a finite loss, one after the other, after which skipping them is given up.
pub(crate) const MOST_SKIPPED: usize = 10;

/// A network that waits longer than this share of its time has a starved loader.
pub(crate) const STARVED: f64 = 0.3;

/// Embeddings with a smaller effective rank hardly differ.
pub(crate) const COLLAPSED_RANK: f64 = 1.5;

/// A session has to last this long before its loader is judged.
pub(crate) const LONG_ENOUGH: Duration = Duration::from_secs(20);

/// The column of `metrics.csv` for RankMe after each epoch.
pub(crate) const EFFECTIVE_RANK: &str = "effective_rank";

/// How many images the effective rank is measured on, at most.
const WATCHED: usize = 64;

/// What is done about a step whose loss is not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnNan {
    /// The run stops (default).
    #[default]
    Stop,
    /// The step is left out; after ten in a row the run stops.
    Skip,
}

/// Whether a loss is that of a training that has diverged, given that of its first step.
pub(crate) fn has_diverged(loss: f64, first: f64) -> bool {
    loss > DIVERGED * first.abs().max(1.0)
}

/// The first of these tensors with a number that is not finite.
pub(crate) fn not_finite<'a>(
    tensors: impl IntoIterator<Item = (&'a String, &'a Tensor)>,
) -> Result<Option<String>> {
    for (name, tensor) in tensors {
        if tensor.dtype() == DType::F32 {
            let values = tensor.flatten_all()?.to_vec1::<f32>()?;
            if !values.iter().all(|value| value.is_finite()) {
                return Ok(Some(name.clone()));
            }
        }
    }
    Ok(None)
}

/// A mean accuracy of `trials` guesses among `choices` that chance explains.
pub(crate) fn is_chance(accuracy: f64, choices: f64, trials: f64) -> bool {
    let chance = 1.0 / choices;
    accuracy <= chance + 3.0 * (chance * (1.0 - chance) / trials).sqrt()
}

/// Some images, always the same, whose embeddings are looked at after each epoch.
pub(crate) struct WatchedImages {
    views: Tensor,
    /// Views that are embedded at a time.
    at_once: usize,
}

impl WatchedImages {
    /// Up to 64 images from all over the set, squashed to `size` pixels, of which `at_once` are
    /// embedded at a time.
    pub(crate) fn of(
        images: &Arc<dyn Dataset>,
        size: usize,
        at_once: usize,
        device: &Device,
    ) -> Result<Self> {
        let count = images.len().min(WATCHED);
        let indices: Vec<usize> = (0..count).map(|i| i * images.len() / count).collect();
        let watched = images.subset(indices)?;
        let loader = ViewLoader::evaluation(watched, Policy::probe(size), count.max(1))?;
        let batch = loader.epochs(0..1)?.next().transpose()?;
        let views = batch
            .map(|batch| batch.views.to_device(device))
            .transpose()?;
        let empty = || Tensor::zeros((0, size, size, 3), DType::F32, device);
        Ok(Self {
            views: views.map_or_else(empty, Ok)?,
            at_once,
        })
    }

    /// RankMe of the outputs of the projection head, NaN if these are no finite numbers.
    pub(crate) fn effective_rank(&self, model: &SimClr) -> Result<f64> {
        let views = self.views.dim(0)?;
        let projections = (0..views).step_by(self.at_once.max(1)).map(|first| {
            let few = self
                .views
                .narrow(0, first, self.at_once.min(views - first))?;
            Ok(model.forward(&few, Mode::Infer)?.projection)
        });
        let projections = Tensor::cat(&projections.collect::<Result<Vec<_>>>()?, 0)?;
        let values = projections.flatten_all()?.to_vec1::<f32>()?;
        if values.iter().all(|value| value.is_finite()) {
            Ok(effective_rank(&projections)?)
        } else {
            Ok(f64::NAN)
        }
    }

    /// What is strange about the images themselves, if anything.
    pub(crate) fn oddity(&self) -> Result<Option<String>> {
        let count = self.views.dim(0)?;
        let rows = self.views.flatten_from(1)?.to_vec2::<f32>()?;
        let pixels = rows.iter().map(|row| row.as_chunks::<3>().0);
        let plain = pixels.filter(|pixels| pixels.windows(2).all(|pair| pair[0] == pair[1]));
        let plain = plain.count();
        if 2 * plain > count {
            return Ok(Some(format!(
                "{plain} of {count} images that were looked at are of a single colour"
            )));
        }
        let alike = rows.iter().filter(|row| rows.first() == Some(*row)).count();
        Ok((count > 1 && 2 * alike > count)
            .then(|| format!("{alike} of {count} images that were looked at are the same")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simclr_augment::DecodedImage;
    use simclr_data::InMemory;

    fn oddity(images: Vec<DecodedImage>) -> Option<String> {
        let images = InMemory::unlabelled(images).shared();
        WatchedImages::of(&images, 8, 2, &Device::Cpu)
            .unwrap()
            .oddity()
            .unwrap()
    }

    fn picture(seed: u8) -> DecodedImage {
        let pixels = (0..8 * 8 * 3)
            .map(|i| (i as u8).wrapping_mul(seed))
            .collect();
        DecodedImage::new(8, 8, pixels).unwrap()
    }

    #[test]
    fn plain_and_identical_images_are_noticed_and_others_are_not() {
        let plain = |value: u8| DecodedImage::new(8, 8, vec![value; 8 * 8 * 3]).unwrap();
        for value in [0, 255, 128] {
            let found = oddity(vec![plain(value); 5]).unwrap();
            assert!(
                found.starts_with("5 of 5") && found.contains("single colour"),
                "{found}"
            );
        }
        let mut images = vec![picture(7); 6];
        images.extend([picture(3), picture(5)]);
        assert!(
            oddity(images)
                .unwrap()
                .starts_with("6 of 8 images that were looked at are the")
        );
        assert_eq!(oddity((1..100).map(picture).collect()), None);
        assert_eq!(
            oddity(vec![plain(0), picture(1), picture(2), picture(3)]),
            None
        );
    }

    #[test]
    fn losses_and_accuracies_are_told_from_those_of_no_training() {
        assert!(has_diverged(f64::INFINITY, 5.0) && has_diverged(6e4, 5.0));
        assert!(!has_diverged(500.0, 0.01) && !has_diverged(-3.0, 5.0));
        assert!(is_chance(1.0 / 31.0, 31.0, 1000.0) && is_chance(0.0, 31.0, 1000.0));
        assert!(!is_chance(0.06, 31.0, 1000.0));
    }
}
