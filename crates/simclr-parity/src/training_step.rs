//! Kinds `pretrain_step` and `finetune_step`: some steps of training from known weights.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use candle_core::{DType, Tensor};
use serde_json::Value;
use simclr_kernels::{Backend, ConvolutionMethod, KernelOptions};
use simclr_loss::NtXent;
use simclr_model::{Freeze, ResNetConfig, SimClr, SimClrConfig, Stem};
use simclr_optim::{AdamConfig, LarsConfig, OptimizerConfig, SgdConfig};
use simclr_optim::{ScheduleConfig, WarmupCosine};
use simclr_testkit::{GoldenCase, Tolerance};
use simclr_train::{ContrastiveObjective, Objective, StepMetrics, SupervisedObjective, Trainer};

use crate::formula_model::{formula_model, with_heads};
use crate::schedule::scaling;
use crate::slots::slots_of;
use crate::tensors::values as flat;
use crate::{CaseReport, Result};

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
pub(crate) fn check(case: &GoldenCase) -> Result<CaseReport> {
    let mut first = None;
    for (backend, method) in FORMS {
        let options = KernelOptions::default().with_convolution_method(method);
        let report = options.scope(|| check_form(case, backend))?;
        if report.passed() || !report.passed_below("step1/") {
            return Ok(report);
        }
        first.get_or_insert(report);
    }
    Ok(first.unwrap_or_default())
}

fn check_form(case: &GoldenCase, backend: Backend) -> Result<CaseReport> {
    let mut trainer = trainer(case, backend)?;
    let start = values(trainer.model())?;
    let mut before = start.clone();
    let mut changed_ever = BTreeSet::new();
    let mut report = CaseReport::default();
    for step in 0..case.count("steps")? {
        let (images, labels) = batch(case, step)?;
        let metrics = trainer.step(&images, Some(&labels))?;
        compare_metrics(&mut report, case, step, &metrics)?;

        let after = values(trainer.model())?;
        let changed = differing(&before, &after);
        let label = format!("step{}", step + 1);
        let recorded = names(&case.description["changed_bitwise_per_step"][&label]);
        report.require(&format!("{label}/changed"), changed == recorded);
        changed_ever.extend(changed);
        compare_norms(&mut report, case, &label, &trainer, (&start, &after))?;
        before = after;
    }
    let never: BTreeSet<_> = start
        .keys()
        .filter(|&name| !changed_ever.contains(name))
        .cloned()
        .collect();
    report.require(
        "never_changed",
        never == names(&case.description["never_changed"]),
    );
    let slots: BTreeSet<_> = slots(&trainer)?.into_keys().collect();
    report.require(
        "slots_present",
        slots == names(&case.description["slots_present"]),
    );
    Ok(report)
}

fn trainer(case: &GoldenCase, backend: Backend) -> Result<Trainer> {
    let mut model = formula_model(&model_config(case)?, DType::F32)?;
    model.set_backend(backend);
    let pretraining = case.text("train_mode")? == "pretrain";
    // Only the fork freezes while it pretrains.
    if !pretraining || case.text("variant")? == "fork" {
        let freeze = Freeze::try_from(case.integer("fine_tune_after_block")?)?;
        model.set_freeze(freeze.with_original_batch_norm())?;
    }
    let objective: Arc<dyn Objective> = if pretraining {
        let loss = NtXent {
            temperature: case.number("temperature")?,
            normalize: case.flag("hidden_norm")?,
            ..NtXent::default()
        };
        Arc::new(ContrastiveObjective { loss })
    } else {
        Arc::new(SupervisedObjective)
    };
    let schedule = ScheduleConfig::default()
        .with_learning_rate(case.number("learning_rate")?)
        .with_scaling(scaling(case, "learning_rate_scaling")?)
        .with_warmup_epochs(case.number("warmup_epochs")?)
        .with_epochs(case.count("train_epochs")?)
        .with_steps(
            case.params()["train_steps"]
                .as_u64()
                .filter(|&steps| steps > 0)
                .map(|steps| steps as usize),
        );
    let schedule = WarmupCosine::new(
        &schedule,
        case.count("num_examples_for_schedule")?,
        case.count("train_batch_size")?,
    )?;
    let weight_decay = case.number("weight_decay")?;
    let optimizer = optimizer(case)?.with_weight_decay(weight_decay);
    let optimizer = optimizer.build(model.trainable())?;
    Ok(Trainer::with_parts(
        model,
        objective,
        optimizer,
        weight_decay,
        schedule,
    )?)
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
        "lars" => Ok(OptimizerConfig::Lars(
            LarsConfig::default().with_momentum(momentum),
        )),
        "momentum" => Ok(OptimizerConfig::Momentum(
            SgdConfig::default().with_momentum(momentum),
        )),
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

fn compare_metrics(
    report: &mut CaseReport,
    case: &GoldenCase,
    step: usize,
    metrics: &StepMetrics,
) -> Result<()> {
    let relative = Tolerance::relative_to_max(match step {
        0 => case.bound("metrics_rel_step1")?,
        _ => case.bound("metrics_rel")?,
    });
    let share = Tolerance::absolute(case.bound("acc_abs")?);
    let results = [
        (
            "learning_rate",
            Some(metrics.learning_rate),
            Tolerance::relative_to_max(1e-6),
        ),
        ("train/total_loss", Some(metrics.total_loss), relative),
        ("train/weight_decay", Some(metrics.weight_decay), relative),
        (
            "train/contrast_loss",
            metrics.get("contrast_loss"),
            relative,
        ),
        (
            "train/contrast_acc",
            metrics.get("contrast_accuracy"),
            share,
        ),
        (
            "train/contrast_entropy",
            metrics.get("contrast_entropy"),
            relative,
        ),
        (
            "train/supervised_loss",
            metrics.get("supervised_loss"),
            relative,
        ),
        (
            "train/supervised_acc",
            metrics.get("supervised_accuracy"),
            share,
        ),
    ];
    let recorded = case.description["metrics_per_step"][step].as_object();
    let recorded =
        recorded.ok_or_else(|| case.error(format!("expected `metrics_per_step[{step}]`")))?;
    for (name, reference) in recorded {
        let label = format!("step{}/{name}", step + 1);
        let result = results.iter().find(|result| result.0 == name);
        match (result, reference.as_f64()) {
            (Some((_, Some(result), bound)), Some(reference)) => {
                report.compare_number(&label, *bound, *result, reference);
            }
            _ => report.require(&label, false),
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
            slots.insert(
                format!("{}/{word}", parameter.spec.original_name),
                flat(slot)?,
            );
        }
    }
    Ok(slots)
}

/// Norms of variables, of slots and of the change of variables since the start, after
/// the steps for which they are recorded.
fn compare_norms(
    report: &mut CaseReport,
    case: &GoldenCase,
    label: &str,
    trainer: &Trainer,
    (start, after): (&Values, &Values),
) -> Result<()> {
    let Some(recorded) = case.description[format!("l2_after_{label}")].as_object() else {
        return Ok(());
    };
    let slots = slots(trainer)?;
    let changes = &case.description[format!("l2_of_change_since_start_after_{label}")];
    let slot_bound = Tolerance::relative_to_max(case.bound("l2_rel_slots")?);
    for (name, reference) in recorded {
        let (values, bound) = match after.get(name) {
            Some(values) => (Some(values), variable_bound(case, label, &changes[name])?),
            None => (slots.get(name), slot_bound),
        };
        let result = values.map_or(f64::NAN, |values| {
            norm(values.iter().map(|&v| f64::from(v)))
        });
        let reference = reference.as_f64().unwrap_or(f64::NAN);
        report.compare_number(&format!("{label}/l2/{name}"), bound, result, reference);
    }
    let bound = Tolerance::relative_to_max(case.bound("change_norm_rel")?);
    for (name, reference) in changes.as_object().into_iter().flatten() {
        let result = match (after.get(name), start.get(name)) {
            (Some(after), Some(start)) => norm(
                after
                    .iter()
                    .zip(start)
                    .map(|(a, b)| f64::from(*a) - f64::from(*b)),
            ),
            _ => f64::NAN,
        };
        let reference = reference.as_f64().unwrap_or(f64::NAN);
        report.compare_number(&format!("{label}/change/{name}"), bound, result, reference);
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

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}
