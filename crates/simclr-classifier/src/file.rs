//! Classifiers on disk.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use serde_json::Value;
use simclr_checkpoint::{CheckpointFile, Preprocessing, Source};
use simclr_eval::probes::KNearest;
use simclr_model::{Encoder, Parameter, Parameters, SimClr, SimClrConfig};

use crate::classifier::{Classifier, Network};
use crate::error::{Error, Result};
use crate::fit::linear_head;
use crate::head::{Bank, Head};
use crate::info::{CLASSIFIER_VERSION, ClassifierInfo, HeadKind};

/// The entry of the metadata.
const ENTRY: &str = "classifier";
const KERNEL: &str = "classifier.head.kernel";
const BIAS: &str = "classifier.head.bias";
const BANK: &str = "classifier.bank.features";
const LABELS: &str = "classifier.bank.labels";
const CONFORMAL: &str = "classifier.conformal";

impl Classifier {
    /// Writes the classifier as one safetensors file, whole or not at all. `Encoder::load` reads the
    /// encoder in it.
    ///
    /// # Errors
    /// If the folder cannot be written to, or a value is NaN, infinite or a negative variance.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let malformed = |error: serde_json::Error| Error::Malformed {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let (config, parameters): (SimClrConfig, Vec<&Parameter>) = match &self.network {
            Network::Frozen(encoder) => {
                let config = SimClrConfig::new(encoder.config().clone());
                (config, encoder.parameters().iter().collect())
            }
            Network::FineTuned(model) => (model.config().clone(), model.parameters().collect()),
        };
        let tensor = |parameter: &&Parameter| {
            (
                parameter.spec.name.clone(),
                parameter.variable.as_tensor().clone(),
            )
        };
        let mut file = CheckpointFile::default();
        file.tensors.extend(parameters.iter().map(tensor));
        let labels: Vec<i64> = self.bank.labels.iter().copied().map(i64::from).collect();
        let mut insert = |name: &str, tensor| drop(file.tensors.insert(name.to_owned(), tensor));
        insert(BANK, self.bank.features.clone());
        insert(LABELS, Tensor::new(labels, &Device::Cpu)?);
        insert(
            CONFORMAL,
            Tensor::new(self.conformal.as_slice(), &Device::Cpu)?,
        );
        if let Head::Linear { head, .. } = &self.head {
            insert(KERNEL, head.kernel.as_tensor().clone());
            insert(BIAS, head.bias.as_tensor().clone());
        }
        let metadata = &mut file.metadata;
        metadata.architecture = Some(serde_json::to_value(&config).map_err(malformed)?);
        metadata.source = Some(Source::new("classifier"));
        let preprocessing = metadata.preprocessing.insert(Preprocessing::default());
        preprocessing.normalized_by_model = config.encoder.input_normalization.is_some();
        let info = serde_json::to_value(&self.info).map_err(malformed)?;
        metadata.extra.insert(ENTRY.to_owned(), info);
        file.check_values(path)?;
        Ok(file.save(path)?)
    }

    /// Reads a classifier, whose network computes on the CPU.
    ///
    /// # Errors
    /// As [`Self::load_on`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_on(path, &Device::Cpu)
    }

    /// Reads a classifier whose network computes on `device`. What follows the network, the head
    /// and novelty, is computed on the CPU.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the file is no classifier, one of a later version, or lacks a tensor, or
    /// has one that does not belong to it or is of another shape;
    /// [`simclr_checkpoint::Error::InvalidValues`] if one has NaN, infinity or a negative variance.
    pub fn load_on(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let malformed = |reason: String| Error::Malformed {
            path: path.to_owned(),
            reason,
        };
        let mut file = CheckpointFile::load(path, &Device::Cpu)?;
        file.check_values(path)?;
        let info = read_info(&mut file).map_err(malformed)?;
        let architecture = file.metadata.architecture.take().unwrap_or_default();
        let config: SimClrConfig = serde_json::from_value(architecture)
            .map_err(|error| malformed(format!("metadata `architecture`: {error}")))?;
        let mut take = |name: &str| {
            let tensor = file.tensors.remove(name);
            tensor.ok_or_else(|| malformed(format!("there is no tensor `{name}`")))
        };
        let features = take(BANK)?;
        let labels = labels(&take(LABELS)?, info.classes.len())?;
        let labels =
            labels.ok_or_else(|| malformed(format!("`{LABELS}` has a label without a class")))?;
        let conformal = take(CONFORMAL)?.flatten_all()?.to_vec1::<f32>()?;
        let bank = Bank { features, labels };
        let head = match info.head {
            HeadKind::LinearProbe | HeadKind::LogisticRegression { .. } => Head::Linear {
                head: linear_head(&take(KERNEL)?, &take(BIAS)?)?,
                unit_length: info.head == HeadKind::LogisticRegression { unit_length: true },
            },
            HeadKind::NearestNeighbours { k, temperature } => {
                let settings = KNearest::default().with_k(k).with_temperature(temperature);
                settings.validate()?;
                Head::Neighbours {
                    settings,
                    features: bank.features.flatten_all()?.to_vec1()?,
                }
            }
            HeadKind::FineTuned => Head::FineTuned,
        };
        let network = network(&config, info.head, &file.tensors, device)?;
        let size = config.encoder.feature_size()?;
        check_sizes(&config, size, &head, &bank, info.classes.len()).map_err(malformed)?;
        Ok(Self {
            network,
            head,
            bank,
            conformal,
            info,
        })
    }
}

/// What the metadata say about the classifier.
fn read_info(file: &mut CheckpointFile) -> Result<ClassifierInfo, String> {
    let entry = file.metadata.extra.remove(ENTRY);
    let entry = entry.ok_or("a network, but no classifier: there is no head with class names")?;
    let version = entry.get("version").and_then(Value::as_u64).unwrap_or(0);
    if version == 0 || version > u64::from(CLASSIFIER_VERSION) {
        return Err(format!(
            "a classifier of version {version}; this library reads versions up to {CLASSIFIER_VERSION}"
        ));
    }
    let info: ClassifierInfo =
        serde_json::from_value(entry).map_err(|error| format!("metadata `{ENTRY}`: {error}"))?;
    check_info(&info)?;
    Ok(info)
}

/// The classes of the bank's images; `None` if there is one that is none of the `classes`.
fn labels(labels: &Tensor, classes: usize) -> Result<Option<Vec<u32>>> {
    let labels = labels.to_dtype(DType::I64)?.flatten_all()?;
    let class = |label: i64| {
        u32::try_from(label)
            .ok()
            .filter(|label| (*label as usize) < classes)
    };
    Ok(labels.to_vec1::<i64>()?.into_iter().map(class).collect())
}

/// Whether encoder, head, bank and classes fit together.
fn check_sizes(
    config: &SimClrConfig,
    size: usize,
    head: &Head,
    bank: &Bank,
    classes: usize,
) -> Result<(), String> {
    let head_fits = match head {
        Head::Linear { head, .. } => head.kernel.dims() == [size, classes],
        Head::Neighbours { .. } => true,
        Head::FineTuned => {
            let head = config.supervised_head.as_ref();
            head.is_some_and(|head| head.num_classes == classes)
        }
    };
    let bank_fits = bank.features.dims() == [bank.labels.len(), size] && !bank.labels.is_empty();
    if head_fits && bank_fits {
        return Ok(());
    }
    Err(format!(
        "head, bank and encoder do not fit together ({size} features, {classes} classes)"
    ))
}

fn check_info(info: &ClassifierInfo) -> Result<(), String> {
    if info.classes.is_empty() {
        return Err("the classifier has no classes".into());
    }
    if !(info.temperature > 0.0 && info.temperature.is_finite()) {
        return Err(format!(
            "the temperature is {}, not a number above 0",
            info.temperature
        ));
    }
    if info.novelty_neighbours == 0 {
        return Err("novelty has no neighbours".into());
    }
    info.policy.validate().map_err(|error| error.to_string())
}

/// The network with these values, and no others.
fn network(
    config: &SimClrConfig,
    head: HeadKind,
    tensors: &BTreeMap<String, Tensor>,
    device: &Device,
) -> Result<Network> {
    let is_fine_tuned = head == HeadKind::FineTuned;
    let specs = if is_fine_tuned {
        config.parameter_specs()?
    } else {
        config.encoder.parameter_specs()?
    };
    let parameters = Parameters::initialize(&specs, 0, device)?;
    parameters.load(tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)))?;
    let variables = parameters.var_builder();
    Ok(if is_fine_tuned {
        Network::FineTuned(Box::new(SimClr::new(config, variables)?))
    } else {
        Network::Frozen(Box::new(Encoder::new(&config.encoder, variables)?.frozen()))
    })
}
