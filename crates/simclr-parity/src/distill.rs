//! The distillation loss and its gradient.

use candle_core::Var;
use simclr_loss::distillation_loss;
use simclr_testkit::Tolerance;

use crate::tensors::{gradient_of, scalar};
use crate::{CaseChecks, Result};

pub(crate) fn check(checks: &mut CaseChecks<'_>) -> Result<()> {
    let case = checks.case;
    let student = Var::from_tensor(case.tensor("student_logits")?)?;
    let teacher = case.tensor("teacher_logits")?;
    let loss = distillation_loss(student.as_tensor(), teacher, case.number("temperature")?)?;
    let gradients = loss.backward()?;

    let bound = Tolerance::relative_to_max(case.bound("loss_rel")?);
    for reference in ["loss", "loss_f64", "loss_tf1_colab"] {
        checks.compare_result(reference, bound, scalar(&loss)?)?;
    }
    let bound = Tolerance::relative_to_max(case.bound("grad_rel_to_max_abs")?);
    let gradient = gradient_of(case, &gradients, &student, "the student")?;
    checks.compare_tensor("grad", bound, gradient)
}
