//! The object graph of TensorFlow 2: which key holds which variable.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;

use super::proto::{TrackableObject, TrackableObjectGraph};

/// Longest path that is followed, in references.
const DEEPEST: usize = 32;

/// What an object-based checkpoint says about the objects whose values it holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ObjectGraph {
    variables: Vec<SavedVariable>,
    nodes: Vec<TrackableObject>,
}

/// One variable of the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedVariable {
    /// The name of its values in the bundle.
    pub key: String,
    /// The name that it had in the program, for example
    /// `resnet/conv2d_fixed_padding/conv2d/kernel`.
    pub full_name: String,
    /// If it belongs to an optimizer: the position (in [`ObjectGraph::variables`]) of the
    /// variable that it was kept for, and the optimizer's name for it (`Momentum`, `m`, `v`).
    pub slot: Option<(usize, String)>,
}

impl ObjectGraph {
    /// Decodes the serialized graph; the error says what is wrong.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let graph = TrackableObjectGraph::decode(bytes).map_err(|error| error.to_string())?;
        let mut variables = Vec::new();
        let mut first_of_node = Vec::with_capacity(graph.nodes.len());
        for node in &graph.nodes {
            first_of_node.push((variables.len(), node.attributes.len()));
            variables.extend(node.attributes.iter().map(|attribute| SavedVariable {
                key: attribute.checkpoint_key.clone(),
                full_name: attribute.full_name.clone(),
                slot: None,
            }));
        }
        let range_of_node = |id: i32| {
            let id = usize::try_from(id).ok()?;
            let &(start, count) = first_of_node.get(id)?;
            Some(start..start + count)
        };
        for slot in graph.nodes.iter().flat_map(|node| &node.slot_variables) {
            let original = range_of_node(slot.original_variable_node_id);
            let original = original.ok_or("a slot refers to a node that does not exist")?;
            let range = range_of_node(slot.slot_variable_node_id);
            let range = range.ok_or("a slot refers to a node that does not exist")?;
            // A variable, like a slot, is a node with one attribute, its value.
            if let Some(variable) = variables.get_mut(range.start)
                && !range.is_empty()
                && !original.is_empty()
            {
                variable.slot = Some((original.start, slot.slot_name.clone()));
            }
        }
        Ok(Self {
            variables,
            nodes: graph.nodes,
        })
    }

    /// All variables, in the graph's order.
    pub fn variables(&self) -> &[SavedVariable] {
        &self.variables
    }

    /// What optimizers keep: its key, the key of the variable that it was kept for, and the
    /// optimizer's word for it.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.variables.iter().filter_map(|variable| {
            let (position, word) = variable.slot.as_ref()?;
            let original = self.variables.get(*position)?;
            Some((variable.key.as_str(), original.key.as_str(), word.as_str()))
        })
    }

    /// What objects call the variables that they refer to: the name there, and the key.
    pub(crate) fn references(&self) -> impl Iterator<Item = (&str, &str)> {
        let references = self.nodes.iter().flat_map(|node| &node.children);
        references.flat_map(|child| {
            let node = usize::try_from(child.node_id).ok();
            let node = node.and_then(|id| self.nodes.get(id)).into_iter();
            let attributes = node.flat_map(|node| &node.attributes);
            attributes
                .map(|attribute| (child.local_name.as_str(), attribute.checkpoint_key.as_str()))
        })
    }

    /// Paths to variables, by their keys: from every object that is somewhere called one of
    /// `starts`, along references whose names `follow` allows. An object may be reached in many
    /// ways (a list of all variables is usual), of which the key tells only one.
    ///
    /// A path has the names of the references, the first included, with slashes between them.
    /// Of several allowed paths to an object it is the first one in the order of `starts` and
    /// of the graph.
    pub(crate) fn paths(
        &self,
        starts: &[&str],
        follow: impl Fn(&str) -> bool,
    ) -> BTreeMap<&str, String> {
        let mut paths = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for start in starts {
            let references = self.nodes.iter().flat_map(|node| &node.children);
            let mut ahead: Vec<(i32, String, usize)> = references
                .filter(|child| child.local_name == *start)
                .map(|child| (child.node_id, child.local_name.clone(), 1))
                .collect();
            ahead.reverse();
            while let Some((id, path, depth)) = ahead.pop() {
                let node = usize::try_from(id).ok().and_then(|id| self.nodes.get(id));
                let Some(node) = node.filter(|_| seen.insert(id)) else {
                    continue;
                };
                for attribute in &node.attributes {
                    paths.insert(attribute.checkpoint_key.as_str(), path.clone());
                }
                if depth < DEEPEST {
                    let allowed = node.children.iter().rev();
                    let allowed = allowed.filter(|child| follow(&child.local_name));
                    ahead.extend(allowed.map(|child| {
                        let path = format!("{path}/{}", child.local_name);
                        (child.node_id, path, depth + 1)
                    }));
                }
            }
        }
        paths
    }
}
