//! Label Studio's tasks.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::json_file::score;
use crate::label::Label;

/// The control of classes in the labelling interface that [`tasks`] are for.
const CONTROL: &str = "class";
/// What JSON-MIN calls an image's class: it names answers by their controls, and `choice` is that
/// of Label Studio's own templates.
const CLASS: [&str; 2] = [CONTROL, "choice"];
/// What else JSON-MIN may say of a task in words.
const ABOUT_TASKS: [&str; 4] = ["image", "annotator", "created_at", "updated_at"];

/// Reads the export (JSON, or JSON-MIN) in the file `path`. Tasks without a choice are passed over, and
/// with a warning those whose only choices are of predictions without a score.
pub(crate) fn read(tasks: &Value, path: &Path) -> Result<Vec<Label>, String> {
    let tasks = tasks.as_array();
    let tasks = tasks.ok_or("not an export of Label Studio: expected a list of tasks")?;
    let (mut labels, mut known, mut open) = (Vec::new(), BTreeSet::new(), Vec::new());
    let mut without_score = Vec::new();
    for (index, task) in tasks.iter().enumerate() {
        let image = image_of(task).map_err(|reason| format!("task {index}{reason}"))?;
        let annotations = task.get("annotations").and_then(Value::as_array);
        let choices = match annotations {
            Some(annotations) => annotated(annotations),
            None => named(task),
        };
        if let Some(class) = single(&image, choices)? {
            known.extend(other_texts(task));
            labels.push(Label::new(image, class));
        } else if let Some((class, score)) = predicted(task, &image)? {
            match score {
                None => without_score.push(image),
                confidence => labels.push(Label {
                    confidence,
                    ..Label::new(image, class)
                }),
            }
        } else if task.get("data").is_none() {
            open.push((image, other_texts(task)));
        }
    }
    for (image, others) in open {
        check_open(&image, others.difference(&known))?;
    }
    if let Some(first) = without_score.first() {
        tracing::warn!(
            file = %path.display(),
            "{} predictions have no score, without which they would be taken for a person's answers; \
             their images, {first} first, are passed over",
            without_score.len(),
        );
    }
    Ok(labels)
}

/// The path of a task's image; or what is wrong with the task.
fn image_of(task: &Value) -> Result<String, String> {
    let image = task.pointer("/data/image").or_else(|| task.get("image"));
    let image = image.and_then(Value::as_str).ok_or(" has no `image`")?;
    local_path(image).map_err(|reason| format!(": {reason}"))
}

/// The only one of an image's classes, if there is any.
fn single(image: &str, mut classes: Vec<String>) -> Result<Option<String>, String> {
    classes.sort();
    classes.dedup();
    if classes.len() > 1 {
        let classes = classes.join(", ");
        return Err(format!("{image} has more than one class: {classes}"));
    }
    Ok(classes.pop())
}

/// The choices of annotations that were not cancelled.
fn annotated(annotations: &[Value]) -> Vec<String> {
    let cancelled =
        |annotation: &Value| annotation.get("was_cancelled").and_then(Value::as_bool) == Some(true);
    let annotations = annotations.iter();
    let valid = annotations.filter(|annotation| !cancelled(annotation));
    valid.flat_map(choices_of).collect()
}

/// The classes of a task of JSON-MIN. Columns of its data stand there too, also empty ones.
fn named(task: &Value) -> Vec<String> {
    let values = CLASS.iter().filter_map(|key| task.get(key));
    let classes = values.flat_map(texts);
    classes.filter(|class| !class.is_empty()).collect()
}

/// The other keys of a task of JSON-MIN with texts: other controls, and columns of its data.
fn other_texts(task: &Value) -> BTreeSet<&str> {
    let entries = task.as_object().into_iter().flatten();
    let others = entries.filter(|(key, value)| {
        let key = key.as_str();
        let is_text = texts(value).iter().any(|text| !text.is_empty());
        is_text && !CLASS.contains(&key) && !ABOUT_TASKS.contains(&key)
    });
    others.map(|(key, _)| key.as_str()).collect()
}

/// Fails if an image without a class has texts that stand beside no class elsewhere: one of them may be
/// its class by the name of another control.
fn check_open<'k>(image: &str, texts: impl Iterator<Item = &'k &'k str>) -> Result<(), String> {
    let keys: Vec<String> = texts.map(|key| format!("`{key}`")).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let [control, usual] = CLASS;
    Err(format!(
        "{image} has neither `{control}` nor `{usual}`, but {}; if that is its class, call it \
         `{control}`, and if not, remove the image",
        keys.join(", ")
    ))
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

/// The class of an image that nobody has annotated, by the first model that says how sure it is, and its
/// score; or by the first one, where none does.
fn predicted(task: &Value, image: &str) -> Result<Option<(String, Option<f64>)>, String> {
    let predictions = task.get("predictions").and_then(Value::as_array);
    let mut first = None;
    for prediction in predictions.into_iter().flatten() {
        let Some(class) = single(image, choices_of(prediction))? else {
            continue;
        };
        let score = score(prediction).map_err(|reason| format!("{image}: {reason}"))?;
        if score.is_some() {
            return Ok(Some((class, score)));
        }
        first.get_or_insert((class, None));
    }
    Ok(first)
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
            "from_name": CONTROL,
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

    fn read(tasks: &Value) -> Result<Vec<Label>, String> {
        super::read(tasks, Path::new("export.json"))
    }

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
    fn a_short_export_names_classes_by_their_control() {
        // Other columns of the tasks' data stand there too, and so do answers of other controls.
        let small = json!([
            {"id": 1, "image": "/data/local-files/?d=tiles/a.png", "class": "soupy", "hole": "A",
             "annotator": 1, "created_at": "2026-01-01T00:00:00Z", "lead_time": 1.5},
            {"id": 2, "image": "b.png", "choice": "none", "class": "", "annotator": "me"},
            {"id": 3, "image": "c.png", "hole": "A", "updated_at": "2026-01-01T00:00:00Z"},
        ]);
        let expected = [
            Label::new("tiles/a.png", "soupy"),
            Label::new("b.png", "none"),
        ];
        assert_eq!(read(&small).unwrap(), expected);
        for (other, expected) in [
            (
                json!({"image": "b.png", "kind": "none", "hole": "A"}),
                "b.png has neither `class` nor `choice`, but `kind`; ",
            ),
            (
                json!({"image": "b.png", "kind": {"choices": ["none", "x"]}}),
                "but `kind`; ",
            ),
            (
                json!({"image": "b.png", "class": "soupy", "choice": "none"}),
                "b.png has more than one class: none, soupy",
            ),
        ] {
            let error = read(&json!([small[0], other])).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_prediction_is_read_with_its_score_or_passed_over() {
        let choice = |class: &str| json!([{"value": {"choices": [class]}}]);
        let tasks =
            |predictions: Value| json!([{"data": {"image": "a.png"}, "predictions": predictions}]);
        for score in [json!({}), json!({"score": null})] {
            let mut without = score;
            without["result"] = choice("x");
            assert_eq!(read(&tasks(json!([without]))).unwrap(), []);
            // Another model says how sure it is.
            let sure = json!({"score": 0.25, "result": choice("y")});
            let found = read(&tasks(json!([without, sure]))).unwrap();
            assert_eq!(
                found,
                [Label {
                    confidence: Some(0.25),
                    ..Label::new("a.png", "y")
                }]
            );
            // What people say about other images is there.
            let mut both = tasks(json!([without]));
            let answer =
                json!({"data": {"image": "b.png"}, "annotations": [{"result": choice("z")}]});
            both.as_array_mut().unwrap().push(answer);
            assert_eq!(read(&both).unwrap(), [Label::new("b.png", "z")]);
        }
        let text = json!([{"score": "0.5", "result": choice("x")}]);
        let error = read(&tasks(text)).unwrap_err();
        assert_eq!(error, "a.png: expected a number as `score`, found \"0.5\"");
        let two = json!([{"score": 0.5, "result": [choice("x")[0], choice("y")[0]]}]);
        let error = read(&tasks(two)).unwrap_err();
        assert!(error.contains("more than one class: x, y"), "{error}");
        let second = json!([{"score": 0.5, "result": []}, {"score": 0.25, "result": choice("x")}]);
        assert_eq!(read(&tasks(second)).unwrap()[0].confidence, Some(0.25));
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
