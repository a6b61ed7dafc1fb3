//! Trajectories of optimizers: weights and slots after every step.

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};
use serde_json::Value;
use simclr_optim::{
    AdamConfig, LarsConfig, MomentumForm, NamedVariable, Optimizer, OptimizerConfig, SgdConfig,
};
use simclr_testkit::{GoldenCase, Tolerance};

use crate::slots::slots_of;
use crate::tensors::values;
use crate::{CaseChecks, Result};

pub(crate) fn check(checks: &mut CaseChecks<'_>) -> Result<()> {
    let case = checks.case;
    let tolerance = Tolerance::relative_to_max(case.bound("rel_to_max_abs")?);
    let variables = variables(case)?;
    let mut optimizer = configuration(case)?.build(variables.clone())?;
    let mut trajectory: BTreeMap<String, Vec<f32>> = BTreeMap::new();
    for (step, rate) in case.list("lr_per_step")?.iter().enumerate() {
        let no_number = || case.error("expected numbers in `params.lr_per_step`");
        let rate = rate.as_f64().ok_or_else(no_number)?;
        optimizer.step(&gradients(case, &variables, step)?, rate)?;
        for (name, values) in snapshot(&variables, optimizer.as_ref())? {
            trajectory.entry(name).or_default().extend(values);
        }
    }
    for name in case.names() {
        if let Some(quantity) = name.strip_prefix("traj/") {
            let result = trajectory.get(quantity).map_or(&[][..], Vec::as_slice);
            let reference = case.values(name)?;
            checks
                .report
                .compare(quantity, tolerance, result, &reference);
        }
    }
    Ok(())
}

fn variables(case: &GoldenCase) -> Result<Vec<NamedVariable>> {
    case.list("variables")?
        .iter()
        .filter_map(Value::as_str)
        .map(|name| {
            Ok(NamedVariable {
                name: name.to_owned(),
                variable: Var::from_tensor(case.tensor(&format!("init/{name}"))?)?,
            })
        })
        .collect()
}

fn configuration(case: &GoldenCase) -> Result<OptimizerConfig> {
    let kind = case.params()["kind"].as_str().unwrap_or_default();
    Ok(match kind {
        "lars" => {
            let exclude = case.params()["exclude"].as_array().into_iter().flatten();
            let exclude = exclude.filter_map(Value::as_str);
            let form = if case.flag("classic_momentum")? {
                MomentumForm::Classic
            } else {
                MomentumForm::Popular
            };
            let config = LarsConfig::default()
                .with_momentum(case.number("momentum")?)
                .with_nesterov(case.flag("use_nesterov")?)
                .with_weight_decay(case.number("weight_decay")?)
                .with_trust_coefficient(case.number("eeta")?)
                .with_momentum_form(form)
                .with_exclude_from_weight_decay(exclude);
            OptimizerConfig::Lars(config)
        }
        "sgd" => {
            let config = SgdConfig::default().with_momentum(case.number("momentum")?);
            OptimizerConfig::Momentum(config.with_nesterov(true))
        }
        "adam" => {
            let config = AdamConfig::default()
                .with_beta1(case.number("adam_beta1")?)
                .with_beta2(case.number("adam_beta2")?)
                .with_epsilon(case.number("adam_eps")?);
            OptimizerConfig::Adam(config)
        }
        _ => return Err(case.error(format!("no optimizer `{kind}`")).into()),
    })
}

fn gradients(
    case: &GoldenCase,
    variables: &[NamedVariable],
    step: usize,
) -> Result<BTreeMap<String, Tensor>> {
    variables
        .iter()
        .map(|variable| {
            let all = case.tensor(&format!("grads/{}", variable.name))?;
            Ok((variable.name.clone(), all.get(step)?))
        })
        .collect()
}

/// The weights and slots by the names of the recording.
fn snapshot(
    variables: &[NamedVariable],
    optimizer: &dyn Optimizer,
) -> Result<Vec<(String, Vec<f32>)>> {
    let state = optimizer.state()?;
    let mut snapshot = Vec::new();
    for NamedVariable { name, variable } in variables {
        snapshot.push((format!("{name}/w"), values(variable.as_tensor())?));
        for (word, slot) in slots_of(&state, name) {
            snapshot.push((format!("{name}/{word}"), values(slot)?));
        }
    }
    Ok(snapshot)
}
