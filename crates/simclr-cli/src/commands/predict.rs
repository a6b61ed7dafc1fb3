//! `simclr predict`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use simclr_classifier::{Abstain, Classifier};
use simclr_data::{Dataset, DatasetExt, ImageFolder, Labels, dataset_facts_with_contents};
use simclr_progress::{ProgressMode, Stage};

use crate::device::DeviceArgument;
use crate::file_digest::file_digest;
use crate::interrupt::pause_handle;
use crate::outputs::check_output;
use crate::predictions_file::{Format, PredictionsFile};
use crate::terminal::{AnyResult, say};

/// Says what images are: class, confidence, second class, the probability of each class, and how
/// unlike the training images an image is.
///
/// Images are read as they are needed, so memory does not grow with their number. The table
/// appears when it is complete; interrupted, the same command goes on where it stopped, if no image has
/// changed: all files are read once before, to tell.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The images: a folder, searched to the bottom.
    images: PathBuf,
    /// A classifier, as `simclr probe` makes it.
    #[arg(long)]
    classifier: PathBuf,
    /// The table.
    #[arg(long)]
    out: PathBuf,
    /// Form of the table.
    #[arg(long, value_enum, default_value = "csv")]
    format: Format,
    /// Leave the class empty where the confidence is below this, or, with `conformal:0.9`, where
    /// the conformal set of this coverage has not exactly one class.
    #[arg(long)]
    abstain: Option<Abstain>,
    /// Leave out images that cannot be read, and list them.
    #[arg(long)]
    skip_unreadable: bool,
    #[command(flatten)]
    device: DeviceArgument,
}

impl Arguments {
    pub(crate) fn run(&self, progress: ProgressMode) -> AnyResult {
        check_output(
            &self.out,
            [self.classifier.as_path(), self.images.as_path()],
        )?;
        let classifier = Classifier::load_on(&self.classifier, &self.device.open()?)?;
        let images = ImageFolder::builder(&self.images)
            .labels(Labels::Ignored)
            .skip_unreadable(self.skip_unreadable)
            .open()?;
        let abstain = self.abstain.unwrap_or_default();
        let identity = json!({
            "classifier": file_digest(&self.classifier)?,
            "images": images_digest(&images)?,
            "abstain": format!("{abstain:?}"),
            "device": self.device.name().to_string(),
        });
        let classes = classifier.classes();
        let mut file = PredictionsFile::open(
            &self.out,
            self.format,
            classes,
            &identity,
            Classifier::BATCH_SIZE,
        )?;
        let done = file.counts().images;
        let rest = images.subset(Vec::from_iter(done..images.len()))?;
        let stage = Stage::new("predict", Classifier::prediction_steps(images.len()) as u64);
        let first =
            (stage.total_steps as usize).saturating_sub(Classifier::prediction_steps(rest.len()));
        let mut progress = progress.start(stage.resumed_after(first as u64));
        if !rest.is_empty() {
            classifier
                .predict_each(rest.shared(), progress.as_mut(), |index, prediction| {
                    if pause_handle().is_paused() {
                        return Err(Stopped(interrupted(done + index).into()));
                    }
                    let class = classifier.decide(&prediction, abstain);
                    Ok(file.write(&rest.name(index), class, &prediction)?)
                })
                .map_err(|stopped| stopped.0)?;
        }
        let counts = file.finish()?;
        progress.finish("done");
        say(format_args!(
            "predict: {} images, {} unlike the training images, {} without a class -> {}",
            counts.images,
            counts.novel,
            counts.undecided,
            self.out.display()
        ));
        Ok(())
    }
}

fn interrupted(done: usize) -> String {
    let whole = done - done % Classifier::BATCH_SIZE;
    format!("interrupted after {done} images; the same command goes on after {whole} images")
}

/// A digest of all images' names and contents: what tells other images from those that were predicted
/// already. Sizes and times of change do not, for a file of the same size may have been given the same
/// time.
fn images_digest(images: &ImageFolder) -> AnyResult<String> {
    Ok(dataset_facts_with_contents("images", images)?.digest)
}

/// Any error that ends the predictions.
struct Stopped(Box<dyn std::error::Error + Send + Sync>);

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn an_image_of_the_same_size_and_time_is_another_one_and_a_copy_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        let digest_of = |bytes: &[u8], changed: SystemTime| {
            fs::write(&path, bytes).unwrap();
            let file = File::options().write(true).open(&path).unwrap();
            file.set_modified(changed).unwrap();
            images_digest(&ImageFolder::unlabelled(dir.path()).unwrap()).unwrap()
        };
        image::RgbImage::new(8, 8).save(&path).unwrap();
        let own = fs::read(&path).unwrap();
        let mut other = own.clone();
        *other.last_mut().unwrap() ^= 1;
        let now = SystemTime::now();
        let before = digest_of(&own, now);
        assert_ne!(digest_of(&other, now), before);
        assert_eq!(digest_of(&own, now + Duration::from_secs(60)), before);
    }
}
