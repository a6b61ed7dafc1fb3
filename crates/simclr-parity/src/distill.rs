//! The distillation loss and its gradient.

use candle_core::Var;
use simclr_loss::distillation_loss;
use simclr_testkit::{GoldenCase, Tolerance};

use crate::tensors::scalar;
use crate::{CaseReport, Result};

pub(crate) fn check(case: &GoldenCase) -> Result<CaseReport> {
    let student = Var::from_tensor(case.tensor("student_logits")?)?;
    let teacher = case.tensor("teacher_logits")?;
    let loss = distillation_loss(student.as_tensor(), teacher, case.number("temperature")?)?;
    let gradients = loss.backward()?;

    let mut report = CaseReport::default();
    let bound = Tolerance::relative_to_max(case.bound("loss_rel")?);
    for reference in ["loss", "loss_f64", "loss_tf1_colab"] {
        report.compare_result(case, reference, bound, scalar(&loss)?)?;
    }
    let bound = Tolerance::relative_to_max(case.bound("grad_rel_to_max_abs")?);
    let gradient = gradients
        .get(student.as_tensor())
        .ok_or_else(|| case.error("the student got no gradient"))?;
    report.compare_tensor(case, "grad", bound, gradient)?;
    Ok(report)
}
