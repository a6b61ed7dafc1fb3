//! Networks and training states in files.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use simclr_checkpoint::{CheckpointFile, Metadata, Preprocessing, Source};
use simclr_model::{Encoder, Parameters, SimClr, SimClrConfig};

use crate::trainer::Trainer;
use crate::{Error, Result};

/// What stands before the names of an optimizer's slots, among a network's parameters.
const OPTIMIZER: &str = "optimizer/";

/// Writes a network, heads included, with everything that is needed to load it.
///
/// # Errors
/// If the file cannot be written; an older file of this name stays as it is then.
pub fn save_model(path: &Path, model: &SimClr) -> Result<()> {
    let file = CheckpointFile {
        tensors: tensors(model),
        metadata: metadata(path, model, None)?,
    };
    Ok(file.save(path)?)
}

/// Reads a network that [`save_model`] or a training run has written, in full.
///
/// # Errors
/// If the file is damaged, or its parameters are not those of the architecture
/// that it names; the message says which.
pub fn load_model(path: &Path, device: &Device) -> Result<SimClr> {
    let file = CheckpointFile::load(path, device)?;
    let config: SimClrConfig = architecture(path, &file.metadata)?;
    let parameters = Parameters::initialize(&config.parameter_specs()?, 0, device)?;
    parameters.load(
        file.tensors
            .iter()
            .filter(|(name, _)| !name.starts_with(OPTIMIZER))
            .map(|(n, t)| (n.as_str(), t)),
    )?;
    Ok(SimClr::new(&config, parameters.var_builder())?)
}

/// Reads the encoder of a network that [`save_model`] or a training run has written.
///
/// # Errors
/// As [`load_model`].
pub fn load_encoder(path: &Path, device: &Device) -> Result<Encoder> {
    Ok(load_model(path, device)?.encoder().clone())
}

/// Writes the network, the optimizer's slots and the number of steps.
pub(crate) fn save_training(path: &Path, trainer: &Trainer) -> Result<()> {
    let mut all = tensors(trainer.model());
    let slots = trainer.optimizer().state()?;
    all.extend(
        slots
            .into_iter()
            .map(|(name, tensor)| (format!("{OPTIMIZER}{name}"), tensor)),
    );
    let metadata = metadata(path, trainer.model(), Some(trainer.steps_taken()))?;
    Ok(CheckpointFile {
        tensors: all,
        metadata,
    }
    .save(path)?)
}

/// Puts a training run back to where [`save_training`] was called.
pub(crate) fn restore_training(path: &Path, trainer: &mut Trainer, device: &Device) -> Result<()> {
    let file = CheckpointFile::load(path, device)?;
    let recorded: SimClrConfig = architecture(path, &file.metadata)?;
    if recorded != *trainer.model().config() {
        return Err(Error::RunFile {
            path: path.to_owned(),
            reason: "holds a network of another architecture than this run's".into(),
        });
    }
    let (slots, network): (BTreeMap<_, _>, BTreeMap<_, _>) = file
        .tensors
        .into_iter()
        .partition(|(name, _)| name.starts_with(OPTIMIZER));
    let slots = slots
        .into_iter()
        .map(|(name, tensor)| (name[OPTIMIZER.len()..].to_owned(), tensor))
        .collect();
    let step = file
        .metadata
        .source
        .and_then(|source| source.global_step)
        .ok_or_else(|| Error::RunFile {
            path: path.to_owned(),
            reason: "does not say after which step".into(),
        })?;
    trainer
        .model()
        .store()?
        .load(network.iter().map(|(n, t)| (n.as_str(), t)))?;
    trainer.optimizer_mut().load_state(&slots)?;
    trainer.resume_after(step.unsigned_abs());
    Ok(())
}

fn tensors(model: &SimClr) -> BTreeMap<String, Tensor> {
    model
        .parameters()
        .map(|p| (p.spec.name.clone(), p.variable.as_tensor().clone()))
        .collect()
}

fn metadata(path: &Path, model: &SimClr, step: Option<u64>) -> Result<Metadata> {
    let architecture = serde_json::to_value(model.config()).map_err(Error::json(path))?;
    Ok(Metadata {
        architecture: Some(architecture),
        source: Some(Source {
            kind: "simclr training".into(),
            global_step: step.map(|step| step as i64),
            ..Source::default()
        }),
        preprocessing: Some(Preprocessing {
            normalized_by_model: model.config().encoder.input_normalization.is_some(),
            ..Preprocessing::default()
        }),
        ..Metadata::default()
    })
}

fn architecture(path: &Path, metadata: &Metadata) -> Result<SimClrConfig> {
    let value = metadata
        .architecture
        .clone()
        .ok_or_else(|| Error::RunFile {
            path: path.to_owned(),
            reason: "names no architecture in its metadata".into(),
        })?;
    serde_json::from_value(value).map_err(Error::json(path))
}
