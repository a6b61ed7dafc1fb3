//! Networks from other people's files.

mod assignment;
mod imported;
mod networks;
mod options;
mod other_formats;
mod pytorch;
mod report;
mod source;
mod source_variable;
#[cfg(feature = "tensorflow")]
mod tensorflow;

use std::path::Path;

pub use imported::Imported;
pub use networks::networks;
pub use options::{Heads, ImportOptions};
pub use report::{Origin, Report, Unused};
pub use source::SourceFile;
#[cfg(feature = "tensorflow")]
pub use tensorflow::recognize;

use crate::Result;

/// Recognises the network in a file and finds a variable for each of its parameters:
/// [`import_with`] with the default options, every head included.
///
/// # Errors
/// As [`import_with`].
pub fn import(path: impl AsRef<Path>) -> Result<Imported> {
    import_with(path, &ImportOptions::default())
}

/// Recognises the network in a file and finds a variable for each of its parameters.
///
/// `path` may be a ResNet with torchvision's or timm's names in a safetensors file or a file saved
/// by PyTorch, under any prefix ([`networks`] lists them) or as the children of a `Sequential`; or,
/// with the feature `tensorflow`, a TensorFlow checkpoint (name-based, object-based or a
/// SavedModel; see [`tensorflow::locate`](crate::tensorflow::locate) for how it may be named).
/// The architecture is told from the variables, never from the path.
///
/// # Errors
/// [`Error::DoesNotFit`](crate::Error::DoesNotFit) says how the variables differ from the closest
/// network; other errors name the file and what is wrong with it.
pub fn import_with(path: impl AsRef<Path>, options: &ImportOptions) -> Result<Imported> {
    let source = SourceFile::open(path)?;
    if let SourceFile::Safetensors(file) = &source {
        file.verify()?;
    }
    let recognized = match &source {
        #[cfg(feature = "tensorflow")]
        SourceFile::TensorFlow(bundle) => tensorflow::recognize_source(bundle, &source, options)?,
        _ => pytorch::recognize_source(&source, options)?,
    };
    Imported::new(source, recognized)
}
