//! Names that are keys of dictionaries: checkpoints whose variables were given by name, as are
//! those converted from TensorFlow 1 (`tf.train.Checkpoint(vars={name: variable})`).

use std::collections::BTreeMap;

use super::location::collection;
use super::object_path::{ATTRIBUTE, SLOT};
use crate::tensorflow::ObjectGraph;

/// What the names of the original's variables begin with.
const ROOTS: [&str; 4] = [
    "ema_model",
    "base_model",
    "head_contrastive",
    "head_supervised",
];

/// The names of variables in dictionaries, flat or nested, wherever in the graph these are; by
/// the variables' keys, which need not go through the dictionary.
pub(super) fn names(graph: &ObjectGraph) -> BTreeMap<&str, String> {
    let mut names = graph.paths(&ROOTS, |_| true);
    let references = graph.references().filter(|(name, _)| name.contains('/'));
    names.extend(references.map(|(name, key)| (key, from_root(name).to_owned())));
    let slots = graph.slots().filter_map(|(key, original, word)| {
        let name = names.get(original)?;
        collection(word)?;
        Some((key, format!("{name}/{word}")))
    });
    let slots: Vec<_> = slots.collect();
    names.extend(slots);
    names
}

/// The name in a key: TensorFlow writes a slash in a name as `.S` and a dot as two.
pub(super) fn name_of_key(key: &str) -> Option<String> {
    let path = key.strip_suffix(ATTRIBUTE)?;
    let (path, slot) = path.split_once(SLOT).unwrap_or((path, ""));
    let mut name = String::with_capacity(path.len());
    let mut characters = path.chars();
    while let Some(character) = characters.next() {
        name.push(match character {
            '.' => match characters.next()? {
                'S' => '/',
                '.' => '.',
                _ => return None,
            },
            other => other,
        });
    }
    let name = from_root(&name);
    Some(match slot.rsplit('/').next() {
        None | Some("") => name.to_owned(),
        Some(word) => format!("{name}/{word}"),
    })
}

/// Without the attributes in front, and without the number of an output (`:0`) behind.
fn from_root(name: &str) -> &str {
    let name = name.strip_suffix(":0").unwrap_or(name);
    let starts = name.match_indices('/').map(|(slash, _)| slash + 1);
    let is_root = |start: &usize| {
        let first = name.get(*start..).and_then(|rest| rest.split('/').next());
        first.is_some_and(|first| ROOTS.contains(&first))
    };
    let start = std::iter::once(0).chain(starts).find(is_root);
    start.and_then(|start| name.get(start..)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_unescaped() {
        let name = |key: &str| name_of_key(&format!("{key}/.ATTRIBUTES/VARIABLE_VALUE"));
        for (key, expected) in [
            (
                "vars/base_model.Sconv2d.Skernel",
                "base_model/conv2d/kernel",
            ),
            (
                "a/vars/base_model/conv2d/kernel",
                "base_model/conv2d/kernel",
            ),
            ("base_model.Sconv2d.Skernel", "base_model/conv2d/kernel"),
            ("w/ema_model.Sbase_model.Sx", "ema_model/base_model/x"),
            ("w/resnet.Sconv2d.Skernel:0", "w/resnet/conv2d/kernel"),
            ("vars/a..b.Sc", "vars/a.b/c"),
            (
                "vars/base_model.Sx/.OPTIMIZER_SLOT/optimizer/Momentum",
                "base_model/x/Momentum",
            ),
        ] {
            assert_eq!(name(key).as_deref(), Some(expected), "{key}");
        }
        assert_eq!(name("vars/a.b"), None);
        assert_eq!(name_of_key("base_model/conv2d/kernel"), None);
    }
}
