//! Labels of every format.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde_json::Value;
use simclr_files::FirstSpellings;

use crate::error::{Error, Result};
use crate::json_file::read_json;
use crate::label::Label;
use crate::{class_folders, coco, label_studio, labelme, table};

/// How labels are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LabelFormat {
    /// A table (CSV, as [`CsvTable`](simclr_data::CsvTable) reads it) with the columns `image` (or
    /// `tile`) and `class` (or `label`), and `confidence` for predictions.
    Csv,
    /// A folder with a folder of images per class.
    Folders,
    /// Label Studio's JSON, as it exports and imports it, with choices.
    LabelStudio,
    /// A folder with a JSON file of LabelMe's per image, with flags.
    LabelMe,
    /// COCO's JSON, with one category per image.
    Coco,
}

impl LabelFormat {
    /// All formats.
    pub const ALL: [Self; 5] = [
        Self::Csv,
        Self::Folders,
        Self::LabelStudio,
        Self::LabelMe,
        Self::Coco,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Folders => "folders",
            Self::LabelStudio => "label-studio",
            Self::LabelMe => "labelme",
            Self::Coco => "coco",
        }
    }
}

impl fmt::Display for LabelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for LabelFormat {
    type Err = String;

    /// A name such as `label-studio`.
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("expected one of {names}, found {text}")
        })
    }
}

/// The labels in a file or a folder, sorted by image, each image once: with the answer of a person, or
/// the surest prediction.
///
/// # Errors
/// A path that cannot be read or is not of the format, an image with two classes, two images whose
/// names differ in their Unicode form alone, and a file without any label.
pub fn read_labels(path: impl AsRef<Path>, format: LabelFormat) -> Result<Vec<Label>> {
    let path = path.as_ref();
    let malformed = Error::malformed::<String>(path);
    let mut labels = match format {
        LabelFormat::Csv => table::read(path)?,
        LabelFormat::Folders => class_folders::read(path)?,
        LabelFormat::LabelStudio => {
            label_studio::read(&read_json(path)?, path).map_err(&malformed)?
        }
        LabelFormat::LabelMe => labelme::read(path)?,
        LabelFormat::Coco => coco::read(&read_json(path)?).map_err(&malformed)?,
    };
    if format != LabelFormat::Folders {
        for label in &mut labels {
            label.image = simclr_data::image_path(&label.image);
        }
    }
    sorted(labels).map_err(malformed)
}

/// The labels sorted by image, each image once; or why that cannot be.
fn sorted(mut labels: Vec<Label>) -> Result<Vec<Label>, String> {
    let mut spellings = FirstSpellings::default();
    let mut images = labels.iter().map(|label| &label.image);
    if let Some(forms) = images.find_map(|image| spellings.other_form(image)) {
        return Err(forms);
    }
    let is_share = |share: f64| (0.0..=1.0).contains(&share);
    let unsure = |label: &&Label| label.confidence.is_some_and(|share| !is_share(share));
    if let Some(label) = labels.iter().find(unsure) {
        let confidence = label.confidence.unwrap_or_default();
        let reason = "expected a confidence between 0 and 1";
        return Err(format!("{}: {reason}, found {confidence}", label.image));
    }
    if let Some(label) = labels.iter().find(|label| label.class.is_empty()) {
        return Err(format!("{} has a class without a name", label.image));
    }
    // Before predictions a person's answer, and of them the surest.
    let sureness = |label: &Label| label.confidence.unwrap_or(f64::INFINITY);
    labels.sort_by(|a, b| {
        let names = (&a.image, &a.class).cmp(&(&b.image, &b.class));
        names.then_with(|| sureness(b).total_cmp(&sureness(a)))
    });
    labels.dedup_by(|a, b| (&a.image, &a.class) == (&b.image, &b.class));
    if labels.is_empty() {
        return Err("no image has a class".into());
    }
    let twice = labels
        .windows(2)
        .find(|pair| pair[0].image == pair[1].image);
    if let Some([first, second]) = twice {
        let (image, a, b) = (&first.image, &first.class, &second.class);
        return Err(format!("{image} has the classes {a} and {b}"));
    }
    Ok(labels)
}

/// Writes labels to a file or a folder that does not exist yet. Class folders get copies of the
/// images, whose paths are relative to `images`.
///
/// # Errors
/// A path that exists already, what [`read_labels`] would refuse, and what a format cannot express: two
/// images of one name, a class that is no name of a folder, class folders without `images`.
pub fn write_labels(
    path: impl AsRef<Path>,
    format: LabelFormat,
    labels: &[Label],
    images: Option<&Path>,
) -> Result<()> {
    let path = path.as_ref();
    let unwritable = Error::unwritable(path);
    if path.exists() {
        return Err(unwritable("it exists already"));
    }
    sorted(labels.to_vec()).map_err(Error::unwritable(path))?;
    match format {
        LabelFormat::Csv => table::write(path, labels),
        LabelFormat::Folders => {
            let reason = "class folders need to know where the images are";
            class_folders::write(path, labels, images.ok_or_else(|| unwritable(reason))?)
        }
        LabelFormat::LabelStudio => write_json(path, &label_studio::tasks(labels)),
        LabelFormat::LabelMe => labelme::write(path, labels),
        LabelFormat::Coco => write_json(path, &coco::dataset(labels)),
    }
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    Ok(simclr_files::write_bytes(
        path,
        format!("{value:#}\n").as_bytes(),
    )?)
}
