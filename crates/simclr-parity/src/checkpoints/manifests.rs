//! The variables of the official architectures: recognised from their shapes, and listed again
//! from what was recognised.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use simclr_checkpoint::{ImportOptions, recognize};
use simclr_model::{ModelStage, ParameterSpec};
use simclr_testkit::GoldenCase;

use super::expected::{equal, shape};
use crate::{CaseReport, Result};

pub(super) fn check(
    case: &GoldenCase,
    file: &str,
    manifest: &Value,
    report: &mut CaseReport,
) -> Result<()> {
    let listed = manifest["tf1_variables"].as_array();
    let pair = |entry: &Value| Some((entry[0].as_str()?.to_owned(), shape(&entry[1])?));
    let listed: Option<Vec<_>> = listed.and_then(|list| list.iter().map(pair).collect());
    let listed = listed.ok_or_else(|| case.error(format!("{file}: no variables")))?;
    let shapes: BTreeMap<_, _> = listed.iter().cloned().collect();
    let config = recognize(Path::new(file), &shapes, &ImportOptions::default())?;
    let specs = config.parameter_specs()?;
    let ours: BTreeMap<String, Vec<usize>> = specs
        .iter()
        .map(|spec| (spec.original_name.clone(), spec.shape.clone()))
        .collect();
    let mut require = |what: &str, holds: bool| report.require(&format!("{file}: {what}"), holds);
    require(
        "the same variables",
        ours == shapes && specs.len() == listed.len(),
    );

    let values = |wanted: &dyn Fn(&ParameterSpec) -> bool| -> u64 {
        let wanted = specs.iter().filter(|spec| wanted(spec));
        wanted.map(|spec| spec.element_count() as u64).sum()
    };
    let is_base = |stage: ModelStage| {
        !matches!(
            stage,
            ModelStage::ProjectionHead | ModelStage::SupervisedHead
        )
    };
    let base = values(&|spec| is_base(spec.stage) && spec.role.is_trainable());
    let statistics = values(&|spec| is_base(spec.stage) && !spec.role.is_trainable());
    let projection =
        values(&|spec| spec.stage == ModelStage::ProjectionHead && spec.role.is_trainable());
    let supervised = values(&|spec| spec.stage == ModelStage::SupervisedHead);
    let encoder = &config.encoder;
    let head = config.supervised_head.as_ref();
    let trainable = &manifest["params_trainable"];
    for (what, recognised, expected) in [
        ("depth", json!(encoder.depth), &manifest["resnet_depth"]),
        (
            "width",
            json!(encoder.width_multiplier),
            &manifest["width_multiplier"],
        ),
        ("sk_ratio", json!(encoder.sk_ratio), &manifest["sk_ratio"]),
        (
            "classes",
            json!(head.map(|head| head.num_classes)),
            &manifest["num_classes"],
        ),
        ("base parameters", json!(base), &trainable["base_model"]),
        (
            "projection parameters",
            json!(projection),
            &trainable["head_contrastive"],
        ),
        (
            "supervised parameters",
            json!(supervised),
            &trainable["head_supervised"],
        ),
        (
            "statistics",
            json!(statistics),
            &manifest["moving_statistics_base_model"],
        ),
    ] {
        require(what, equal(&recognised, expected));
    }
    // Not every architecture is published.
    if let Some(published) = manifest["readme_param_M"].as_f64() {
        let millions = ((base + statistics) as f64 / 1e6).round();
        require("published count", published == millions);
    }
    Ok(())
}
