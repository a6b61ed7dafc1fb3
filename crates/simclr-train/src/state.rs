//! Training runs in files: the network, the optimizer's slots and the number of steps.

use std::path::Path;

use candle_core::Device;
use simclr_checkpoint::{Source, check_architecture, load_model, model_checkpoint, save_model};
use simclr_model::SimClr;

use crate::trainer::Trainer;
use crate::{Error, Result};

/// Writes the network alone, heads included.
pub(crate) fn save_trained(path: &Path, trainer: &Trainer) -> Result<()> {
    Ok(save_model(path, trainer.model(), source(trainer))?)
}

/// Writes everything that is needed to go on later.
pub(crate) fn save_training(path: &Path, trainer: &Trainer) -> Result<()> {
    let mut file = model_checkpoint(trainer.model(), source(trainer))?;
    file.tensors.extend(trainer.optimizer().state()?);
    Ok(file.save(path)?)
}

/// Puts a training run back to where [`save_training`] was called.
pub(crate) fn restore_training(path: &Path, trainer: &mut Trainer, device: &Device) -> Result<()> {
    let saved = load_model(path, device)?;
    check_architecture(path, &saved.metadata, trainer.model().config())?;
    let step = saved
        .metadata
        .source
        .and_then(|source| source.global_step)
        .ok_or_else(|| Error::RunFile {
            path: path.to_owned(),
            reason: "does not say after which step it was written".into(),
        })?;
    copy_parameters(&saved.model, trainer.model())?;
    trainer.optimizer_mut().load_state(&saved.state)?;
    trainer.resume_after(step.unsigned_abs());
    Ok(())
}

fn copy_parameters(from: &SimClr, to: &SimClr) -> Result<()> {
    let from = from.store()?;
    let values: Vec<_> = from
        .iter()
        .map(|(name, variable)| (name, variable.as_tensor()))
        .collect();
    to.store()?.load(values)?;
    Ok(())
}

fn source(trainer: &Trainer) -> Source {
    Source::new("simclr training").with_global_step(trainer.steps_taken() as i64)
}
