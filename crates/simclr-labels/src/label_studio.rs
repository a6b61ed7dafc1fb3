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
        let image = image.ok_or_else(|| format!("task {index} has no `image`"))?;
        let image = local_path(image).map_err(|reason| format!("task {index}: {reason}"))?;
        let choices = match task.get("annotations").and_then(Value::as_array) {
            Some(annotations) => annotated(annotations),
            None => task.get("choice").map(texts).unwrap_or_default(),
        };
        match choices.as_slice() {
            [] => labels.extend(predicted(task, &image)),
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
/// project of uploaded ones, which lie in a folder of their own. Both are parts of URLs, with or
/// without a machine's name before them; anything else without one is a path already.
fn local_path(image: &str) -> Result<String, String> {
    const UPLOADED: &str = "/data/upload/";
    let unexpected = || {
        format!(
            "{image} is not on this machine; expected a path, `/data/local-files/?d=PATH` or \
             `{UPLOADED}PROJECT/FILE`"
        )
    };
    let (is_url, place) = match image.split_once("://") {
        Some((_, rest)) => (true, rest.find('/').map_or("", |start| &rest[start..])),
        None => (false, image),
    };
    if let Some((_, path)) = place.split_once("?d=") {
        return percent_decoded(path).ok_or_else(unexpected);
    }
    let uploaded = match is_url {
        // The server may have a path of its own.
        true => place.split_once(UPLOADED).map(|(_, rest)| rest),
        false => place.strip_prefix(UPLOADED),
    };
    match uploaded.and_then(|rest| rest.split_once('/')) {
        Some((_, file)) => percent_decoded(file).ok_or_else(unexpected),
        None if is_url => Err(unexpected()),
        None => Ok(image.to_owned()),
    }
}

/// A part of a URL with the bytes that `%20` and the like stand for; nothing if that is no text.
fn percent_decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| !digits.starts_with('+'));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend(&part.as_bytes()[2..]);
            }
            // A per cent sign that stands for itself.
            None => {
                bytes.push(b'%');
                bytes.extend(part.as_bytes());
            }
        }
    }
    String::from_utf8(bytes).ok()
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

    #[test]
    fn paths_are_those_on_the_machine_that_the_images_came_from() {
        for (image, expected) in [
            ("a b%20c.png", "a b%20c.png"),
            ("/data/local-files/?d=set/im%20g.jpg", "set/im g.jpg"),
            ("/data/local-files/?d=R%C3%BCgen/50%.jpg", "Rügen/50%.jpg"),
            (
                "http://localhost:8080/data/upload/1/0f2a-a%20b.png",
                "0f2a-a b.png",
            ),
            (
                "https://host/studio/data/upload/12/0f2a-a.png",
                "0f2a-a.png",
            ),
            ("https://host/data/local-files/?d=cut/b.png", "cut/b.png"),
        ] {
            assert_eq!(local_path(image).as_deref(), Ok(expected));
        }
        for image in [
            "https://host/cores/a.png",
            "s3://bucket/a.png",
            "http://host",
            "/data/local-files/?d=%ff.png",
        ] {
            let reason = local_path(image).unwrap_err();
            assert!(
                reason.starts_with(&format!("{image} is not on this machine")),
                "{reason}"
            );
        }
        let error = read(&json!([{"image": "s3://bucket/a.png", "choice": "x"}])).unwrap_err();
        assert!(
            error.starts_with("task 0: s3://bucket/a.png is not"),
            "{error}"
        );
    }
}
