//! COCO's data sets.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::label::Label;

/// Reads the categories of images. Several annotations of an image have to be of one category.
pub(crate) fn read(dataset: &Value) -> Result<Vec<Label>, String> {
    let list = |name: &str| {
        let list = dataset.get(name).and_then(Value::as_array);
        list.ok_or_else(|| format!("not a COCO data set: there is no list `{name}`"))
    };
    let (images, categories) = (
        named(list("images")?, "file_name"),
        named(list("categories")?, "name"),
    );
    let label = |annotation: &Value| {
        let id = |key: &str| annotation.get(key).and_then(Value::as_i64).unwrap_or(-1);
        let image = images.get(&id("image_id")).ok_or_else(|| {
            format!(
                "an annotation is about image {}, which is not there",
                id("image_id")
            )
        })?;
        let class = categories.get(&id("category_id")).ok_or_else(|| {
            format!(
                "{image} has the category {}, which is not there",
                id("category_id")
            )
        })?;
        Ok(Label::new(image, class))
    };
    list("annotations")?.iter().map(label).collect()
}

/// What a list of objects calls each number.
fn named(list: &[Value], key: &str) -> BTreeMap<i64, String> {
    let pair = |item: &Value| {
        let name = item.get(key)?.as_str()?;
        Some((item.get("id")?.as_i64()?, name.to_owned()))
    };
    list.iter().filter_map(pair).collect()
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
