//! The object graph of TensorFlow 2: which key holds which variable.

use prost::Message;

use super::proto::TrackableObjectGraph;

/// What an object-based checkpoint says about the objects whose values it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectGraph {
    variables: Vec<SavedVariable>,
}

/// One variable of the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedVariable {
    /// The name of its values in the bundle.
    pub key: String,
    /// The name that it had in the program, for example
    /// `resnet/conv2d_fixed_padding/conv2d/kernel`.
    pub full_name: String,
    /// If it belongs to an optimizer: the key of the variable that it was kept for, and the
    /// optimizer's name for it (`Momentum`, `m`, `v`).
    pub slot: Option<(String, String)>,
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
            let key = variables
                .get(original.start)
                .filter(|_| !original.is_empty());
            let Some(key) = key.map(|variable| variable.key.clone()) else {
                continue;
            };
            // A slot is a node with one attribute, its value.
            if let Some(variable) = variables.get_mut(range.start).filter(|_| !range.is_empty()) {
                variable.slot = Some((key, slot.slot_name.clone()));
            }
        }
        Ok(Self { variables })
    }

    /// All variables, in the graph's order.
    pub fn variables(&self) -> &[SavedVariable] {
        &self.variables
    }
}
