//! The gradients of two losses with respect to all parameters and the images.

use candle_core::Tensor;
use candle_core::backprop::GradStore;
use serde_json::Value;
use simclr_testkit::GoldenCase;

use super::run::Run;
use crate::recorded::{compare_gradient, compare_norms, norm};
use crate::{CaseReport, Result};

/// Relative distance in the L2 norm between two f64 computations, one of them stored as f32.
const ROUNDING: f64 = 1e-6;

/// Compares the gradients of an f32 run within the case's bounds, with the recorded f64 run
/// and, where there is a bound for it, with the recorded f32 run.
pub(super) fn check_single(report: &mut CaseReport, case: &GoldenCase, run: &Run) -> Result<()> {
    for loss in Loss::ALL {
        let against_double = case.bound(&loss.bound_against_double())?;
        let against_single = match loss {
            Loss::Contrastive => Some(case.bound("grad_rel_l2_vs_f32")?),
            Loss::Features => None,
        };
        let check = GradientCheck {
            case,
            loss,
            against_single,
            against_double,
        };
        check.run(report, run)?;
    }
    Ok(())
}

/// Compares the gradients of an f64 run with the recorded f64 run: nothing but the rounding of
/// the recorded values to f32 lies between them.
pub(super) fn check_double(report: &mut CaseReport, case: &GoldenCase, run: &Run) -> Result<()> {
    for loss in Loss::ALL {
        let check = GradientCheck {
            case,
            loss,
            against_single: None,
            against_double: ROUNDING,
        };
        check.run(report, run)?;
    }
    Ok(())
}

/// The two recorded losses.
#[derive(Debug, Clone, Copy)]
enum Loss {
    /// `mean(projection * R)`, through the whole model.
    Contrastive,
    /// `mean(final_avg_pool * R2)`, through the encoder alone.
    Features,
}

impl Loss {
    const ALL: [Self; 2] = [Self::Contrastive, Self::Features];

    fn prefix(self) -> &'static str {
        match self {
            Self::Contrastive => "grad",
            Self::Features => "grad2",
        }
    }

    fn bound_against_double(self) -> String {
        format!("{}_rel_l2_vs_f64", self.prefix())
    }

    fn norms(self, case: &GoldenCase) -> &Value {
        &case.description[format!("{}_l2_f64", self.prefix())]
    }

    fn backward(self, case: &GoldenCase, run: &Run) -> Result<GradStore> {
        let (output, cotangent) = match self {
            Self::Contrastive => (run.output.z(), "R"),
            Self::Features => (run.output.h(), "R2"),
        };
        let cotangent = case.tensor(cotangent)?.to_dtype(output.dtype())?;
        Ok((output * cotangent)?.mean_all()?.backward()?)
    }
}

struct GradientCheck<'a> {
    case: &'a GoldenCase,
    loss: Loss,
    /// Relative distance from the recorded f32 run, which is noisy itself.
    against_single: Option<f64>,
    /// Relative distance from the recorded f64 run.
    against_double: f64,
}

impl GradientCheck<'_> {
    fn run(&self, report: &mut CaseReport, run: &Run) -> Result<()> {
        let gradients = self.loss.backward(self.case, run)?;
        let prefix = self.loss.prefix();
        let norms = self.loss.norms(self.case);
        for parameter in run.model.parameters() {
            let original = &parameter.spec.original_name;
            let name = format!("{prefix}/{original}");
            let gradient = gradients.get(&parameter.variable);
            let (Some(gradient), Some(reference)) = (gradient, norms[original].as_f64()) else {
                // What had no way to the loss in the original must have none here.
                report.require(&name, gradient.is_none() && norms[original].is_null());
                continue;
            };
            let bound = self.against_double;
            compare_norms(report, &name, norm(gradient)?, reference, bound);
            self.compare(report, &name, gradient, bound)?;
        }
        match gradients.get(&run.images) {
            Some(gradient) => {
                let name = format!("{prefix}_input");
                self.compare(report, &name, gradient, self.against_double)
            }
            None => Err(self.case.error("no gradient reached the images").into()),
        }
    }

    fn compare(
        &self,
        report: &mut CaseReport,
        name: &str,
        gradient: &Tensor,
        bound: f64,
    ) -> Result<()> {
        let double = format!("f64/{name}");
        compare_gradient(report, self.case, (&double, name), gradient, bound)?;
        match self.against_single {
            Some(bound) => compare_gradient(report, self.case, (name, name), gradient, bound),
            None => Ok(()),
        }
    }
}
