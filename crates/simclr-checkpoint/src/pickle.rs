//! Files of PyTorch's `torch.save`, read without executing anything.
//!
//! Such a file is a zip archive: `data.pkl` is a pickle, a program for a stack machine that
//! builds the saved object, and `data/0`, `data/1` and so on hold the values of its tensors. The
//! [machine](machine) here builds a description of the object: classes are names, calls are
//! recorded and never made. [Its tensors](tensors) get the path through the object as their name.

mod machine;
mod node;
mod pickled_module;
mod pickled_tensor;
mod reader;
mod strides;
mod tensors;

pub(crate) use pickled_module::PickledModule;
pub use pickled_tensor::PickledTensor;
pub use reader::PickleReader;
