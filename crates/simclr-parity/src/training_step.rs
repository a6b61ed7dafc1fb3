//! Kinds `pretrain_step` and `finetune_step`: some steps of training from known weights.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use candle_core::{DType, Tensor};
use serde_json::Value;
use simclr_kernels::{Backend, ConvolutionMethod, KernelOptions};
use simclr_model::{Freeze, ResNetConfig, SimClr, SimClrConfig, Stem};
use simclr_optim::{AdamConfig, LarsConfig, OptimizerConfig, SgdConfig};
use simclr_optim::{ScheduleConfig, WarmupCosine};
use simclr_testkit::{GoldenCase, Tolerance};
use simclr_train::{ContrastiveObjective, Objective, StepMetrics, SupervisedObjective, Trainer};

use crate::formula_model::{formula_model, with_heads};
use crate::schedule::scaling;
use crate::settings::loss_of;
use crate::slots::slots_of;
use crate::tensors::{norm, values as flat};
use crate::{CaseChecks, CaseReport, Result};

/// The values of variables or slots by their original names.
type Values = BTreeMap<String, Vec<f32>>;

/// Orders of summation that are as good as each other.
const FORMS: [(Backend, ConvolutionMethod); 3] = [
    (Backend::Auto, ConvolutionMethod::Direct),
    (Backend::Auto, ConvolutionMethod::Fastest),
    (Backend::Composite, ConvolutionMethod::Direct),
];

/// Judges the steps in the fused and in the composite form.
///
/// The first step has to agree in every form that is tried. Later steps amplify rounding:
/// images that differ in their last bit change the losses of the fourth by a fifth. So what
/// was recorded is one of many outcomes that rounding alone decides about, and the case
/// passes if one of our forms, none of which is nearer to the truth than another, meets all
/// bounds. A wrong method would miss them in all.
pub(crate) fn check(checks: &mut CaseChecks<'_>) -> Result<()> {
    let mut first = None;
    for (backend, method) in FORMS {
        let options = KernelOptions::default().with_convolution_method(method);
        checks.report = CaseReport::default();
        options.scope(|| check_form(checks, backend))?;
        if checks.report.passed() || !checks.report.passed_below("step1/") {
            return Ok(());
        }
        first.get_or_insert_with(|| checks.report.clone());
    }
    checks.report = first.unwrap_or_default();
    Ok(())
}

fn check_form(checks: &mut CaseChecks<'_>, backend: Backend) -> Result<()> {
    let case = checks.case;
    let mut trainer = trainer(case, backend)?;
    let start = values(trainer.model())?;
    let mut before = start.clone();
    let mut never: BTreeSet<String> = start.keys().cloned().collect();
    for step in 0..case.count("steps")? {
        let (images, labels) = batch(case, step)?;
        let metrics = trainer.step(&images, Some(&labels))?;
        compare_metrics(checks, step, &metrics)?;

        let after = values(trainer.model())?;
        let changed = differing(&before, &after);
        let label = format!("step{}", step + 1);
        let recorded = names(&case.description["changed_bitwise_per_step"][&label]);
        let same = changed == recorded;
        checks.report.require(&format!("{label}/changed"), same);
        never.retain(|name| !changed.contains(name));
        compare_norms(checks, &label, &trainer, (&start, &after))?;
        before = after;
    }
    let slots: BTreeSet<_> = slots(&trainer)?.into_keys().collect();
    for (what, result) in [("never_changed", never), ("slots_present", slots)] {
        let same = result == names(&case.description[what]);
        checks.report.require(what, same);
    }
    Ok(())
}

fn trainer(case: &GoldenCase, backend: Backend) -> Result<Trainer> {
    let mut model = formula_model(&model_config(case)?, DType::F32, case.device())?;
    model.set_backend(backend);
    let pretraining = case.text("train_mode")? == "pretrain";
    // Only the fork freezes while it pretrains.
    if !pretraining || case.text("variant")? == "fork" {
        let freeze = Freeze::try_from(case.integer("fine_tune_after_block")?)?;
        model.set_freeze(freeze.with_original_batch_norm())?;
    }
    let objective: Arc<dyn Objective> = if pretraining {
        let loss = loss_of(case)?;
        Arc::new(ContrastiveObjective { loss })
    } else {
        Arc::new(SupervisedObjective)
    };
    let steps = case.params()["train_steps"].as_u64();
    let steps = steps.filter(|&steps| steps > 0);
    let schedule = ScheduleConfig::default()
        .with_learning_rate(case.number("learning_rate")?)
        .with_scaling(scaling(case, "learning_rate_scaling")?)
        .with_warmup_epochs(case.number("warmup_epochs")?)
        .with_epochs(case.count("train_epochs")?)
        .with_steps(steps.map(|steps| steps as usize));
    let examples = case.count("num_examples_for_schedule")?;
    let schedule = WarmupCosine::new(&schedule, examples, case.count("train_batch_size")?)?;
    let decay = case.number("weight_decay")?;
    let optimizer = optimizer(case)?.with_weight_decay(decay);
    let optimizer = optimizer.build(model.trainable())?;
    let trainer = Trainer::with_parts(model, objective, optimizer, decay, schedule);
    Ok(trainer?)
}

fn model_config(case: &GoldenCase) -> Result<SimClrConfig> {
    let encoder = ResNetConfig::depth(case.count("resnet_depth")?)
        .with_width_multiplier(case.count("width_multiplier")?)
        .with_stem(Stem::for_image_size(case.count("image_size")?))
        .with_sk_ratio(case.number("sk_ratio")?)
        .with_se_ratio(case.number("se_ratio")?);
    with_heads(case, encoder)
}

fn optimizer(case: &GoldenCase) -> Result<OptimizerConfig> {
    let momentum = case.number("momentum")?;
    match case.text("optimizer")? {
        "lars" => {
            let config = LarsConfig::default().with_momentum(momentum);
            Ok(OptimizerConfig::Lars(config))
        }
        "momentum" => {
            let config = SgdConfig::default().with_momentum(momentum);
            Ok(OptimizerConfig::Momentum(config))
        }
        "adam" => Ok(OptimizerConfig::Adam(AdamConfig::default())),
        other => Err(case.error(format!("no optimizer `{other}`")).into()),
    }
}

/// Images `[views * batch, h, w, 3]`, the first views first, and labels `[batch]`.
fn batch(case: &GoldenCase, step: usize) -> Result<(Tensor, Tensor)> {
    let images = case.tensor("images_u8")?.get(step)?;
    // A division, as in the original: a product with 1/255 rounds otherwise.
    let scale = Tensor::new(255f32, images.device())?;
    let images = images.to_dtype(DType::F32)?.broadcast_div(&scale)?;
    let views = images.dim(3)? / 3;
    let views = (0..views)
        .map(|view| images.narrow(3, 3 * view, 3))
        .collect::<candle_core::Result<Vec<_>>>()?;
    let labels = case.tensor("labels")?.get(step)?.to_dtype(DType::U32)?;
    Ok((Tensor::cat(&views, 0)?.contiguous()?, labels))
}

fn compare_metrics(checks: &mut CaseChecks<'_>, step: usize, metrics: &StepMetrics) -> Result<()> {
    let case = checks.case;
    let relative = Tolerance::relative_to_max(match step {
        0 => case.bound("metrics_rel_step1")?,
        _ => case.bound("metrics_rel")?,
    });
    let share = Tolerance::absolute(case.bound("acc_abs")?);
    let metric = |name: &str| match name {
        "learning_rate" => Some((metrics.learning_rate, Tolerance::relative_to_max(1e-6))),
        "train/total_loss" => Some((metrics.total_loss, relative)),
        "train/weight_decay" => Some((metrics.weight_decay, relative)),
        _ => {
            let name = name.strip_prefix("train/")?;
            match name.strip_suffix("_acc") {
                Some(objective) => Some((metrics.get(&format!("{objective}_accuracy"))?, share)),
                None => Some((metrics.get(name)?, relative)),
            }
        }
    };
    let recorded = case.description["metrics_per_step"][step].as_object();
    let recorded =
        recorded.ok_or_else(|| case.error(format!("expected `metrics_per_step[{step}]`")))?;
    for (name, reference) in recorded {
        let label = format!("step{}/{name}", step + 1);
        match (metric(name), reference.as_f64()) {
            (Some((result, bound)), Some(reference)) => {
                checks
                    .report
                    .compare(&label, bound, &[result], &[reference]);
            }
            _ => checks.report.require(&label, false),
        }
    }
    Ok(())
}

/// All variables by their original names.
fn values(model: &SimClr) -> Result<Values> {
    model
        .parameters()
        .map(|p| Ok((p.spec.original_name.clone(), flat(&p.variable)?)))
        .collect()
}

fn differing(before: &Values, after: &Values) -> BTreeSet<String> {
    let changed = after
        .iter()
        .filter(|(name, values)| before.get(*name) != Some(*values));
    changed.map(|(name, _)| name.clone()).collect()
}

fn names(list: &Value) -> BTreeSet<String> {
    let names = list.as_array().into_iter().flatten();
    names.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The optimizer's slots by the recording's names: `<original name>/<slot>`.
fn slots(trainer: &Trainer) -> Result<Values> {
    let state = trainer.optimizer().state()?;
    let mut slots = BTreeMap::new();
    for parameter in trainer.model().parameters() {
        for (word, slot) in slots_of(&state, &parameter.spec.name) {
            let name = format!("{}/{word}", parameter.spec.original_name);
            slots.insert(name, flat(slot)?);
        }
    }
    Ok(slots)
}

/// Norms of variables, of slots and of the change of variables since the start, after
/// the steps for which they are recorded.
fn compare_norms(
    checks: &mut CaseChecks<'_>,
    label: &str,
    trainer: &Trainer,
    (start, after): (&Values, &Values),
) -> Result<()> {
    let case = checks.case;
    let Some(recorded) = case.description[format!("l2_after_{label}")].as_object() else {
        return Ok(());
    };
    let mut compare = |what: &str, name: &str, bound, result: Option<f64>, reference: &Value| {
        let result = result.unwrap_or(f64::NAN);
        let reference = reference.as_f64().unwrap_or(f64::NAN);
        let name = format!("{label}/{what}/{name}");
        checks.report.compare(&name, bound, &[result], &[reference]);
    };
    let wide = |values: &Vec<f32>| norm(values.iter().map(|&v| f64::from(v)));
    let slots = slots(trainer)?;
    let changes = &case.description[format!("l2_of_change_since_start_after_{label}")];
    let slot_bound = Tolerance::relative_to_max(case.bound("l2_rel_slots")?);
    for (name, reference) in recorded {
        let (values, bound) = match after.get(name) {
            Some(values) => (Some(values), variable_bound(case, label, &changes[name])?),
            None => (slots.get(name), slot_bound),
        };
        compare("l2", name, bound, values.map(wide), reference);
    }
    let bound = Tolerance::relative_to_max(case.bound("change_norm_rel")?);
    for (name, reference) in changes.as_object().into_iter().flatten() {
        let result = after.get(name).zip(start.get(name)).map(|(after, start)| {
            let pairs = after.iter().zip(start);
            norm(pairs.map(|(a, b)| f64::from(*a) - f64::from(*b)))
        });
        compare("change", name, bound, result, reference);
    }
    Ok(())
}

/// How near the norm of a variable must be. After the first step, `l2_rel_variables`.
/// Later steps amplify rounding, and `change_norm_rel` allows for it in the change since
/// the start; a norm can be off by what the change may be off.
fn variable_bound(case: &GoldenCase, label: &str, change: &Value) -> Result<Tolerance> {
    let bound = Tolerance::relative_to_max(case.bound("l2_rel_variables")?);
    if label == "step1" {
        return Ok(bound);
    }
    let change = change.as_f64().unwrap_or(0.0);
    Ok(bound.plus_absolute(case.bound("change_norm_rel")? * change))
}
