//! Kind `resnet`: the whole network, forward and backward.

mod gradients;

use candle_core::{DType, Var};
use simclr_kernels::Backend;
use simclr_model::{Mode, SimClr, SimClrOutput};
use simclr_testkit::{GoldenCase, Tolerance};

use crate::forms::backends;
use crate::formula_model::{config_of, formula_model};
use crate::recorded::{compare_activation, compare_norms};
use crate::{CaseChecks, Result};

/// Compares all results and, in training, all gradients and moving statistics, of the fused
/// and of the composite kernels.
///
/// In f32, a pre-activation that is zero but for rounding may fall on the other side of its
/// ReLU: one unit of 32,768 in the last block group moves every gradient below it by 1 %, which
/// is more than the bound of a case in whose recording none fell over. In f64 nothing falls
/// over, so the gradients of the composite kernels, which take any type, are compared in f64,
/// where nothing but the rounding of what was recorded lies between. The fused kernels know f32
/// alone and have to meet the case's bound.
pub(crate) fn check(checks: &mut CaseChecks<'_>) -> Result<()> {
    let training = checks.case.flag("training")?;
    let mode = if training { Mode::Train } else { Mode::Infer };
    for &backend in backends(checks.case) {
        checks.report.prefix = match backend {
            Backend::Composite => "composite/".into(),
            _ => "fused/".into(),
        };
        let run = Run::new(checks.case, mode, DType::F32, backend)?;
        check_activations(checks, &run.output)?;
        if training {
            check_moving_statistics(checks, &run.model)?;
        }
        if training && backend == Backend::Fused {
            gradients::check(checks, &run)?;
        }
    }
    if training {
        checks.report.prefix = "double/".into();
        let run = Run::new(checks.case, mode, DType::F64, Backend::Composite)?;
        gradients::check(checks, &run)?;
    }
    Ok(())
}

/// The model with the case's weights, and what it made of the case's images.
struct Run {
    model: SimClr,
    images: Var,
    output: SimClrOutput,
}

impl Run {
    fn new(case: &GoldenCase, mode: Mode, dtype: DType, backend: Backend) -> Result<Self> {
        let mut model = formula_model(&config_of(case)?, dtype, case.device())?;
        model.set_backend(backend);
        let images = Var::from_tensor(&case.tensor("input")?.to_dtype(dtype)?)?;
        Ok(Self {
            output: model.forward(&images, mode)?,
            images,
            model,
        })
    }
}

fn check_activations(checks: &mut CaseChecks<'_>, output: &SimClrOutput) -> Result<()> {
    let case = checks.case;
    let tolerance = Tolerance::relative_to_max(case.bound("rel_to_max_abs")?);
    for (name, result) in output.encoder.named()? {
        compare_activation(checks, name, &result, tolerance)?;
    }
    compare_activation(checks, "proj_head_output", output.z(), tolerance)?;
    if case.has("f64/proj_head_output") {
        compare_activation(checks, "f64/proj_head_output", output.z(), tolerance)?;
    }
    let no_head = || case.error("the model has no supervised head");
    let logits = output.logits.as_ref().ok_or_else(no_head)?;
    compare_activation(checks, "logits_sup", logits, tolerance)
}

/// After one training pass.
fn check_moving_statistics(checks: &mut CaseChecks<'_>, model: &SimClr) -> Result<()> {
    let case = checks.case;
    let bound = case.bound("rel_to_max_abs")?;
    let norms = &case.description["moving_l2_after_one_forward"];
    for parameter in model.parameters().filter(|p| !p.spec.role.is_trainable()) {
        let original = &parameter.spec.original_name;
        let name = format!("moving/{original}");
        if case.has(&name) {
            let tolerance = Tolerance::relative_to_max(bound);
            checks.compare_tensor(&name, tolerance, &parameter.variable)?;
        }
        let reference = norms[original]
            .as_f64()
            .ok_or_else(|| case.error(format!("expected the norm of {original}")))?;
        compare_norms(checks, &name, &parameter.variable, reference, bound)?;
    }
    Ok(())
}
