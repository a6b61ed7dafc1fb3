//! LabelMe's files, one per image.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use simclr_files::{normalized_name, write_folder};

use crate::error::{Error, Result};
use crate::json_file::read_json;
use crate::label::Label;

/// Reads the JSON files of a folder, but for hidden ones, such as macOS's `._a.json` beside `a.json`.
/// The class of an image is its flag that is set, or the label of its shapes.
pub(crate) fn read(path: &Path) -> Result<Vec<Label>> {
    let io = simclr_files::Error::io;
    let mut labels = Vec::new();
    for entry in fs::read_dir(path).map_err(io(path))? {
        let entry = entry.map_err(io(path))?;
        let file = entry.path();
        let is_json = |ending: &OsStr| ending.eq_ignore_ascii_case("json");
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") || !file.extension().is_some_and(is_json) {
            continue;
        }
        let malformed = Error::malformed(&file);
        let value = read_json(&file)?;
        let image = value.get("imagePath").and_then(Value::as_str);
        let image = image.ok_or_else(|| malformed("there is no `imagePath`".to_owned()))?;
        if let Some(class) = class_of(&value).map_err(&malformed)? {
            labels.push(Label::new(image, class));
        }
    }
    Ok(labels)
}

/// The class of an image; none if nothing says it.
fn class_of(value: &Value) -> Result<Option<String>, String> {
    let flags = value.get("flags").and_then(Value::as_object);
    let set = flags.into_iter().flatten();
    let mut classes: BTreeSet<&str> = set
        .filter(|(_, is_set)| is_set.as_bool() == Some(true))
        .map(|(name, _)| name.as_str())
        .collect();
    if classes.is_empty() {
        let shapes = value.get("shapes").and_then(Value::as_array);
        let labels = shapes.into_iter().flatten();
        classes = labels
            .filter_map(|shape| shape.get("label")?.as_str())
            .collect();
    }
    if classes.len() > 1 {
        let names: Vec<&str> = classes.into_iter().collect();
        return Err(format!("more than one class: {}", names.join(", ")));
    }
    Ok(classes.pop_first().map(str::to_owned))
}

/// Writes a folder with a file per image, whose flags are all the classes.
pub(crate) fn write(path: &Path, labels: &[Label]) -> Result<()> {
    let classes: BTreeSet<&str> = labels.iter().map(|label| label.class.as_str()).collect();
    let mut files = BTreeMap::new();
    for label in labels {
        let flags: BTreeMap<&str, bool> = classes
            .iter()
            .map(|class| (*class, *class == label.class))
            .collect();
        let value = json!({
            "version": "5.0.0",
            "flags": flags,
            "shapes": [],
            "imagePath": label.image,
            "imageData": null,
        });
        let stem = Path::new(label.file_name()).with_extension("json");
        // Not every file system has two files whose names differ in their Unicode form alone.
        let key = normalized_name(&stem.to_string_lossy()).into_owned();
        if files.insert(key, (stem.clone(), value)).is_some() {
            let reason = format!("two images would have the file {}", stem.display());
            return Err(Error::unwritable(path)(reason));
        }
    }
    write_folder(path, |folder| {
        for (name, value) in files.into_values() {
            simclr_files::write_bytes(&folder.join(name), format!("{value:#}\n").as_bytes())?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_and_flags_are_classes() {
        let of = |value: Value| class_of(&value);
        let flags = json!({"flags": {"none": false, "soupy": true}});
        assert_eq!(of(flags), Ok(Some("soupy".into())));
        let shapes = json!({"flags": {}, "shapes": [{"label": "crack"}, {"label": "crack"}]});
        assert_eq!(of(shapes), Ok(Some("crack".into())));
        assert_eq!(of(json!({"shapes": []})), Ok(None));
        assert!(of(json!({"shapes": [{"label": "crack"}, {"label": "none"}]})).is_err());
    }
}
