//! A supervised ImageNet network, imported and run.

use std::path::Path;

use candle_core::{Device, Tensor};
use simclr_checkpoint::{SafetensorsReader, import};
use simclr_model::Mode;
use simclr_testkit::Tolerance;

use crate::tensors::values;
use crate::{CaseReport, Result};

/// The result of PyTorch in another order of summation.
const TOLERANCE: Tolerance = Tolerance::relative_to_max(1e-3);

/// Imports a PyTorch network and compares what it makes of `input` with what is recorded in
/// `check`: `final_avg_pool`, `logits` and the spatial means `block_group1_mean_hw` to `4`.
///
/// # Errors
/// Fails if a file cannot be read or the network cannot be imported.
pub fn check_weights(weights: &Path, check: &Path) -> Result<CaseReport> {
    let recorded = SafetensorsReader::open(check)?;
    let model = import(weights)?.model(&Device::Cpu)?;
    let input = recorded.read("input")?.into_tensor(&Device::Cpu)?;
    let output = model.forward(&input, Mode::Infer)?;
    let mut report = CaseReport::default();
    let mut compare = |name: &str, found: &Tensor| -> Result<()> {
        let reference = recorded.read(name)?.values.into_f32();
        report.compare(name, TOLERANCE, &values(found)?, &reference);
        Ok(())
    };
    for (index, group) in output.encoder.block_groups.iter().enumerate() {
        let name = format!("block_group{}_mean_hw", index + 1);
        compare(&name, &group.tensor()?.mean((1, 2))?)?;
    }
    compare("final_avg_pool", output.h())?;
    match &output.logits {
        Some(logits) => compare("logits", logits)?,
        None => report.require("logits", false),
    }
    Ok(report)
}
