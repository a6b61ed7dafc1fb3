//! Label Studio's tasks.

use serde_json::{Value, json};

use crate::label::Label;

/// Reads an export (JSON, or JSON-MIN). Tasks without a choice are passed over.
pub(crate) fn read(tasks: &Value) -> Result<Vec<Label>, String> {
    let tasks = tasks.as_array();
    let tasks = tasks.ok_or("not an export of Label Studio: expected a list of tasks")?;
    let mut labels = Vec::new();
    for (index, task) in tasks.iter().enumerate() {
        let image = task.pointer("/data/image").or_else(|| task.get("image"));
        let image = image.and_then(Value::as_str);
        let image = local_path(image.ok_or_else(|| format!("task {index} has no `image`"))?);
        let choices = match task.get("annotations").and_then(Value::as_array) {
            Some(annotations) => annotated(annotations),
            None => task.get("choice").map(texts).unwrap_or_default(),
        };
        match choices.as_slice() {
            [] => labels.extend(predicted(task, image)),
            [class] => labels.push(Label::new(image, class)),
            several => {
                let classes = several.join(", ");
                return Err(format!("{image} has more than one class: {classes}"));
            }
        }
    }
    Ok(labels)
}

/// The choices of annotations that were not cancelled, each once.
fn annotated(annotations: &[Value]) -> Vec<String> {
    let cancelled =
        |annotation: &Value| annotation.get("was_cancelled").and_then(Value::as_bool) == Some(true);
    let mut choices: Vec<String> = annotations
        .iter()
        .filter(|annotation| !cancelled(annotation))
        .flat_map(choices_of)
        .collect();
    choices.sort();
    choices.dedup();
    choices
}

/// The choices of an annotation or a prediction.
fn choices_of(annotation: &Value) -> Vec<String> {
    let results = annotation.get("result").and_then(Value::as_array);
    let choices = results.into_iter().flatten();
    choices
        .filter_map(|result| result.pointer("/value/choices"))
        .flat_map(texts)
        .collect()
}

/// What a model said about an image that nobody has annotated.
fn predicted(task: &Value, image: &str) -> Option<Label> {
    let prediction = task.get("predictions")?.as_array()?.first()?;
    Some(Label {
        confidence: Some(prediction.get("score")?.as_f64()?),
        ..Label::new(image, choices_of(prediction).first()?)
    })
}

/// One text, a list of them, or an object with such a list.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(values) => {
            let texts = values.iter().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        }
        Value::Object(object) => object.get("choices").map(texts).unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// The path on the machine that the images came from: behind `?d=` of local files, without the
/// project of uploaded ones.
fn local_path(image: &str) -> &str {
    if let Some((_, path)) = image.split_once("?d=") {
        return path;
    }
    let uploaded = image.strip_prefix("/data/upload/");
    let name = uploaded.and_then(|rest| rest.split_once('/'));
    name.map_or(image, |(_, name)| name)
}

/// Tasks for a labelling interface with choices called `class` of an image called `image`: with
/// an annotation each, or a pre-annotation where the class is a prediction.
pub(crate) fn tasks(labels: &[Label]) -> Value {
    let task = |label: &Label| {
        let result = json!([{
            "from_name": "class",
            "to_name": "image",
            "type": "choices",
            "value": {"choices": [label.class]},
        }]);
        let data = json!({"image": label.image});
        match label.confidence {
            None => json!({"data": data, "annotations": [{"result": result}]}),
            Some(score) => json!({
                "data": data,
                "predictions": [{"model_version": "simclr", "score": score, "result": result}],
            }),
        }
    };
    labels.iter().map(task).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_in_both_forms_are_read() {
        let choice = |class: &str| json!([{"type": "choices", "value": {"choices": [class]}}]);
        let whole = json!([
            {"data": {"image": "/data/upload/3/0f2a-a.png"}, "annotations": [
                {"was_cancelled": true, "result": []},
                {"result": choice("soupy")},
            ]},
            {"data": {"image": "/data/local-files/?d=cut/tiles/b.png"}, "annotations": [
                {"result": choice("none")},
            ]},
            {"data": {"image": "c.png"}, "annotations": []},
            {"data": {"image": "d.png"}, "annotations": [], "predictions": [
                {"score": 0.75, "result": choice("none")},
            ]},
        ]);
        let predicted = Label {
            confidence: Some(0.75),
            ..Label::new("d.png", "none")
        };
        let expected = [
            Label::new("0f2a-a.png", "soupy"),
            Label::new("cut/tiles/b.png", "none"),
            predicted,
        ];
        assert_eq!(read(&whole).unwrap(), expected);
        let small = json!([{"id": 1, "image": "a.png", "choice": "soupy"}]);
        assert_eq!(read(&small).unwrap(), [Label::new("a.png", "soupy")]);
        let two = json!([{"image": "a.png", "choice": {"choices": ["soupy", "none"]}}]);
        assert!(read(&two).unwrap_err().contains("more than one class"));
        assert!(read(&json!({"tasks": []})).is_err());
    }
}
