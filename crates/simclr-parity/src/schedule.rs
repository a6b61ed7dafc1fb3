//! The learning rate of every step.

use crate::{CaseChecks, Result};
use simclr_optim::{LearningRateScaling, ScheduleConfig, WarmupCosine};
use simclr_testkit::{GoldenCase, Tolerance};

pub(crate) fn check(checks: &mut CaseChecks<'_>) -> Result<()> {
    let case = checks.case;
    let steps = case.params()["train_steps"].as_u64();
    let config = ScheduleConfig::default()
        .with_learning_rate(case.number("lr")?)
        .with_scaling(scaling(case, "scaling")?)
        .with_warmup_epochs(case.number("warmup")?)
        .with_epochs(case.count("epochs")?)
        .with_steps(steps.map(|steps| steps as usize));
    let schedule = WarmupCosine::new(&config, case.count("n")?, case.count("bs")?)?;

    let bound = Tolerance::relative_to_max(case.bound("rel_to_max_abs")?);
    for reference in ["lr", "f64_formula"] {
        let steps = 0..case.tensor(reference)?.elem_count();
        let rates: Vec<f64> = steps.map(|step| schedule.at(step)).collect();
        checks.compare(reference, bound, &rates)?;
    }
    for (name, steps) in [
        ("total_steps", schedule.total_steps()),
        ("warmup_steps", schedule.warmup_steps()),
    ] {
        checks.report.require(name, steps == case.count(name)?);
    }
    let peak = case.number("scaled_lr")?;
    checks
        .report
        .compare("scaled_lr", bound, &[schedule.peak()], &[peak]);
    Ok(())
}

/// The scaling rule that a parameter names.
pub(crate) fn scaling(case: &GoldenCase, key: &str) -> Result<LearningRateScaling> {
    match case.text(key)? {
        "linear" => Ok(LearningRateScaling::Linear),
        "sqrt" => Ok(LearningRateScaling::Sqrt),
        other => Err(case
            .error(format!("no learning rate scaling `{other}`"))
            .into()),
    }
}
