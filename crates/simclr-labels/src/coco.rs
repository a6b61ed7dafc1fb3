//! COCO's data sets.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::json_file::score;
use crate::label::Label;

/// Reads the categories of images; those with a `score` are predictions. Several annotations of an
/// image have to be of one category.
pub(crate) fn read(dataset: &Value) -> Result<Vec<Label>, String> {
    let list = |name: &str| {
        let list = dataset.get(name).and_then(Value::as_array);
        list.ok_or_else(|| format!("not a COCO data set: there is no list `{name}`"))
    };
    let (images, categories) = (
        named(list("images")?, "image", "file_name")?,
        named(list("categories")?, "category", "name")?,
    );
    let label = |annotation: &Value| {
        let id = |key: &str| {
            let id = annotation.get(key).map(id_text);
            id.ok_or_else(|| format!("an annotation has no `{key}`: {annotation}"))
        };
        let (image, category) = (id("image_id")?, id("category_id")?);
        let image = images
            .get(&image)
            .ok_or_else(|| format!("an annotation is about image {image}, which is not there"))?;
        let class = categories.get(&category);
        let class = class
            .ok_or_else(|| format!("{image} has the category {category}, which is not there"))?;
        let confidence = score(annotation).map_err(|reason| format!("{image}: {reason}"))?;
        Ok(Label {
            confidence,
            ..Label::new(image, class)
        })
    };
    list("annotations")?.iter().map(label).collect()
}

/// A number that stands for an image or a category: some programs write `1.0` or `"1"` for 1.
fn id_text(id: &Value) -> String {
    let text = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

/// What a list of objects calls each number.
fn named(list: &[Value], what: &str, key: &str) -> Result<BTreeMap<String, String>, String> {
    let mut names = BTreeMap::new();
    for item in list {
        let name = item.get(key).and_then(Value::as_str);
        let (Some(id), Some(name)) = (item.get("id").map(id_text), name) else {
            continue;
        };
        let other = names.insert(id.clone(), name.to_owned());
        if let Some(other) = other.filter(|other| other != name) {
            return Err(format!("the {what} {id} is called {other} and {name}"));
        }
    }
    Ok(names)
}

/// A data set with an annotation per image; confidences are COCO's `score`.
pub(crate) fn dataset(labels: &[Label]) -> Value {
    let classes: BTreeSet<&str> = labels.iter().map(|label| label.class.as_str()).collect();
    let ids: BTreeMap<&str, usize> = classes.into_iter().zip(1..).collect();
    let numbered = || (1..).zip(labels);
    let image = |(id, label): (usize, &Label)| json!({"id": id, "file_name": label.image});
    let annotation = |(id, label): (usize, &Label)| {
        let category = ids.get(label.class.as_str());
        let mut annotation = json!({"id": id, "image_id": id, "category_id": category});
        if let Some(confidence) = label.confidence {
            annotation["score"] = json!(confidence);
        }
        annotation
    };
    json!({
        "images": numbered().map(image).collect::<Vec<_>>(),
        "categories": ids.iter().map(|(name, id)| json!({"id": id, "name": name})).collect::<Vec<_>>(),
        "annotations": numbered().map(annotation).collect::<Vec<_>>(),
    })
}
