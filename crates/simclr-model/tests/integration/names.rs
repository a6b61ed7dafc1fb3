//! Names, shapes, order and counts of the parameters against the original's.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use simclr_model::{ModelStage, ParameterSpec, ResNetConfig, SimClrConfig};

fn manifests() -> Vec<(String, Value)> {
    let folder: PathBuf = [
        env!("CARGO_MANIFEST_DIR"),
        "../../tests/golden/checkpoints/variable_manifests",
    ]
    .iter()
    .collect();
    let mut manifests: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| file_name(path).starts_with("variable_manifest_"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (file_name(&path), serde_json::from_str(&text).unwrap())
        })
        .collect();
    manifests.sort_by(|a, b| a.0.cmp(&b.0));
    manifests
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

fn config_of(manifest: &Value) -> SimClrConfig {
    let count = |key: &str| manifest[key].as_u64().unwrap() as usize;
    let encoder = ResNetConfig::depth(count("resnet_depth"))
        .with_width_multiplier(count("width_multiplier"))
        .with_sk_ratio(manifest["sk_ratio"].as_f64().unwrap());
    SimClrConfig::new(encoder).with_classes(count("num_classes"))
}

fn sum<'a>(
    specs: impl IntoIterator<Item = &'a ParameterSpec>,
    which: impl Fn(&ParameterSpec) -> bool,
) -> u64 {
    specs
        .into_iter()
        .filter(|spec| which(spec))
        .map(|spec| spec.element_count() as u64)
        .sum()
}

#[test]
fn official_architectures_have_the_original_variables_in_order() {
    let manifests = manifests();
    assert!(manifests.len() >= 4, "the recorded manifests are gone");
    for (name, manifest) in manifests {
        let specs = config_of(&manifest).parameter_specs().unwrap();
        let recorded = manifest["tf1_variables"].as_array().unwrap();
        assert_eq!(specs.len(), recorded.len(), "{name}");
        for (spec, variable) in specs.iter().zip(recorded) {
            let shape: Vec<usize> = serde_json::from_value(variable[1].clone()).unwrap();
            assert_eq!(spec.original_name, variable[0].as_str().unwrap(), "{name}");
            assert_eq!(spec.shape, shape, "{name}: {}", spec.name);
        }
    }
}

#[test]
fn official_architectures_have_the_published_sizes() {
    for (name, manifest) in manifests() {
        let specs = config_of(&manifest).parameter_specs().unwrap();
        let is_base = |spec: &ParameterSpec| {
            matches!(spec.stage, ModelStage::Stem | ModelStage::BlockGroup(_))
        };
        let trainable = &manifest["params_trainable"];
        let base = sum(&specs, |s| is_base(s) && s.role.is_trainable());
        assert_eq!(base, trainable["base_model"].as_u64().unwrap(), "{name}");
        let moving = sum(&specs, |s| is_base(s) && !s.role.is_trainable());
        assert_eq!(
            moving,
            manifest["moving_statistics_base_model"].as_u64().unwrap(),
            "{name}"
        );
        let published = manifest["readme_param_M"].as_f64().unwrap();
        let millions = (base + moving) as f64 / 1e6;
        assert_eq!(millions.round(), published, "{name}");
        let projection = sum(&specs, |s| {
            s.stage == ModelStage::ProjectionHead && s.role.is_trainable()
        });
        assert_eq!(
            projection,
            trainable["head_contrastive"].as_u64().unwrap(),
            "{name}"
        );
        let supervised = sum(&specs, |s| s.stage == ModelStage::SupervisedHead);
        assert_eq!(
            supervised,
            trainable["head_supervised"].as_u64().unwrap(),
            "{name}"
        );
    }
}

#[test]
fn resnet_18_has_121_variables() {
    let config = SimClrConfig::new(ResNetConfig::depth(18)).with_classes(10);
    assert_eq!(config.parameter_specs().unwrap().len(), 121);
}

#[test]
fn names_are_distinct_and_say_what_they_are() {
    for depth in [18, 50] {
        let encoder = ResNetConfig::depth(depth)
            .with_sk_ratio(0.0625)
            .with_se_ratio(0.25);
        let specs = SimClrConfig::new(encoder)
            .with_classes(10)
            .parameter_specs()
            .unwrap();
        let names: BTreeSet<_> = specs.iter().map(|spec| &spec.name).collect();
        let originals: BTreeSet<_> = specs.iter().map(|spec| &spec.original_name).collect();
        assert_eq!((names.len(), originals.len()), (specs.len(), specs.len()));
        for spec in &specs {
            let of_batch_norm = spec.original_name.contains("batch_normalization");
            assert_eq!(
                spec.name.contains("batch_norm"),
                of_batch_norm,
                "{}",
                spec.name
            );
            let leaf = |name: &str, separator| name.rsplit(separator).next().unwrap().to_owned();
            assert_eq!(leaf(&spec.name, '.'), leaf(&spec.original_name, '/'));
        }
    }
}

#[test]
fn squeeze_excitation_and_shortcuts_are_numbered_as_in_the_original() {
    let specs = ResNetConfig::depth(50)
        .with_se_ratio(0.0625)
        .parameter_specs()
        .unwrap();
    let original = |name: &str| {
        let found = specs.iter().find(|spec| spec.name == name);
        found
            .unwrap_or_else(|| panic!("{name}"))
            .original_name
            .clone()
    };
    let block = "encoder.block_group1.block0";
    for (name, expected) in [
        ("shortcut.conv.kernel", "conv2d_1/kernel"),
        ("conv1.kernel", "conv2d_2/kernel"),
        ("conv3.kernel", "conv2d_4/kernel"),
        ("squeeze_excitation.reduce.bias", "conv2d_5/bias"),
        ("squeeze_excitation.expand.kernel", "conv2d_6/kernel"),
    ] {
        assert_eq!(
            original(&format!("{block}.{name}")),
            format!("base_model/{expected}")
        );
    }
    assert_eq!(
        original("encoder.block_group1.block1.conv1.kernel"),
        "base_model/conv2d_7/kernel"
    );
}
