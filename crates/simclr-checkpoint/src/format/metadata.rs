//! What a file says about itself.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use simclr_model::SimClrConfig;

use super::options::SaveOptions;
use crate::element::ElementType;
use crate::setters::setters;
use crate::{Error, Result};

/// The version of the format that this library writes. Files of a later version are refused. Those
/// of version 1 have no digest of their content.
pub const FORMAT_VERSION: u32 = 2;

/// The version of this library, recorded in the files that it writes.
pub const LIBRARY_VERSION: &str = env!("CARGO_PKG_VERSION");

const FORMAT_NAME: &str = "simclr";

/// The entry that names the type in which tensors of `f32` are stored, if it is another one.
const STORED_AS: &str = "f32_stored_as";

/// The entry with the SHA-256 of the file, as it is with zeros in this entry's place.
pub(crate) const DIGEST: &str = "sha256";

/// Where the digest stands in a file: behind the header's length and `{"__metadata__":{"sha256":"`.
pub(crate) const DIGEST_AT: u64 = 8 + 27;

/// The type in which tensors of `f32` are stored, if it is another one.
pub(crate) fn stored_element(entries: &HashMap<String, String>) -> Option<ElementType> {
    match entries.get(STORED_AS)?.as_str() {
        "f16" => Some(ElementType::F16),
        "bf16" => Some(ElementType::BF16),
        _ => None,
    }
}

/// Everything about a checkpoint that is not a tensor.
///
/// In the file it is the safetensors' `__metadata__`: one entry per field, the structured ones
/// as JSON text. Whatever else is found there is kept in [`Self::extra`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Metadata {
    /// Version of the format of the file that this was read from. Default: [`FORMAT_VERSION`],
    /// which is what is written.
    pub format_version: u32,
    /// Version of the library that wrote the file. Default: [`LIBRARY_VERSION`].
    pub library_version: String,
    /// The model's configuration (of `simclr_model::SimClrConfig`), as JSON. Default: none.
    pub architecture: Option<Value>,
    /// Where the values came from. Default: none.
    pub source: Option<Source>,
    /// What has to be done to an image before it enters the model. Default: none.
    pub preprocessing: Option<Preprocessing>,
    /// Further entries, for example the state of a training run. Default: empty.
    pub extra: BTreeMap<String, Value>,
}

impl Default for Metadata {
    fn default() -> Self {
        Self {
            format_version: FORMAT_VERSION,
            library_version: LIBRARY_VERSION.to_owned(),
            architecture: None,
            source: None,
            preprocessing: None,
            extra: BTreeMap::new(),
        }
    }
}

/// Where the values of a checkpoint came from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Source {
    /// The kind of file or process, for example `TensorFlow, name-based` or `simclr pretraining`.
    pub kind: String,
    /// The file's or folder's name (not its whole path, which is nobody else's business).
    pub name: String,
    /// Number of training steps taken, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global_step: Option<i64>,
    /// Whether the values are the exponential moving average of the trained ones.
    pub moving_average: bool,
}

/// What has to be done to an image before it enters the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Preprocessing {
    /// Layout and range of the values. Default: `NHWC, RGB, f32 in [0, 1]`.
    pub input: String,
    /// Whether the model itself normalises its input. Default: false.
    pub normalized_by_model: bool,
}

impl Default for Preprocessing {
    fn default() -> Self {
        Self {
            input: "NHWC, RGB, f32 in [0, 1]".to_owned(),
            normalized_by_model: false,
        }
    }
}

impl Source {
    /// A source of this kind, with everything else at its default.
    pub fn new(kind: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            ..Self::default()
        }
    }

    setters! {
        with_name, name: impl Into<String>;
        with_global_step, global_step: impl Into<Option<i64>>;
        with_moving_average, moving_average: bool;
    }
}

impl Metadata {
    /// Describes a network.
    pub(crate) fn of_network(path: &Path, config: &SimClrConfig, source: Source) -> Result<Self> {
        let architecture = serde_json::to_value(config)
            .map_err(|error| Error::malformed(path, error.to_string()))?;
        Ok(Self {
            architecture: Some(architecture),
            preprocessing: Some(Preprocessing {
                normalized_by_model: config.encoder.input_normalization.is_some(),
                ..Preprocessing::default()
            }),
            ..Self::default().with_source(source)
        })
    }

    setters! {
        with_source, source: Source;
    }

    /// Adds an entry to [`Self::extra`], in place of an older one of this name.
    pub fn with_extra(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extra.insert(name.into(), value.into());
        self
    }

    /// A further entry, read as a value of any type; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is there, but of another form.
    pub fn entry<T: DeserializeOwned>(&self, path: &Path, name: &str) -> Result<Option<T>> {
        let entry = self.extra.get(name).cloned();
        entry.map(|value| parse(path, name, value)).transpose()
    }

    /// The entries of the `__metadata__` of a file that is written with `options`.
    pub(crate) fn to_entries(&self, options: &SaveOptions) -> Result<BTreeMap<String, String>> {
        let extra = self.extra.iter();
        let mut entries: BTreeMap<String, String> = extra
            .map(|(name, value)| (name.clone(), value.to_string()))
            .collect();
        let mut insert = |name: &str, text| drop(entries.insert(name.to_owned(), text));
        for (name, value) in [
            ("architecture", json!(self.architecture)),
            ("source", json!(self.source)),
            ("preprocessing", json!(self.preprocessing)),
        ] {
            if !value.is_null() {
                insert(name, value.to_string());
            }
        }
        insert("format", FORMAT_NAME.to_owned());
        insert("format_version", FORMAT_VERSION.to_string());
        insert("library_version", self.library_version.clone());
        let element = options.element()?;
        if element != ElementType::F32 {
            insert(STORED_AS, element.to_string());
        }
        Ok(entries)
    }

    /// Reads the entries of a file's `__metadata__`.
    pub(crate) fn from_entries(path: &Path, mut entries: HashMap<String, String>) -> Result<Self> {
        if entries.remove("format").as_deref() != Some(FORMAT_NAME) {
            let reason = format!(
                "safetensors, but not a {FORMAT_NAME} checkpoint (no entry `format`); \
                 a foreign network has to be imported first"
            );
            return Err(Error::malformed(path, reason));
        }
        let format_version = entries
            .remove("format_version")
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| Error::malformed(path, "expected a number `format_version`"))?;
        if !(1..=FORMAT_VERSION).contains(&format_version) {
            let reason = format!(
                "format version {format_version}; this library ({LIBRARY_VERSION}) reads \
                 versions 1 to {FORMAT_VERSION}"
            );
            return Err(Error::malformed(path, reason));
        }
        if entries.remove(DIGEST).is_none() && format_version > 1 {
            return Err(Error::malformed(
                path,
                format!("expected a digest, `{DIGEST}`"),
            ));
        }
        entries.remove(STORED_AS);
        // Entries that other tools have added need not be JSON.
        let as_json = |text: String| serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Self {
            format_version,
            library_version: entries.remove("library_version").unwrap_or_default(),
            architecture: take(path, &mut entries, "architecture")?,
            source: take(path, &mut entries, "source")?,
            preprocessing: take(path, &mut entries, "preprocessing")?,
            extra: entries
                .into_iter()
                .map(|(name, text)| (name, as_json(text)))
                .collect(),
        })
    }
}

fn take<T: DeserializeOwned>(
    path: &Path,
    entries: &mut HashMap<String, String>,
    name: &str,
) -> Result<Option<T>> {
    let parse_text = |text: String| match serde_json::from_str(&text) {
        Ok(value) => parse(path, name, value),
        Err(error) => Err(malformed(path, name, &error)),
    };
    entries.remove(name).map(parse_text).transpose()
}

fn parse<T: DeserializeOwned>(path: &Path, name: &str, value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| malformed(path, name, &error))
}

fn malformed(path: &Path, name: &str, error: &serde_json::Error) -> Error {
    Error::malformed(path, format!("metadata entry `{name}`: {error}"))
}

/// The last part of a path, without what lies above it.
pub(crate) fn display_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}
