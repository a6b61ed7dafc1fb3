//! Tables with a row per image.

use std::path::Path;

use crate::error::{Error, Result};
use crate::label::Label;

/// Rows without a class are passed over.
pub(crate) fn read(path: &Path) -> Result<Vec<Label>> {
    let file = std::fs::File::open(path).map_err(simclr_files::Error::io(path))?;
    let mut reader = csv::Reader::from_reader(file);
    let headers = reader.headers().map_err(Error::malformed(path))?.clone();
    let position = |names: &[&str]| {
        headers
            .iter()
            .position(|header| names.contains(&header.trim()))
    };
    let required = |names: [&str; 2]| {
        let reason = || format!("no column `{}` or `{}`", names[0], names[1]);
        position(&names).ok_or_else(|| Error::malformed(path)(reason()))
    };
    let (image, class) = (required(["image", "tile"])?, required(["class", "label"])?);
    let confidence = position(&["confidence"]);
    let mut labels = Vec::new();
    for record in reader.records() {
        let record = record.map_err(Error::malformed(path))?;
        let cell = |column| record.get(column).unwrap_or_default().trim();
        if cell(class).is_empty() {
            continue;
        }
        let mut label = Label::new(cell(image), cell(class));
        if let Some(text) = confidence.map(cell).filter(|text| !text.is_empty()) {
            let share = text
                .parse()
                .ok()
                .filter(|share| (0.0..=1.0).contains(share));
            label.confidence = Some(share.ok_or_else(|| {
                let line = record.position().map_or(0, csv::Position::line);
                let reason = "expected a confidence between 0 and 1";
                Error::malformed(path)(format!("line {line}: {reason}, found {text}"))
            })?);
        }
        labels.push(label);
    }
    Ok(labels)
}

pub(crate) fn write(path: &Path, labels: &[Label]) -> Result<()> {
    let are_predictions = labels.iter().any(|label| label.confidence.is_some());
    let columns = if are_predictions { 3 } else { 2 };
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer
        .write_record(["image", "class", "confidence"].iter().take(columns))
        .map_err(Error::unwritable(path))?;
    for label in labels {
        let confidence = label
            .confidence
            .map_or(String::new(), |share| share.to_string());
        let cells = [&label.image, &label.class, &confidence];
        writer
            .write_record(cells.iter().take(columns))
            .map_err(Error::unwritable(path))?;
    }
    let bytes = writer.into_inner().map_err(Error::unwritable(path))?;
    Ok(simclr_files::write_bytes(path, &bytes)?)
}
