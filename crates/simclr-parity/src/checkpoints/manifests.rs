//! The variables of the official architectures: recognised from their shapes, and listed again
//! from what was recognised.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use simclr_checkpoint::{ImportOptions, recognize};
use simclr_model::{ModelStage, ParameterSpec};

use super::expected::{equal, shape};
use crate::{CaseChecks, Result};

pub(super) fn check(checks: &mut CaseChecks<'_>, file: &str, manifest: &Value) -> Result<()> {
    let listed = manifest["tf1_variables"].as_array();
    let pair = |entry: &Value| Some((entry[0].as_str()?.to_owned(), shape(&entry[1])?));
    let listed: Option<Vec<_>> = listed.and_then(|list| list.iter().map(pair).collect());
    let no_variables = || checks.case.error(format!("{file}: no variables"));
    let listed = listed.ok_or_else(no_variables)?;
    let shapes: BTreeMap<_, _> = listed.iter().cloned().collect();
    let config = recognize(Path::new(file), &shapes, &ImportOptions::default())?;
    let specs = config.parameter_specs()?;
    let ours: BTreeMap<String, Vec<usize>> = specs
        .iter()
        .map(|spec| (spec.original_name.clone(), spec.shape.clone()))
        .collect();
    let mut require = |what: &str, holds: bool| {
        let name = format!("{file}: {what}");
        checks.report.require(&name, holds);
    };
    let same = ours == shapes && specs.len() == listed.len();
    require("the same variables", same);

    let values = |wanted: &dyn Fn(&ParameterSpec) -> bool| -> u64 {
        let wanted = specs.iter().filter(|spec| wanted(spec));
        wanted.map(|spec| spec.element_count() as u64).sum()
    };
    let is_projection = |spec: &ParameterSpec| spec.stage == ModelStage::ProjectionHead;
    let is_supervised = |spec: &ParameterSpec| spec.stage == ModelStage::SupervisedHead;
    let is_base = |spec: &ParameterSpec| !is_projection(spec) && !is_supervised(spec);
    let base = values(&|spec| is_base(spec) && spec.role.is_trainable());
    let statistics = values(&|spec| is_base(spec) && !spec.role.is_trainable());
    let projection = values(&|spec| is_projection(spec) && spec.role.is_trainable());
    let supervised = values(&is_supervised);
    let encoder = &config.encoder;
    let classes = config.supervised_head.as_ref().map(|head| head.num_classes);
    for (what, recognised) in [
        ("/resnet_depth", json!(encoder.depth)),
        ("/width_multiplier", json!(encoder.width_multiplier)),
        ("/sk_ratio", json!(encoder.sk_ratio)),
        ("/num_classes", json!(classes)),
        ("/params_trainable/base_model", json!(base)),
        ("/params_trainable/head_contrastive", json!(projection)),
        ("/params_trainable/head_supervised", json!(supervised)),
        ("/moving_statistics_base_model", json!(statistics)),
    ] {
        let expected = manifest.pointer(what).unwrap_or(&Value::Null);
        require(what, equal(&recognised, expected));
    }
    // Not every architecture is published.
    if let Some(published) = manifest["readme_param_M"].as_f64() {
        let millions = ((base + statistics) as f64 / 1e6).round();
        require("published count", published == millions);
    }
    Ok(())
}
