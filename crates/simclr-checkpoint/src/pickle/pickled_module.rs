//! A module of a file of PyTorch's.

use std::collections::BTreeMap;

use super::node::{Node, NodeId, Pickle};

/// What decides, besides its tensors, what a module computes.
const SETTINGS: [&str; 7] = [
    "kernel_size",
    "stride",
    "padding",
    "dilation",
    "padding_mode",
    "ceil_mode",
    "eps",
];

/// A module of PyTorch's that was saved as a whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PickledModule {
    /// Its class, without the name of Python's module.
    pub(crate) class: String,
    pub(crate) is_activation: bool,
    /// Its settings as Python writes them; one value if all axes have the same.
    pub(crate) settings: BTreeMap<&'static str, String>,
}

impl PickledModule {
    /// What an object is, if it is a module.
    pub(super) fn of(pickle: &Pickle, id: NodeId) -> Option<Self> {
        let Node::Object(object) = pickle.node(id) else {
            return None;
        };
        let Node::Dictionary(state) = pickle.node(object.state?) else {
            return None;
        };
        let (python, class) = pickle.of_torch(object.class)?;
        let setting = |&(key, value): &(NodeId, NodeId)| {
            let key = pickle.text(key)?;
            let name = SETTINGS.into_iter().find(|name| *name == key)?;
            Some((name, text(pickle, value)?))
        };
        Some(Self {
            class: class.to_owned(),
            is_activation: python == "torch.nn.modules.activation",
            settings: state.iter().filter_map(setting).collect(),
        })
    }
}

fn text(pickle: &Pickle, id: NodeId) -> Option<String> {
    let one = |id: &NodeId| match pickle.node(*id) {
        Node::Integer(value) => Some(value.to_string()),
        Node::Real(value) => Some(value.to_string()),
        Node::Text(text) => Some(text.clone()),
        _ => None,
    };
    let Some(axes) = pickle.sequence(id) else {
        return one(&id);
    };
    let axes: Vec<String> = axes.iter().map(one).collect::<Option<_>>()?;
    match axes.split_first() {
        Some((first, rest)) if rest.iter().all(|other| other == first) => Some(first.clone()),
        _ => Some(axes.join("x")),
    }
}
