//! Kind `resnet`: the whole network, forward and backward.

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use simclr_model::{Mode, Parameter, SimClr, SimClrOutput};
use simclr_testkit::{GoldenCase, Tolerance};

use crate::formula_model::{config_of, formula_model};
use crate::recorded::{compare_activation, compare_gradient, flat, norm};
use crate::{CaseReport, Result};

/// Relative error of a gradient that rounding alone is allowed to make anywhere.
const GRADIENT_FLOOR: f64 = 1e-3;
/// How many times its measured noise a variable's gradient may be off.
const NOISE_MULTIPLE: f64 = 5.0;

/// Compares all results and, in training, all gradients and moving statistics.
pub(crate) fn check(case: &GoldenCase) -> Result<CaseReport> {
    let mut report = CaseReport::default();
    let model = formula_model(&config_of(case)?)?;
    let images = Var::from_tensor(case.tensor("input")?)?;
    let training = case.flag("training")?;
    let mode = if training { Mode::Train } else { Mode::Infer };
    let output = model.forward(&images, mode)?;
    check_activations(&mut report, case, &output)?;
    if training {
        check_moving_statistics(&mut report, case, &model)?;
        check_contrastive_gradients(&mut report, case, &model, &images, &output)?;
        check_feature_gradients(&mut report, case, &model, &images, &output)?;
    }
    Ok(report)
}

fn check_activations(
    report: &mut CaseReport,
    case: &GoldenCase,
    output: &SimClrOutput,
) -> Result<()> {
    let tolerance = Tolerance::relative_to_max(case.bound("rel_to_max_abs")?);
    for (name, result) in output.encoder.named() {
        compare_activation(report, case, name, result, tolerance)?;
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
            let (result, reference) = (flat(&parameter.variable)?, case.values(&name)?);
            report.compare(
                &name,
                Tolerance::relative_to_max(bound),
                &result,
                &reference,
            );
        }
        let reference = norms[original]
            .as_f64()
            .ok_or_else(|| case.error(format!("expected the norm of {original}")))?;
        compare_norms(report, &name, norm(&parameter.variable)?, reference, bound);
    }
    Ok(())
}

/// Gradients of `mean(projection * R)`.
fn check_contrastive_gradients(
    report: &mut CaseReport,
    case: &GoldenCase,
    model: &SimClr,
    images: &Var,
    output: &SimClrOutput,
) -> Result<()> {
    let loss = (&output.projection * case.tensor("R")?)?.mean_all()?;
    let gradients = GradientCheck {
        case,
        prefix: "grad",
        bound: case.bound("grad_rel_l2_vs_f64")?,
        bound_vs_f32: Some(case.bound("grad_rel_l2_vs_f32")?),
    };
    gradients.check(report, model, images, &loss.backward()?)
}

/// Gradients of `mean(final_avg_pool * R2)`.
fn check_feature_gradients(
    report: &mut CaseReport,
    case: &GoldenCase,
    model: &SimClr,
    images: &Var,
    output: &SimClrOutput,
) -> Result<()> {
    let loss = (output.h() * case.tensor("R2")?)?.mean_all()?;
    let gradients = GradientCheck {
        case,
        prefix: "grad2",
        bound: case.bound("grad2_rel_l2_vs_f64")?,
        bound_vs_f32: None,
    };
    gradients.check(report, model, images, &loss.backward()?)
}

/// The comparison of one loss's gradients.
struct GradientCheck<'a> {
    case: &'a GoldenCase,
    /// `grad` or `grad2`.
    prefix: &'a str,
    /// Relative distance from the f64 run.
    bound: f64,
    /// Relative distance from the f32 run, which is noisy itself.
    bound_vs_f32: Option<f64>,
}

impl GradientCheck<'_> {
    fn check(
        &self,
        report: &mut CaseReport,
        model: &SimClr,
        images: &Var,
        gradients: &GradStore,
    ) -> Result<()> {
        for parameter in model.parameters() {
            let gradient = gradients.get(&parameter.variable);
            self.check_parameter(report, parameter, gradient)?;
        }
        match gradients.get(images) {
            Some(gradient) => {
                let name = format!("{}_input", self.prefix);
                self.compare(report, &name, gradient, self.bound)
            }
            None => Err(self.case.error("no gradient reached the images").into()),
        }
    }

    fn check_parameter(
        &self,
        report: &mut CaseReport,
        parameter: &Parameter,
        gradient: Option<&Tensor>,
    ) -> Result<()> {
        let original = &parameter.spec.original_name;
        let name = format!("{}/{original}", self.prefix);
        let norms = &self.case.description[format!("{}_l2_f64", self.prefix)];
        let recorded = norms[original].as_f64();
        let (Some(gradient), Some(reference)) = (gradient, recorded) else {
            // What has no way to the loss there must have none here.
            report.require(&name, gradient.is_none() && recorded.is_none());
            return Ok(());
        };
        let bound = self.bound_of(original);
        compare_norms(report, &name, norm(gradient)?, reference, bound);
        self.compare(report, &name, gradient, bound)
    }

    /// The case's bound, or a sharper one where the variable's own noise is known.
    fn bound_of(&self, original: &str) -> f64 {
        let noise = &self.case.description["noise"];
        let noise = &noise[format!("{}_rel_l2_by_variable", self.prefix)][original];
        let sharper = noise.as_f64().map(|noise| NOISE_MULTIPLE * noise);
        sharper.map_or(self.bound, |sharper| {
            self.bound.min(sharper.max(GRADIENT_FLOOR))
        })
    }

    fn compare(
        &self,
        report: &mut CaseReport,
        name: &str,
        gradient: &Tensor,
        bound: f64,
    ) -> Result<()> {
        let precise = format!("f64/{name}");
        compare_gradient(report, self.case, (&precise, name), gradient, bound)?;
        match self.bound_vs_f32 {
            Some(bound) => compare_gradient(report, self.case, (name, name), gradient, bound),
            None => Ok(()),
        }
    }
}

fn compare_norms(report: &mut CaseReport, name: &str, result: f64, reference: f64, bound: f64) {
    let tolerance = Tolerance::relative_l2(bound);
    report.compare_f64(&format!("{name}.l2"), tolerance, &[result], &[reference]);
}
