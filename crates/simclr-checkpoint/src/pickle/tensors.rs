//! The tensors in an object that a pickle describes, named by their paths through it.

use std::collections::{BTreeMap, HashSet};

use super::node::{Node, NodeId, Object, Pickle};
use super::pickled_module::PickledModule;
use super::pickled_tensor::PickledTensor;
use crate::element::ElementType;

/// Longest names, and most tensors: far more than any network has, and few enough for memory.
const LONGEST_NAME: usize = 1 << 10;
const MOST_TENSORS: usize = 1 << 17;

/// Attributes of a module whose keys continue the module's own name, as in its `state_dict()`.
const MODULE_ATTRIBUTES: [&str; 3] = ["_parameters", "_buffers", "_modules"];

/// The names of a layer's parameters and statistics.
const LEAVES: [&str; 4] = ["weight", "bias", "running_mean", "running_var"];

/// Calls that wrap a call, or a tensor, in their first argument.
const WRAPPERS: [&str; 2] = ["_rebuild_parameter", "_rebuild_parameter_with_state"];

/// Tensors and modules, by their names.
pub(super) type Found = (
    BTreeMap<String, PickledTensor>,
    BTreeMap<String, PickledModule>,
);

/// All tensors and modules, by the keys, positions and attributes on the way to them, with dots
/// between them.
pub(super) fn find(pickle: &Pickle) -> Result<Found, String> {
    let (mut tensors, mut modules) = (BTreeMap::new(), BTreeMap::new());
    let mut seen = HashSet::new();
    let mut ahead = vec![(pickle.root, String::new())];
    while let Some((id, path)) = ahead.pop() {
        let is_parameter = LEAVES.iter().any(|leaf| path.ends_with(leaf));
        let unread = || unread(pickle, id).filter(|_| is_parameter);
        if let Some(tensor) = tensor(pickle, id).or_else(unread) {
            tensors.insert(path, tensor);
            if tensors.len() > MOST_TENSORS {
                return Err(format!("more than {MOST_TENSORS} tensors"));
            }
        } else if seen.insert(id) {
            // The last one is looked at first.
            let children = children(pickle, id, &path).into_iter().rev();
            ahead.extend(children.filter(|(_, path)| path.len() <= LONGEST_NAME));
            if let Some(module) =
                PickledModule::of(pickle, id).filter(|_| modules.len() < MOST_TENSORS)
            {
                modules.insert(path, module);
            }
        }
    }
    Ok((tensors, modules))
}

/// What an object refers to, with its path.
fn children(pickle: &Pickle, id: NodeId, path: &str) -> Vec<(NodeId, String)> {
    let below = |name: &str| match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    let items = |items: &[(NodeId, NodeId)]| -> Vec<(NodeId, String)> {
        let named = items
            .iter()
            .filter(|(_, value)| may_hold_tensors(pickle, *value));
        let child = |&(key, value): &(NodeId, NodeId)| match pickle.node(key) {
            Node::Text(name) if name.len() <= LONGEST_NAME => Some((value, below(name))),
            Node::Integer(number) => Some((value, below(&number.to_string()))),
            _ => None,
        };
        named.filter_map(child).collect()
    };
    let elements = |elements: &[NodeId]| -> Vec<(NodeId, String)> {
        let numbered = elements.iter().enumerate();
        let wanted = numbered.filter(|(_, value)| may_hold_tensors(pickle, **value));
        wanted
            .map(|(number, value)| (*value, below(&number.to_string())))
            .collect()
    };
    match pickle.node(id) {
        Node::Sequence(sequence) => elements(sequence),
        Node::Dictionary(dictionary) => items(dictionary),
        Node::Object(object) => {
            let state = object.state.map(|state| pickle.node(state));
            let state = match state {
                Some(Node::Dictionary(state)) => state.as_slice(),
                _ => &[],
            };
            let is_module_attribute = |(key, _): &(NodeId, NodeId)| {
                let name = pickle.text(*key);
                name.is_some_and(|name| MODULE_ATTRIBUTES.contains(&name))
            };
            let (of_module, others): (Vec<_>, Vec<_>) =
                state.iter().copied().partition(is_module_attribute);
            let of_module = of_module.into_iter();
            let mut children: Vec<_> = of_module
                .map(|(_, value)| (value, path.to_owned()))
                .collect();
            children.extend(items(&others));
            children.extend(items(&object.items));
            children.extend(elements(&object.elements));
            children
        }
        _ => Vec::new(),
    }
}

/// Saves naming what is certainly none.
fn may_hold_tensors(pickle: &Pickle, id: NodeId) -> bool {
    !matches!(
        pickle.node(id),
        Node::Opaque
            | Node::Integer(_)
            | Node::Real(_)
            | Node::Text(_)
            | Node::Global(..)
            | Node::Persistent(_)
    )
}

/// The tensor that a recorded call would build.
fn tensor(pickle: &Pickle, id: NodeId) -> Option<PickledTensor> {
    let Node::Object(object) = pickle.node(id) else {
        return None;
    };
    let mut name = function(pickle, object.class)?;
    let mut arguments = pickle.sequence(object.arguments)?;
    // `Parameter`s, and tensors of a class of its own.
    if WRAPPERS.contains(&name) {
        let Node::Object(inner) = pickle.node(*arguments.first()?) else {
            return None;
        };
        let Object {
            class,
            arguments: of_inner,
            ..
        } = &**inner;
        (name, arguments) = (function(pickle, *class)?, pickle.sequence(*of_inner)?);
    }
    if name == "_rebuild_from_type_v2" {
        let [inner, _class, of_inner, ..] = arguments else {
            return None;
        };
        (name, arguments) = (function(pickle, *inner)?, pickle.sequence(*of_inner)?);
    }
    let [storage, offset, shape, strides, rest @ ..] = arguments else {
        return None;
    };
    let Node::Persistent(storage) = pickle.node(*storage) else {
        return None;
    };
    let [_kind, class, key, ..] = pickle.sequence(*storage)? else {
        return None;
    };
    // Further arguments are requires-grad, hooks, in version 3 the type, and the metadata.
    let (type_name, metadata) = match name {
        "_rebuild_tensor" | "_rebuild_tensor_v2" => (function(pickle, *class)?, rest.get(2)),
        // Quantised: the type, which is read by nobody, says so.
        "_rebuild_qtensor" => (function(pickle, *class)?, None),
        "_rebuild_tensor_v3" => (function(pickle, *rest.get(2)?)?, rest.get(3)),
        _ => return None,
    };
    let (element, type_name) = match metadata.and_then(|id| first_key(pickle, *id)) {
        // The stored values are not those of the tensor: `neg` stands for the opposite sign.
        Some(key) => (None, format!("{type_name} with `{key}` set")),
        None => (element(type_name), type_name.to_owned()),
    };
    let (shape, strides) = (counts(pickle, *shape)?, counts(pickle, *strides)?);
    (shape.len() == strides.len()).then_some(PickledTensor {
        element,
        type_name,
        shape,
        strides,
        offset: pickle.count(*offset)?,
        storage: pickle.text(*key)?.to_owned(),
    })
}

/// What stands for a tensor, but has no values or keeps them in a way that is not read.
fn unread(pickle: &Pickle, id: NodeId) -> Option<PickledTensor> {
    let Node::Object(object) = pickle.node(id) else {
        return None;
    };
    let arguments = pickle.sequence(object.arguments)?;
    let (type_name, shape) = match pickle.node(object.class) {
        Node::Global(module, name) if name == "_reconstruct" && module.starts_with("numpy") => {
            ("NumPy's ndarray", pickle.sequence(object.state?)?.get(1))
        }
        _ => match function(pickle, object.class)? {
            "_rebuild_meta_tensor_no_storage" => {
                ("the meta device, without values", arguments.get(1))
            }
            "_rebuild_sparse_tensor" => {
                let parts = pickle.sequence(*arguments.get(1)?)?;
                ("sparse layout", parts.get(2))
            }
            _ => return None,
        },
    };
    let mut shape = *shape?;
    // A `torch.Size` of a tuple.
    if let Node::Object(size) = pickle.node(shape) {
        shape = *pickle.sequence(size.arguments)?.first()?;
    }
    Some(PickledTensor {
        element: None,
        type_name: type_name.to_owned(),
        shape: counts(pickle, shape)?,
        strides: Vec::new(),
        offset: 0,
        storage: String::new(),
    })
}

fn counts(pickle: &Pickle, id: NodeId) -> Option<Vec<usize>> {
    let counts = pickle.sequence(id)?.iter();
    counts.map(|count| pickle.count(*count)).collect()
}

/// The first key of a dictionary, if it has one.
fn first_key(pickle: &Pickle, id: NodeId) -> Option<&str> {
    match pickle.node(id) {
        Node::Dictionary(items) => pickle.text(items.first()?.0),
        _ => None,
    }
}

/// The last name of a class or function of PyTorch's.
fn function(pickle: &Pickle, id: NodeId) -> Option<&str> {
    pickle.of_torch(id).map(|(_, name)| name)
}

/// The element type, by the name of a storage's class or of a type.
fn element(name: &str) -> Option<ElementType> {
    Some(match name {
        "FloatStorage" | "float32" => ElementType::F32,
        "DoubleStorage" | "float64" => ElementType::F64,
        "HalfStorage" | "float16" => ElementType::F16,
        "BFloat16Storage" | "bfloat16" => ElementType::BF16,
        "CharStorage" | "int8" => ElementType::I8,
        "ShortStorage" | "int16" => ElementType::I16,
        "IntStorage" | "int32" => ElementType::I32,
        "LongStorage" | "int64" => ElementType::I64,
        "ByteStorage" | "uint8" => ElementType::U8,
        "BoolStorage" | "bool" => ElementType::Bool,
        "uint16" => ElementType::U16,
        "uint32" => ElementType::U32,
        "uint64" => ElementType::U64,
        _ => return None,
    })
}
