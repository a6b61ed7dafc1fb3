//! What a pickle describes.

/// The position of a node in [`Pickle::nodes`]. Objects refer to each other, also in circles.
pub(super) type NodeId = u32;

/// An object described by a pickle, and all that it refers to.
pub(super) struct Pickle {
    pub(super) nodes: Vec<Node>,
    pub(super) root: NodeId,
}

pub(super) enum Node {
    /// Of no interest here: `None`, bytes, sets.
    Opaque,
    /// Also truth values, as in Python.
    Integer(i64),
    Real(f64),
    Text(String),
    /// A class or function, by module and name.
    Global(String, String),
    /// A list or a tuple.
    Sequence(Vec<NodeId>),
    /// A dictionary, an `OrderedDict` or a `defaultdict`.
    Dictionary(Vec<(NodeId, NodeId)>),
    /// What a call of a class or function with these arguments would give.
    Object(Box<Object>),
    /// What the archive keeps beside the pickle: a tensor's storage.
    Persistent(NodeId),
}

/// An object of any class.
#[derive(Default)]
pub(super) struct Object {
    pub(super) class: NodeId,
    pub(super) arguments: NodeId,
    /// Its attributes, usually a dictionary.
    pub(super) state: Option<NodeId>,
    /// If its class extends a dictionary.
    pub(super) items: Vec<(NodeId, NodeId)>,
    /// If its class extends a list.
    pub(super) elements: Vec<NodeId>,
}

impl Pickle {
    pub(super) fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(id as usize).unwrap_or(&Node::Opaque)
    }

    pub(super) fn text(&self, id: NodeId) -> Option<&str> {
        match self.node(id) {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn sequence(&self, id: NodeId) -> Option<&[NodeId]> {
        match self.node(id) {
            Node::Sequence(elements) => Some(elements),
            _ => None,
        }
    }

    /// The names of the Python module and of the class or function, if it is one of PyTorch's.
    pub(super) fn of_torch(&self, id: NodeId) -> Option<(&str, &str)> {
        match self.node(id) {
            Node::Global(module, name) if module == "torch" || module.starts_with("torch.") => {
                Some((module, name))
            }
            _ => None,
        }
    }

    /// A number that counts something.
    pub(super) fn count(&self, id: NodeId) -> Option<usize> {
        match self.node(id) {
            Node::Integer(value) => usize::try_from(*value).ok(),
            _ => None,
        }
    }
}
