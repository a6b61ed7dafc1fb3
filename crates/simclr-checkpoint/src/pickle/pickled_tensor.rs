//! A tensor of a file of PyTorch's.

use crate::element::ElementType;

/// One tensor of a file of PyTorch's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PickledTensor {
    /// The type of its elements; `None` if it is none that this crate reads (complex, quantised, or
    /// with a negative or conjugate bit).
    pub element: Option<ElementType>,
    /// PyTorch's name of that type, for example `FloatStorage`.
    pub type_name: String,
    /// The size of each axis.
    pub shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
    /// Elements of the storage before the first one.
    pub(super) offset: usize,
    pub(super) storage: String,
}

impl PickledTensor {
    /// The bytes that its values take, each counted once for each place in the tensor.
    pub fn byte_count(&self) -> u64 {
        let bytes = self
            .element
            .and_then(|element| element.byte_count(&self.shape));
        bytes.unwrap_or(0)
    }
}
