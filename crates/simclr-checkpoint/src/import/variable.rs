//! What a file says about one of its variables.

use crate::element::ElementType;

/// Shape and type of a variable.
#[derive(Debug, Clone)]
pub(super) struct SourceVariable {
    pub(super) shape: Vec<usize>,
    pub(super) data_type: String,
    pub(super) element: Option<ElementType>,
}
