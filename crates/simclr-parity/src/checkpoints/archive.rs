//! Checkpoints as TensorFlow wrote them, packed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use candle_core::{Device, Tensor};
use serde_json::{Value, json};
use simclr_checkpoint::tensorflow::Bundle;
use simclr_checkpoint::{
    CanonicalNames, CheckpointFile, ImportOptions, Imported, LoadNetwork, Values, import_with,
};
use simclr_model::{Mode, Role, SimClr, SimClrOutput, Stem};
use simclr_testkit::Tolerance;

use super::expected::{equal, read_json, require_form, shape, texts};
use crate::slots::our_slot;
use crate::tensors::{norm, values};
use crate::{CaseChecks, CaseReport, Result};

/// What stands in the key of a slot between the variable and the optimizer's word.
const SLOT_KEY: &str = "/.OPTIMIZER_SLOT/";

/// The recorded norms are sums in another order.
const NORM: Tolerance = Tolerance::relative_l2(1e-9);

pub(super) fn check(checks: &mut CaseChecks<'_>, archive: &str) -> Result<()> {
    let case = checks.case;
    let folder = tempfile::tempdir()?;
    unpack(&case.directory.join(archive), folder.path())?;
    let expected = read_json(case, "expected.json")?;
    let keys = keys(&expected);
    let bundle = Bundle::open(folder.path())?;
    bundle.verify()?;
    check_variables(&bundle, &expected, &keys, &mut checks.report)?;
    let slots = slots(&keys);
    check_names(&bundle, &keys, &slots, &mut checks.report)?;

    let mut options = ImportOptions::default().with_optimizer_state(!slots.is_empty());
    if case.params()["cifar_stem"].as_bool() == Some(true)
        && let Some(ratio) = case.params()["sk_ratio"].as_f64()
    {
        // No variable of a small network with this stem tells it.
        options = options.with_sk_ratio(ratio);
    }
    let imported = import_with(folder.path(), &options)?;
    check_network(checks, &imported);
    let report = &mut checks.report;
    check_accounting(&bundle, &imported, report);
    if let Some(step) = expected["global_step"].as_i64() {
        let found = imported.report.source.global_step;
        report.require("global step", found == Some(step));
    }
    let loaded = imported.load(&Device::Cpu)?;
    check_imported(&imported, &loaded, &expected, "", report)?;
    check_slots(&imported, &loaded, &expected, &slots, report)?;
    check_saved(&imported, &loaded, folder.path(), report)?;
    if keys.keys().any(|name| name.starts_with("ema_model/")) {
        let options = options
            .with_optimizer_state(false)
            .with_moving_average(true);
        let averaged = import_with(folder.path(), &options)?;
        let loaded = averaged.load(&Device::Cpu)?;
        check_imported(&averaged, &loaded, &expected, "ema_model/", report)?;
    }
    if case.has("input") {
        check_activations(checks, &imported)?;
    }
    Ok(())
}

/// Our name of the slot, with the canonical name of its variable, by the expected name.
type Slots = BTreeMap<String, (String, &'static str)>;

/// What an optimizer keeps for variables: by the expected name, the variable's canonical name and
/// our name of the slot. The key in an object graph has the optimizer's own word for it, which
/// counts before that of the expected name: recordings call the slots of every optimizer
/// `Momentum`.
fn slots(keys: &BTreeMap<String, String>) -> Slots {
    let slot = |(name, key): (&String, &String)| {
        let (variable, word) = name.rsplit_once('/')?;
        our_slot(word)?;
        let of_key = key.split_once(SLOT_KEY).map(|(_, slot)| slot.split('/'));
        let word = of_key.map_or(Some(word), |mut slot| slot.nth(1))?;
        Some((name.clone(), (variable.to_owned(), our_slot(word)?)))
    };
    keys.iter().filter_map(slot).collect()
}

fn unpack(archive: &Path, folder: &Path) -> Result<()> {
    let unpacked = std::fs::File::open(archive)
        .map_err(Into::into)
        .and_then(zip::ZipArchive::new)
        .and_then(|mut archive| archive.extract(folder));
    unpacked.map_err(|reason| format!("{}: {reason}", archive.display()).into())
}

/// Canonical name and key of each expected variable.
fn keys(expected: &Value) -> BTreeMap<String, String> {
    let table = texts(&expected["canonical_to_checkpoint_key"]);
    if !table.is_empty() {
        return table;
    }
    let variables = expected["variables"].as_object().into_iter();
    let names = variables.flat_map(|variables| variables.keys());
    names.map(|name| (name.clone(), name.clone())).collect()
}

/// Shape, type, norm and samples of everything in the bundle.
fn check_variables(
    bundle: &Bundle,
    expected: &Value,
    keys: &BTreeMap<String, String>,
    report: &mut CaseReport,
) -> Result<()> {
    for (name, key) in keys {
        let entry = &expected["variables"][name];
        let array = bundle.read(key)?;
        require_form(report, key, &array, entry);
        compare_values(key, &array.values.to_f64(), entry, report);
    }
    let others = expected["other_keys"].as_object().into_iter().flatten();
    let mut known: BTreeSet<&str> = keys.values().map(String::as_str).collect();
    for (key, entry) in others {
        known.insert(key.as_str());
        if entry["value"].is_number() {
            let same = match bundle.read(key)?.values {
                Values::I64(values) => entry["value"].as_i64().is_some_and(|v| values == [v]),
                values => entry["value"]
                    .as_f64()
                    .is_some_and(|v| values.to_f64() == [v]),
            };
            report.require(&format!("{key}: value"), same);
        }
    }
    let same = bundle.variables().map(|(name, _)| name).eq(known);
    report.require("the same names in the file", same);
    Ok(())
}

/// Norm and samples.
fn compare_values(name: &str, values: &[f64], entry: &Value, report: &mut CaseReport) {
    let norms: Vec<f64> = entry["l2"].as_f64().into_iter().collect();
    let norm = norm(values.iter().copied());
    report.compare(&format!("{name}: norm"), NORM, &[norm], &norms);
    let numbers = |key: &str| -> Vec<f64> {
        let list = entry[key].as_array().into_iter().flatten();
        list.filter_map(Value::as_f64).collect()
    };
    let sample = |index: f64| values.get(index as usize).copied().unwrap_or(f64::NAN);
    let samples: Vec<f64> = numbers("idx").into_iter().map(sample).collect();
    let exact = Tolerance::absolute(0.0);
    let label = format!("{name}: samples");
    report.compare(&label, exact, &samples, &numbers("val"));
}

/// Every variable gets its canonical name; what has none is no part of a network.
fn check_names(
    bundle: &Bundle,
    keys: &BTreeMap<String, String>,
    slots: &Slots,
    report: &mut CaseReport,
) -> Result<()> {
    let names = CanonicalNames::of(bundle)?;
    let found = |name: &str| match slots.get(name) {
        Some((variable, slot)) => names.slots.get(&(variable.clone(), (*slot).to_owned())),
        None => match name.strip_prefix("ema_model/") {
            Some(name) => names.moving_averages.get(name),
            None => names.weights.get(name),
        },
    };
    let is_named = |(name, key): &(&String, &String)| found(name) == Some(key);
    let (named, others): (Vec<_>, Vec<_>) = keys.iter().partition(is_named);
    let parts = ["base_model/", "head_", "ema_model/"];
    let is_foreign = |(name, key): &(&String, &String)| {
        names.others.contains(key) && !parts.iter().any(|part| name.starts_with(part))
    };
    let count = names.weights.len() + names.moving_averages.len() + names.slots.len();
    let complete = named.len() == count && others.iter().all(is_foreign);
    report.require("canonical names", complete && names.conflicts.is_empty());
    Ok(())
}

/// The architecture that the case's parameters tell.
fn check_network(checks: &mut CaseChecks<'_>, imported: &Imported) {
    let encoder = &imported.config.encoder;
    let head = imported.config.supervised_head.as_ref();
    for (key, recognised) in [
        ("depth", json!(encoder.depth)),
        ("width_multiplier", json!(encoder.width_multiplier)),
        ("cifar_stem", json!(encoder.stem == Stem::Cifar)),
        ("sk_ratio", json!(encoder.sk_ratio)),
        ("se_ratio", json!(encoder.se_ratio)),
        ("num_classes", json!(head.map(|head| head.num_classes))),
    ] {
        let expected = &checks.case.params()[key];
        if !expected.is_null() {
            let same = equal(&recognised, expected);
            checks.report.require(&format!("recognised {key}"), same);
        }
    }
}

/// Each variable of the file is either used or listed as unused with a reason.
fn check_accounting(bundle: &Bundle, imported: &Imported, report: &mut CaseReport) {
    let found = &imported.report;
    let used = found.parameters.iter().chain(&found.optimizer_state);
    let used: Vec<&str> = used.map(|origin| origin.source.as_str()).collect();
    let unused = found.unused.iter().map(|unused| unused.source.as_str());
    let mut accounted: Vec<&str> = used.iter().copied().chain(unused).collect();
    accounted.sort_unstable();
    let all = bundle.variables().map(|(name, _)| name);
    report.require("every variable accounted for, once", all.eq(accounted));
    let reasons = found.unused.iter().all(|unused| !unused.reason.is_empty());
    report.require("every unused variable has a reason", reasons);
}

/// Our parameters have the values of the variables that they come from.
fn check_imported(
    imported: &Imported,
    loaded: &CheckpointFile,
    expected: &Value,
    prefix: &str,
    report: &mut CaseReport,
) -> Result<()> {
    let variables = &expected["variables"];
    for spec in imported.config.parameter_specs()? {
        let mut entry = &variables[format!("{prefix}{}", spec.original_name)];
        let statistic = matches!(spec.role, Role::MovingMean | Role::MovingVariance);
        if statistic && entry.is_null() {
            entry = &variables[&spec.original_name];
        }
        let label = format!("{prefix}{}", spec.name);
        compare_tensor(loaded, &label, &spec.name, entry, report)?;
    }
    Ok(())
}

/// Our optimizer's tensors have the values of the slots that they come from.
fn check_slots(
    imported: &Imported,
    loaded: &CheckpointFile,
    expected: &Value,
    slots: &Slots,
    report: &mut CaseReport,
) -> Result<()> {
    let specs = imported.config.parameter_specs()?;
    for (name, (variable, slot)) in slots {
        if let Some(spec) = specs.iter().find(|spec| spec.original_name == *variable) {
            let slot = format!("{}.{slot}", spec.name);
            compare_tensor(loaded, &slot, &slot, &expected["variables"][name], report)?;
        }
    }
    Ok(())
}

fn compare_tensor(
    loaded: &CheckpointFile,
    label: &str,
    name: &str,
    entry: &Value,
    report: &mut CaseReport,
) -> Result<()> {
    let tensor = loaded.tensors.get(name);
    let same_shape = tensor.map(|tensor| tensor.dims().to_vec()) == shape(&entry["shape"]);
    report.require(&format!("{label}: shape"), same_shape && tensor.is_some());
    if let Some(tensor) = tensor {
        compare_values(label, &values(tensor)?, entry, report);
    }
    Ok(())
}

/// The saved file is the loaded network.
fn check_saved(
    imported: &Imported,
    loaded: &CheckpointFile,
    folder: &Path,
    report: &mut CaseReport,
) -> Result<()> {
    let path = folder.join("saved.safetensors");
    imported.save(&path)?;
    let saved = CheckpointFile::load(&path, &Device::Cpu)?;
    let mut same = saved.metadata == loaded.metadata;
    same &= saved.tensors.keys().eq(loaded.tensors.keys());
    for (a, b) in saved.tensors.values().zip(loaded.tensors.values()) {
        same &= a.dims() == b.dims() && bits(a)? == bits(b)?;
    }
    report.require("the saved file is the same network", same);
    let model = SimClr::load(&path, &Device::Cpu)?;
    report.require("the saved file loads", *model.config() == imported.config);
    Ok(())
}

fn bits(tensor: &Tensor) -> Result<Vec<u64>> {
    Ok(values(tensor)?.into_iter().map(f64::to_bits).collect())
}

/// The imported network computes what the original computed.
fn check_activations(checks: &mut CaseChecks<'_>, imported: &Imported) -> Result<()> {
    let case = checks.case;
    let tolerance = Tolerance::relative_to_max(case.bound("rel_to_max_abs")?);
    let model = imported.model(&Device::Cpu)?;
    let output = model.forward(case.tensor("input")?, Mode::Infer)?;
    for name in case.names() {
        if let Some(activation) = name.strip_prefix("out/") {
            let none = || case.error(format!("an output `{activation}`"));
            let found = activation_of(&output, activation)?.ok_or_else(none)?;
            checks.compare_tensor(name, tolerance, &found)?;
        }
    }
    Ok(())
}

fn activation_of(output: &SimClrOutput, name: &str) -> Result<Option<Tensor>> {
    Ok(match name {
        "proj_head_input" => Some(output.h().clone()),
        "proj_head_output" => Some(output.z().clone()),
        "logits_sup" => output.logits.clone(),
        name => {
            let mut named = output.encoder.named()?.into_iter();
            named.find_map(|(known, tensor)| (known == name).then_some(tensor))
        }
    })
}
