//! Cases that were recorded on several replicas, repeated by as many ranks: NT-Xent, and batch
//! norm over replicas.

use std::sync::Arc;

use candle_core::{Tensor, Var};
use simclr_collective::{Collective, run_threads};
use simclr_kernels::{Activation, Backend, BatchNormParameters, with_global_batch_norm};
use simclr_testkit::{GoldenCase, Tolerance};

use crate::forms::backends;
use crate::formula_model::formula_tensor;
use crate::report::CaseReport;
use crate::settings::loss_of;
use crate::tensors::{gradient_of, scalar};
use crate::{CaseChecks, Result};

/// How many replicas a case was recorded on; `None` for a case of one device.
pub fn replicas(case: &GoldenCase) -> Option<usize> {
    case.count("replicas").ok()
}

/// Judges what one of the [`replicas`] of a case computes, with as many ranks.
///
/// # Errors
/// A case of one device, or another number of ranks; if not every rank takes part.
pub fn check_rank(case: &GoldenCase, ranks: &Arc<dyn Collective>) -> Result<CaseReport> {
    let recorded = case.count("replicas")?;
    if recorded != ranks.size() {
        let found = ranks.size();
        return Err(case
            .error(format!(
                "recorded on {recorded} replicas, judged by {found} ranks"
            ))
            .into());
    }
    let mut checks = CaseChecks::new(case);
    if case.has("input") {
        for &backend in backends(case) {
            let form = match backend {
                Backend::Composite => "composite ",
                _ => "",
            };
            checks.report.prefix = format!("{form}rank {}: ", ranks.rank());
            batch_norm(&mut checks, ranks, backend)?;
        }
    } else {
        nt_xent(&mut checks, ranks)?;
    }
    Ok(checks.report)
}

/// Judges all replicas of a case, each by a thread.
pub(crate) fn check_in_threads(checks: &mut CaseChecks<'_>) -> Result<()> {
    let case = checks.case;
    for report in run_threads(case.count("replicas")?, |ranks| check_rank(case, &ranks)) {
        checks.report.checks.extend(report?.checks);
    }
    Ok(())
}

fn nt_xent(checks: &mut CaseChecks<'_>, ranks: &Arc<dyn Collective>) -> Result<()> {
    let case = checks.case;
    let replica = format!("replica{}", ranks.rank());
    let local = Var::from_tensor(case.tensor(&format!("{replica}/hidden"))?)?;
    let loss = loss_of(case)?.forward_over_ranks(&local, ranks, None)?.loss;

    let bound = Tolerance::relative_to_max(case.bound("loss_rel")?);
    let recorded = &case.description["result"]["loss_per_replica"][ranks.rank()];
    let recorded = recorded.as_f64().into_iter().collect::<Vec<_>>();
    let own = scalar(&loss)?;
    let name = format!("{replica}/loss");
    checks.report.compare(&name, bound, &[own], &recorded);
    let losses = ranks.all_gather(&[own])?;
    let mean = losses.iter().sum::<f64>() / losses.len() as f64;
    checks.compare_result("mean_of_replica_losses", bound, mean)?;

    let gradients = (loss / ranks.size() as f64)?.backward()?;
    let gradient = gradient_of(case, &gradients, &local, &replica)?;
    let bound = Tolerance::relative_to_max(case.bound("grad_rel_to_max_abs")?);
    checks.compare_tensor(&format!("{replica}/grad"), bound, gradient)
}

/// Batch norm over replicas is the batch norm of the whole batch.
fn batch_norm(
    checks: &mut CaseChecks<'_>,
    ranks: &Arc<dyn Collective>,
    backend: Backend,
) -> Result<()> {
    let case = checks.case;
    let (input, output) = (case.tensor("input")?, case.tensor("output")?);
    let rows = input.dim(0)? / ranks.size();
    let own = |tensor: &Tensor| tensor.narrow(0, ranks.rank() * rows, rows);
    let channels = input.dim(input.rank() - 1)?;
    let momentum = case.number("momentum")?;
    let start = |variable: &str| {
        formula_tensor(
            &format!("base_model/batch_normalization/{variable}"),
            &[channels],
            case.device(),
        )
    };
    let norm = BatchNormParameters {
        gamma: &start("gamma")?,
        beta: &start("beta")?,
        epsilon: case.number("eps")?,
    };
    let x = own(input)?;
    let (y, stats) = with_global_batch_norm(Arc::clone(ranks), || {
        backend.batch_norm_training(&x, norm, Activation::Identity, None)
    })?;
    let bound = Tolerance::absolute(case.bound("abs")?);
    let expected: Vec<f32> = own(output)?.flatten_all()?.to_vec1()?;
    let y: Vec<f32> = y.flatten_all()?.to_vec1()?;
    checks.report.compare("output", bound, &y, &expected);
    for (name, batch) in [
        ("moving_mean", &stats.mean),
        ("moving_variance", &stats.variance),
    ] {
        let moved = ((start(name)? * momentum)? + (batch * (1.0 - momentum))?)?;
        checks.compare_tensor(name, bound, &moved)?;
    }
    Ok(())
}
