//! `simclr predict`.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;
use simclr_classifier::{Abstain, Classifier, Prediction};
use simclr_data::{Dataset, DatasetExt, ImageFolder};
use simclr_files::{Durability, write_atomically};
use simclr_progress::{ProgressMode, Stage};

use crate::AnyResult;

/// Says what images are: class, confidence, second class, the probability of each class, and how unlike
/// the training images an image is.
///
/// Images are read as they are needed, so memory does not grow with their number; the table appears when
/// it is complete.
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
    /// Leave the class empty where the confidence is below this, or, with `conformal:0.9`, where the
    /// conformal set of this coverage has not exactly one class.
    #[arg(long)]
    abstain: Option<Abstain>,
    /// Leave out images that cannot be read, and list them.
    #[arg(long)]
    skip_unreadable: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    /// A table with a column per class.
    Csv,
    /// A JSON object a line.
    Jsonl,
}

/// How many images of each kind there were.
#[derive(Default)]
struct Counts {
    images: usize,
    novel: usize,
    undecided: usize,
}

impl Arguments {
    pub(crate) fn run(&self, progress: ProgressMode) -> AnyResult {
        let classifier = Classifier::load(&self.classifier)?;
        let images = ImageFolder::builder(&self.images)
            .labels(simclr_data::Labels::Ignored)
            .skip_unreadable(self.skip_unreadable)
            .open()?;
        let stage = Stage::new("predict", Classifier::prediction_steps(images.len()) as u64);
        let mut progress = progress.start(stage);
        let abstain = self.abstain.unwrap_or_default();
        let mut counts = Counts::default();
        write_atomically(&self.out, Durability::Buffered, |file| {
            let mut rows = Rows::new(file, self.format, classifier.classes())?;
            classifier.predict_each(images.shared(), progress.as_mut(), |index, prediction| {
                let class = classifier.decide(&prediction, abstain);
                counts.images += 1;
                counts.novel += usize::from(prediction.is_novel);
                counts.undecided += usize::from(class.is_none());
                rows.write(&images.name(index), class, &prediction)
            })?;
            Ok::<(), AnyError>(rows.finish()?)
        })
        .map_err(|error: AnyError| error.0)?;
        progress.finish("done");
        println!(
            "predict: {} images, {} unlike the training images, {} without a class -> {}",
            counts.images,
            counts.novel,
            counts.undecided,
            self.out.display()
        );
        Ok(())
    }
}

/// Any error: `write_atomically` and `predict_each` want one that theirs become.
struct AnyError(Box<dyn std::error::Error + Send + Sync>);

impl<E: std::error::Error + Send + Sync + 'static> From<E> for AnyError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

/// Writes predictions.
struct Rows<'a> {
    classes: &'a [String],
    form: Form<'a>,
}

enum Form<'a> {
    Csv(Box<csv::Writer<&'a mut dyn Write>>),
    Jsonl(&'a mut dyn Write),
}

impl<'a> Rows<'a> {
    fn new(
        file: &'a mut dyn Write,
        format: Format,
        classes: &'a [String],
    ) -> Result<Self, AnyError> {
        let form = match format {
            Format::Jsonl => Form::Jsonl(file),
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(file);
                let fixed = ["image", "class", "confidence", "second", "novelty", "novel"]
                    .map(str::to_owned);
                let shares = classes.iter().map(|class| format!("p_{class}"));
                writer.write_record(fixed.into_iter().chain(shares))?;
                Form::Csv(Box::new(writer))
            }
        };
        Ok(Self { classes, form })
    }

    fn write(
        &mut self,
        image: &str,
        class: Option<usize>,
        prediction: &Prediction,
    ) -> Result<(), AnyError> {
        let name = |class: usize| self.classes.get(class).map_or("", String::as_str);
        let class = class.map(name);
        match &mut self.form {
            Form::Csv(writer) => {
                let fixed = [
                    image.to_owned(),
                    class.unwrap_or_default().to_owned(),
                    format!("{:.6}", prediction.confidence),
                    name(prediction.second).to_owned(),
                    format!("{:.6}", prediction.novelty),
                    prediction.is_novel.to_string(),
                ];
                let shares = prediction
                    .probabilities
                    .iter()
                    .map(|share| format!("{share:.6}"));
                writer.write_record(fixed.into_iter().chain(shares))?;
            }
            Form::Jsonl(file) => {
                let shares: serde_json::Map<_, _> = self
                    .classes
                    .iter()
                    .zip(&prediction.probabilities)
                    .map(|(class, share)| (class.clone(), json!(share)))
                    .collect();
                let row = json!({
                    "image": image,
                    "class": class,
                    "confidence": prediction.confidence,
                    "second": name(prediction.second),
                    "novelty": prediction.novelty,
                    "novel": prediction.is_novel,
                    "probabilities": shares,
                });
                writeln!(file, "{row}")?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<(), std::io::Error> {
        match self.form {
            Form::Csv(mut writer) => writer.flush(),
            Form::Jsonl(file) => file.flush(),
        }
    }
}
