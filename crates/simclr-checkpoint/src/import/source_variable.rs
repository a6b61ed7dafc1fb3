//! A variable in a file of any format.

use crate::element::ElementType;

/// What a file says about one of its variables.
#[derive(Debug, Clone)]
pub(super) struct SourceVariable {
    pub(super) shape: Vec<usize>,
    pub(super) data_type: String,
    pub(super) element: Option<ElementType>,
}
