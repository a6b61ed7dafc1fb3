//! Names of classes that are probably not meant.

use std::collections::BTreeMap;
use std::path::Path;

/// Names of the parts of a split, as folders have them.
const PARTS: [&str; 7] = [
    "train",
    "training",
    "val",
    "valid",
    "validation",
    "test",
    "testing",
];

/// Warns of classes that are probably one, or no classes but the parts of a split.
pub(crate) fn warn_of_class_names(source: &Path, names: &[String]) {
    for doubt in doubts(names) {
        tracing::warn!(source = %source.display(), "{doubt}");
    }
}

fn doubts(names: &[String]) -> Vec<String> {
    let mut doubts = Vec::new();
    let mut first = BTreeMap::new();
    for name in names {
        if let Some(other) = first.insert(name.trim().to_lowercase(), name) {
            doubts.push(format!(
                "the classes '{other}' and '{name}' differ in capitals or spaces alone"
            ));
        }
    }
    if names.len() > 1 && first.keys().all(|name| PARTS.contains(&name.as_str())) {
        doubts.push(format!(
            "the classes are {}, which look like parts of a split: give one of these folders if \
             the classes are in it",
            names.join(", ")
        ));
    }
    doubts
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_that_differ_in_capitals_and_parts_of_a_split_are_doubted() {
        let doubts = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            super::doubts(&names).join("; ")
        };
        assert!(doubts(&["Crack", "crack ", "none"]).contains("'Crack' and 'crack '"));
        assert!(doubts(&["Test", "train"]).contains("parts of a split"));
        assert_eq!(doubts(&["test", "crack"]), "");
        assert_eq!(doubts(&["train"]), "");
        assert_eq!(doubts(&["crack", "none"]), "");
    }
}
