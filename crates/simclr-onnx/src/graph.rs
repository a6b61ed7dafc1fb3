//! A graph under construction: its nodes in their order, and its constants.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Tensor, Var};
use simclr_model::Parameter;

use crate::error::{Error, Result};
use crate::proto;

/// `TensorProto.DataType`.
const FLOAT: i32 = 1;
const INT64: i32 = 7;

/// `AttributeProto.AttributeType`.
const ATTRIBUTE_FLOAT: i32 = 1;
const ATTRIBUTE_INT: i32 = 2;
const ATTRIBUTE_INTS: i32 = 7;

/// How a parameter's axes are arranged in the file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `[height, width, in, out]` here, `[out, in, height, width]` there.
    Convolution,
    /// The same.
    Same,
}

/// Nodes, constants and the parameters that constants are made of.
pub(crate) struct Graph<'a> {
    parameters: BTreeMap<&'a str, &'a Var>,
    nodes: Vec<proto::Node>,
    constants: Vec<proto::Tensor>,
    known: BTreeSet<String>,
}

/// An attribute of a node.
pub(crate) fn integers(name: &str, ints: &[usize]) -> proto::Attribute {
    proto::Attribute {
        name: name.to_owned(),
        ints: ints.iter().map(|&value| value as i64).collect(),
        kind: ATTRIBUTE_INTS,
        ..proto::Attribute::default()
    }
}

/// An attribute of a node.
pub(crate) fn integer(name: &str, value: i64) -> proto::Attribute {
    proto::Attribute {
        name: name.to_owned(),
        i: value,
        kind: ATTRIBUTE_INT,
        ..proto::Attribute::default()
    }
}

/// An attribute of a node.
pub(crate) fn float(name: &str, value: f64) -> proto::Attribute {
    proto::Attribute {
        name: name.to_owned(),
        f: value as f32,
        kind: ATTRIBUTE_FLOAT,
        ..proto::Attribute::default()
    }
}

/// A tensor that goes into or out of a graph; a first axis of any length has a name.
pub(crate) fn value(name: &str, sizes: &[usize]) -> proto::ValueInfo {
    let batch = proto::Size::Name("n".to_owned());
    let sizes = sizes.iter().map(|&size| proto::Size::Value(size as i64));
    let dimension = |size| proto::Dimension { size: Some(size) };
    let shape = proto::Shape {
        dim: std::iter::once(batch).chain(sizes).map(dimension).collect(),
    };
    let tensor_type = proto::TensorType {
        elem_type: FLOAT,
        shape: Some(shape),
    };
    proto::ValueInfo {
        name: name.to_owned(),
        r#type: Some(proto::Type {
            tensor_type: Some(tensor_type),
        }),
    }
}

impl<'a> Graph<'a> {
    pub(crate) fn new(parameters: impl IntoIterator<Item = &'a Parameter>) -> Self {
        Self {
            parameters: parameters
                .into_iter()
                .map(|parameter| (parameter.spec.name.as_str(), &parameter.variable))
                .collect(),
            nodes: Vec::new(),
            constants: Vec::new(),
            known: BTreeSet::new(),
        }
    }

    pub(crate) fn has(&self, parameter: &str) -> bool {
        self.parameters.contains_key(parameter)
    }

    /// The sizes of a parameter's axes, as they are here.
    pub(crate) fn shape(&self, parameter: &str) -> Result<&[usize]> {
        Ok(self.variable(parameter)?.dims())
    }

    fn variable(&self, name: &str) -> Result<&'a Var> {
        let missing = || Error::NoParameter {
            name: name.to_owned(),
        };
        self.parameters.get(name).copied().ok_or_else(missing)
    }

    /// Adds a node with one output, whose name it gives back: the node's own.
    pub(crate) fn node(
        &mut self,
        op: &str,
        name: &str,
        inputs: &[&str],
        attributes: Vec<proto::Attribute>,
    ) -> String {
        self.node_with_outputs(op, name, inputs, &[name], attributes);
        name.to_owned()
    }

    pub(crate) fn node_with_outputs(
        &mut self,
        op: &str,
        name: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: Vec<proto::Attribute>,
    ) {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        self.nodes.push(proto::Node {
            input: owned(inputs),
            output: owned(outputs),
            name: name.to_owned(),
            op_type: op.to_owned(),
            attribute: attributes,
        });
    }

    /// Makes a parameter a constant of the graph, under its own name.
    pub(crate) fn parameter(&mut self, name: &str, layout: Layout) -> Result<String> {
        let tensor = self.variable(name)?.as_detached_tensor();
        let tensor = if layout == Layout::Convolution {
            tensor.permute((3, 2, 0, 1))?
        } else {
            tensor
        };
        self.constant(name, &tensor)?;
        Ok(name.to_owned())
    }

    /// Adds a constant, once.
    pub(crate) fn constant(&mut self, name: &str, tensor: &Tensor) -> Result<()> {
        if self.known.insert(name.to_owned()) {
            let values = tensor
                .to_dtype(DType::F32)?
                .flatten_all()?
                .to_vec1::<f32>()?;
            let bytes = values.iter().flat_map(|value| value.to_le_bytes());
            self.constants.push(proto::Tensor {
                dims: tensor.dims().iter().map(|&size| size as i64).collect(),
                data_type: FLOAT,
                name: name.to_owned(),
                raw_data: bytes.collect(),
            });
        }
        Ok(())
    }

    /// Adds a constant of integers, once.
    pub(crate) fn integers_constant(&mut self, name: &str, values: &[usize]) {
        if self.known.insert(name.to_owned()) {
            let bytes = values
                .iter()
                .flat_map(|&value| (value as i64).to_le_bytes());
            self.constants.push(proto::Tensor {
                dims: vec![values.len() as i64],
                data_type: INT64,
                name: name.to_owned(),
                raw_data: bytes.collect(),
            });
        }
    }

    pub(crate) fn finish(
        self,
        name: &str,
        input: proto::ValueInfo,
        output: Vec<proto::ValueInfo>,
    ) -> proto::Graph {
        proto::Graph {
            node: self.nodes,
            name: name.to_owned(),
            initializer: self.constants,
            input: vec![input],
            output,
        }
    }
}
