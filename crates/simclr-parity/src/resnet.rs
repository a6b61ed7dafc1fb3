//! Kind `resnet`: the whole network, forward and backward.

mod gradients;
mod run;

use candle_core::DType;
use simclr_kernels::Backend;
use simclr_model::{Mode, SimClr, SimClrOutput};
use simclr_testkit::{GoldenCase, Tolerance};

use crate::recorded::{compare_activation, compare_norms, norm};
use crate::{CaseReport, Result};
use run::Run;

/// Compares all results and, in training, all gradients and moving statistics, of the fused
/// and of the composite kernels.
///
/// In f32, a pre-activation that is zero but for rounding may fall on the other side of its
/// ReLU: one unit of 32,768 in the last block group moves every gradient below it by 1 %, which
/// is more than the bound of a case in whose recording none fell over. In f64 nothing falls
/// over, so the gradients of the composite kernels, which take any type, are compared in f64,
/// where nothing but the rounding of what was recorded lies between. The fused kernels know f32
/// alone and have to meet the case's bound.
pub(crate) fn check(case: &GoldenCase) -> Result<CaseReport> {
    let training = case.flag("training")?;
    let mode = if training { Mode::Train } else { Mode::Infer };
    let mut report = CaseReport::default();
    for (label, backend) in [("fused", Backend::Fused), ("composite", Backend::Composite)] {
        let mut single = CaseReport::default();
        let run = Run::new(case, mode, DType::F32, backend)?;
        check_activations(&mut single, case, &run.output)?;
        if training {
            check_moving_statistics(&mut single, case, &run.model)?;
        }
        if training && backend == Backend::Fused {
            gradients::check_single(&mut single, case, &run)?;
        }
        report.absorb(label, single);
    }
    if training {
        let mut double = CaseReport::default();
        let run = Run::new(case, mode, DType::F64, Backend::Composite)?;
        gradients::check_double(&mut double, case, &run)?;
        report.absorb("double", double);
    }
    Ok(report)
}

fn check_activations(
    report: &mut CaseReport,
    case: &GoldenCase,
    output: &SimClrOutput,
) -> Result<()> {
    let tolerance = Tolerance::relative_to_max(case.bound("rel_to_max_abs")?);
    for (name, result) in output.encoder.named()? {
        compare_activation(report, case, name, &result, tolerance)?;
    }
    let projection = &output.projection;
    compare_activation(report, case, "proj_head_output", projection, tolerance)?;
    if case.has("f64/proj_head_output") {
        compare_activation(report, case, "f64/proj_head_output", projection, tolerance)?;
    }
    match &output.logits {
        Some(logits) => compare_activation(report, case, "logits_sup", logits, tolerance),
        None => Err(case.error("the model has no supervised head").into()),
    }
}

/// After one training pass.
fn check_moving_statistics(
    report: &mut CaseReport,
    case: &GoldenCase,
    model: &SimClr,
) -> Result<()> {
    let bound = case.bound("rel_to_max_abs")?;
    let norms = &case.description["moving_l2_after_one_forward"];
    for parameter in model.parameters().filter(|p| !p.spec.role.is_trainable()) {
        let original = &parameter.spec.original_name;
        let name = format!("moving/{original}");
        if case.has(&name) {
            let tolerance = Tolerance::relative_to_max(bound);
            report.compare_tensor(case, &name, tolerance, &parameter.variable)?;
        }
        let reference = norms[original]
            .as_f64()
            .ok_or_else(|| case.error(format!("expected the norm of {original}")))?;
        compare_norms(report, &name, norm(&parameter.variable)?, reference, bound);
    }
    Ok(())
}
