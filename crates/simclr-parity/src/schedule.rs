//! The learning rate of every step.

use simclr_optim::{LearningRateScaling, ScheduleConfig, WarmupCosine};
use simclr_testkit::{GoldenCase, Tolerance};

use crate::{CaseReport, Result};

pub(crate) fn check(case: &GoldenCase) -> Result<CaseReport> {
    let params = case.params();
    let config = ScheduleConfig::default()
        .with_learning_rate(case.number("lr")?)
        .with_scaling(scaling(case, "scaling")?)
        .with_warmup_epochs(case.number("warmup")?)
        .with_epochs(case.count("epochs")?)
        .with_steps(params["train_steps"].as_u64().map(|steps| steps as usize));
    let schedule = WarmupCosine::new(&config, case.count("n")?, case.count("bs")?)?;

    let mut report = CaseReport::default();
    let bound = Tolerance::relative_to_max(case.bound("rel_to_max_abs")?);
    for reference in ["lr", "f64_formula"] {
        let steps = 0..case.tensor(reference)?.elem_count();
        let rates: Vec<f64> = steps.map(|step| schedule.at(step)).collect();
        report.compare_recorded_f64(case, reference, bound, &rates)?;
    }
    report.require(
        "total_steps",
        schedule.total_steps() == case.count("total_steps")?,
    );
    report.require(
        "warmup_steps",
        schedule.warmup_steps() == case.count("warmup_steps")?,
    );
    let peak = case.number("scaled_lr")?;
    report.compare_number("scaled_lr", bound, schedule.peak(), peak);
    Ok(report)
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
