//! Networks from other people's files.

mod assignment;
mod imported;
mod modules;
mod networks;
mod options;
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

use crate::{Error, Result};

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
/// `path` may be a ResNet with torchvision's or timm's names in a safetensors file, the index of
/// several of them (`model.safetensors.index.json`, or its folder) or a file saved by PyTorch, under
/// any prefix ([`networks`] lists them) or as the children of a `Sequential`; or, with the feature
/// `tensorflow`, a TensorFlow checkpoint (name-based, object-based or a SavedModel; see
/// [`tensorflow::locate`](crate::tensorflow::locate) for how it may be named).
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
        _ => pytorch::recognize_source(&source, options).map_err(of_part)?,
    };
    Imported::new(source, recognized)
}

/// Adds to what does not fit that the file is one of several, `model-00001-of-00002.safetensors`.
fn of_part(mut error: Error) -> Error {
    if let Error::DoesNotFit {
        path,
        differences: text,
        ..
    }
    | Error::Malformed { path, reason: text } = &mut error
        && let Some((part, count)) = part(path)
    {
        text.push_str(&format!(
            "; the file is part {part} of {count}: import their index \
             (*.safetensors.index.json), or save the network as one file"
        ));
    }
    error
}

/// The number of a file, and of how many, by the end of its name.
fn part(path: &Path) -> Option<(u32, u32)> {
    let (name, count) = path.file_stem()?.to_str()?.rsplit_once("-of-")?;
    let (_, part) = name.rsplit_once('-')?;
    let number = |digits: &str| digits.parse().ok().filter(|_| digits.len() == 5);
    let numbers = (number(part)?, number(count)?);
    (numbers.1 > 1).then_some(numbers)
}
