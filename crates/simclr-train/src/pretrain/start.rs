//! What a run starts from.

use simclr_model::{Parameters, SimClr};

use super::Pretrain;
use crate::Result;

/// Seeded parameters, or the given ones where there are any.
pub(super) fn initial_model(settings: &Pretrain, num_classes: usize) -> Result<SimClr> {
    let config = &settings.config;
    let model = config.model(num_classes);
    let specs = model.parameter_specs()?;
    let parameters = Parameters::initialize(&specs, config.seed, &settings.options.device)?;
    if let Some(start) = &settings.start {
        start_from(&parameters, start)?;
    }
    let mut model = SimClr::new(&model, parameters.var_builder())?;
    model.set_freeze(config.freeze)?;
    Ok(model)
}

/// The whole encoder from `start`; the heads as far as they fit.
pub(crate) fn start_from(parameters: &Parameters, start: &Parameters) -> Result<()> {
    let is_encoder = |name: &str| name.starts_with("encoder.");
    let ours = parameters.iter().filter(|(name, _)| is_encoder(name));
    let ours = ours.map(|(name, variable)| (name.to_owned(), variable.clone()));
    let (encoder, heads): (Vec<_>, Vec<_>) = start
        .iter()
        .map(|(name, variable)| (name, variable.as_tensor()))
        .partition(|(name, _)| is_encoder(name));
    Parameters::from_variables(ours)?.load(encoder)?;
    parameters.load_matching(heads)?;
    Ok(())
}
