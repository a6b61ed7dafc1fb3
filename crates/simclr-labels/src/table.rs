//! Tables with a row per image.

use std::path::Path;

use simclr_data::CsvTable;

use crate::error::{Error, Result};
use crate::label::Label;

/// Rows without a class are passed over.
pub(crate) fn read(path: &Path) -> Result<Vec<Label>> {
    let table = CsvTable::read(path)?;
    let class = table.required(&CsvTable::CLASS)?;
    let confidence = table.column(&["confidence"]);
    let mut labels = Vec::new();
    for found in table.images()? {
        let Some(class) = found.class else {
            continue;
        };
        let mut label = Label::new(found.image, class);
        if let Some(column) = confidence {
            label.confidence = table.number(found.row, column)?;
            if label
                .confidence
                .is_some_and(|share| !(0.0..=1.0).contains(&share))
            {
                let (line, cell) = (found.row.line(), found.row.cell(column));
                let reason = "expected a confidence between 0 and 1";
                return Err(Error::malformed(path)(format!(
                    "line {line}: {reason}, found {cell}"
                )));
            }
        }
        labels.push(label);
    }
    if labels.is_empty() {
        return Err(Error::malformed(path)(table.no_classes(class)));
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
