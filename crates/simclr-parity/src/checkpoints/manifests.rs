//! The variables of the official architectures: recognised from their shapes, and listed again
//! from what was recognised.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use simclr_checkpoint::{ImportOptions, recognize};
use simclr_model::{ModelStage, ParameterSpec};
use simclr_testkit::GoldenCase;

use super::expected::shape;
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
    let mut require = |what: &str, holds: bool| report.require(&format!("{file}: {what}"), holds);

    let count = |key: &str| manifest[key].as_u64();
    let encoder = &config.encoder;
    require("depth", count("resnet_depth") == Some(encoder.depth as u64));
    let width = encoder.width_multiplier as u64;
    require("width", count("width_multiplier") == Some(width));
    require(
        "sk_ratio",
        manifest["sk_ratio"].as_f64() == Some(encoder.sk_ratio),
    );
    let classes = config
        .supervised_head
        .as_ref()
        .map(|head| head.num_classes as u64);
    require("classes", count("num_classes") == classes);

    let ours: BTreeMap<String, Vec<usize>> = specs
        .iter()
        .map(|spec| (spec.original_name.clone(), spec.shape.clone()))
        .collect();
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
    let trainable = &manifest["params_trainable"];
    let base = values(&|spec| is_base(spec.stage) && spec.role.is_trainable());
    let statistics = values(&|spec| is_base(spec.stage) && !spec.role.is_trainable());
    let projection =
        values(&|spec| spec.stage == ModelStage::ProjectionHead && spec.role.is_trainable());
    let supervised = values(&|spec| spec.stage == ModelStage::SupervisedHead);
    require(
        "base parameters",
        trainable["base_model"].as_u64() == Some(base),
    );
    require(
        "projection parameters",
        trainable["head_contrastive"].as_u64() == Some(projection),
    );
    require(
        "supervised parameters",
        trainable["head_supervised"].as_u64() == Some(supervised),
    );
    require(
        "statistics",
        count("moving_statistics_base_model") == Some(statistics),
    );
    // Not every architecture is published.
    if let Some(published) = manifest["readme_param_M"].as_f64() {
        let found = ((base + statistics) as f64 / 1e6).round();
        require("published count", published == found);
    }
    Ok(())
}
