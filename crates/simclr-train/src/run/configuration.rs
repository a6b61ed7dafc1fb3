//! Is this the run that the folder was made for?

use std::collections::BTreeMap;

use serde_json::Value;

/// The leaves in which two JSON documents differ, one line each: the field's
/// path, what is recorded and what is wanted now. Empty if they are the same. A field that is
/// `null` or an empty list is as one that is not there.
pub(crate) fn differences(recorded: &Value, now: &Value) -> Vec<String> {
    let (recorded, now) = (leaves(recorded), leaves(now));
    let mut paths: Vec<&String> = recorded.keys().chain(now.keys()).collect();
    paths.sort();
    paths.dedup();
    paths
        .into_iter()
        .filter(|path| recorded.get(*path) != now.get(*path))
        .map(|path| {
            let show = |leaf: Option<&&Value>| leaf.map_or("absent".into(), ToString::to_string);
            format!(
                "{path} was {}, is {}",
                show(recorded.get(path)),
                show(now.get(path))
            )
        })
        .collect()
}

fn leaves(document: &Value) -> BTreeMap<String, &Value> {
    let mut found = BTreeMap::new();
    collect_leaves(String::new(), document, &mut found);
    found
}

fn collect_leaves<'a>(path: String, value: &'a Value, found: &mut BTreeMap<String, &'a Value>) {
    let below = |key: &str| match path.as_str() {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                collect_leaves(below(key), value, found);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                collect_leaves(below(&index.to_string()), value, found);
            }
        }
        Value::Null => {}
        leaf => {
            let path = if path.is_empty() {
                "the whole".into()
            } else {
                path
            };
            found.insert(path, leaf);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn equal_documents_do_not_differ_whatever_the_order_of_their_fields() {
        let a = json!({"seed": 1, "policy": {"size": 32, "blur": null}});
        let b = json!({"policy": {"size": 32}, "seed": 1, "freeze": []});
        assert_eq!(differences(&a, &b), Vec::<String>::new());
    }

    #[test]
    fn every_differing_leaf_is_named_with_both_values() {
        let recorded = json!({
            "lars": {"rate": 0.3, "exclude": ["bias"]}, "epochs": 3, "freeze": [], "old": {},
        });
        let now = json!({
            "lars": {"rate": 1.0, "exclude": ["bias", "gamma"]}, "epochs": 3, "freeze": [-1],
        });
        assert_eq!(
            differences(&recorded, &now),
            [
                "freeze.0 was absent, is -1",
                "lars.exclude.1 was absent, is \"gamma\"",
                "lars.rate was 0.3, is 1.0",
                "old was {}, is absent",
            ]
        );
    }

    #[test]
    fn documents_of_different_kinds_differ() {
        assert_eq!(
            differences(&json!(3), &json!("3")),
            ["the whole was 3, is \"3\""]
        );
        assert_eq!(
            differences(&json!({"a": {"b": 1}}), &json!({"a": 1})),
            ["a was absent, is 1", "a.b was 1, is absent"]
        );
    }
}
