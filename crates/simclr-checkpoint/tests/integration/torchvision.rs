//! Networks go to torchvision's names and layouts, and come back.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use simclr_checkpoint::{
    CheckpointFile, Heads, ImportOptions, Source, export_torchvision, import, import_with,
    save_model,
};
use simclr_model::{
    FineTuneFrom, InputNormalization, ResNetConfig, SimClr, SimClrConfig, StemPooling,
    StridePlacement,
};

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// A ResNet-18 in our format, and its export.
fn exported(folder: &Path, encoder: ResNetConfig) -> (PathBuf, PathBuf) {
    let config = SimClrConfig::new(encoder).with_classes(5);
    let model = SimClr::initialize(&config, 9, &Device::Cpu).unwrap();
    let (ours, theirs) = (
        folder.join("ours.safetensors"),
        folder.join("theirs.safetensors"),
    );
    save_model(&ours, &model, Source::default()).unwrap();
    export_torchvision(&ours, &theirs).unwrap();
    (ours, theirs)
}

#[test]
fn export_to_torchvision_and_back_is_the_same_network() {
    let folder = tempfile::tempdir().unwrap();
    let normalized = InputNormalization {
        mean: [0.1, 0.2, 0.3],
        std: [0.4, 0.5, 0.6],
    };
    for (stem_pooling, stride_placement, input_normalization) in [
        (StemPooling::Same, StridePlacement::Middle, None),
        (
            StemPooling::Symmetric,
            StridePlacement::First,
            Some(normalized),
        ),
    ] {
        let encoder = ResNetConfig::depth(18)
            .with_stem_pooling(stem_pooling)
            .with_stride_placement(stride_placement)
            .with_input_normalization(input_normalization)
            .with_batch_norm_epsilon(2e-5);
        let (ours, theirs) = exported(folder.path(), encoder.clone());
        let imported = import(&theirs).unwrap();
        assert_eq!(imported.config.encoder, encoder);
        assert!(imported.report.assumptions.is_empty());
        let before = CheckpointFile::load(&ours, &Device::Cpu).unwrap();
        let after = imported.load(&Device::Cpu).unwrap();
        for (name, tensor) in &after.tensors {
            assert_eq!(flat(tensor), flat(&before.tensors[name]), "{name}");
        }
        let dropped = before
            .tensors
            .keys()
            .filter(|name| !after.tensors.contains_key(*name));
        assert!(
            dropped
                .clone()
                .all(|name| name.starts_with("projection_head"))
        );
    }
}

#[test]
fn small_networks_of_torchvision_have_identity_shortcuts() {
    let folder = tempfile::tempdir().unwrap();
    for depth in [18, 34] {
        let encoder = ResNetConfig::depth(depth).torchvision();
        let (_, theirs) = exported(folder.path(), encoder.clone());
        let file = simclr_checkpoint::SafetensorsReader::open(&theirs).unwrap();
        let shortcuts = file
            .tensors()
            .keys()
            .filter(|name| name.ends_with("downsample.0.weight"));
        let shortcuts: Vec<_> = shortcuts.cloned().collect();
        let expected = [2, 3, 4].map(|group| format!("layer{group}.0.downsample.0.weight"));
        assert_eq!(shortcuts, expected);
        assert_eq!(import(&theirs).unwrap().config.encoder, encoder);
    }
}

#[test]
fn exported_names_and_shapes_are_those_of_torchvision() {
    let folder = tempfile::tempdir().unwrap();
    let (_, theirs) = exported(folder.path(), ResNetConfig::depth(50));
    let file = simclr_checkpoint::SafetensorsReader::open(theirs).unwrap();
    let shape = |name: &str| file.tensors()[name].shape.clone();
    assert_eq!(shape("conv1.weight"), [64, 3, 7, 7]);
    assert_eq!(shape("layer1.0.conv3.weight"), [256, 64, 1, 1]);
    assert_eq!(shape("layer2.0.downsample.0.weight"), [512, 256, 1, 1]);
    assert_eq!(shape("layer2.0.downsample.1.running_var"), [512]);
    assert_eq!(shape("layer4.2.bn2.running_mean"), [512]);
    assert_eq!(shape("fc.weight"), [5, 2048]);
    // 161 trainable tensors and 53 batch norms with two statistics each, as in torchvision.
    assert_eq!(file.tensors().len(), 161 + 2 * 53);
    let sk = ResNetConfig::depth(50).with_sk_ratio(0.0625);
    let model = SimClr::initialize(&SimClrConfig::new(sk), 1, &Device::Cpu).unwrap();
    let path = folder.path().join("sk.safetensors");
    save_model(&path, &model, Source::default()).unwrap();
    let error = export_torchvision(&path, folder.path().join("x"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("selective kernels"), "{error}");
}

/// Rewrites the exported file with other names and metadata.
fn rewritten(from: &Path, to: &Path, metadata: &[(&str, &str)], rename: impl Fn(&str) -> String) {
    let bytes = std::fs::read(from).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let tensors = file.iter().map(|(name, view)| (rename(name), view));
    let metadata = metadata
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let bytes = safetensors::serialize(tensors, Some(metadata.collect())).unwrap();
    std::fs::write(to, bytes).unwrap();
}

#[test]
fn plain_torchvision_files_get_torchvisions_ways() {
    let folder = tempfile::tempdir().unwrap();
    let (_, theirs) = exported(folder.path(), ResNetConfig::depth(18));
    let plain = folder.path().join("plain.safetensors");
    rewritten(&theirs, &plain, &[], |name| {
        format!("module.backbone.{name}")
    });
    let imported = import_with(&plain, &ImportOptions::default().with_heads(Heads::Drop)).unwrap();
    let expected = ResNetConfig::depth(18)
        .torchvision()
        .with_identity_shortcuts(false);
    assert_eq!(imported.config.encoder, expected);
    assert_eq!(imported.report.assumptions.len(), 3);
    assert_eq!(imported.report.unused.len(), 2);
    let options = ImportOptions::default()
        .with_stem_pooling(StemPooling::Same)
        .with_stride_placement(StridePlacement::Middle)
        .with_input_normalization(None);
    let imported = import_with(&plain, &options).unwrap();
    assert_eq!(imported.config.encoder, ResNetConfig::depth(18));
    assert!(imported.report.assumptions.is_empty());
}

#[test]
fn pytorch_metadata_that_is_not_understood_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = exported(folder.path(), ResNetConfig::depth(18));
    let odd = folder.path().join("odd.safetensors");
    let mut unlike = Vec::new();
    for (mean, std, wrong) in [
        ([0.5; 3], [0.5, 0.5, 0.0], "std"),
        ([0.5; 3], [0.5, -1.0, 0.5], "std"),
        ([0.5; 3], [0.5, 0.5, f64::NAN], "std"),
        ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375], "mean"),
    ] {
        let options = ImportOptions::default()
            .with_input_normalization(Some(InputNormalization { mean, std }));
        let error = import_with(&theirs, &options).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("{wrong}: expected three numbers")),
            "{error}"
        );
        unlike.push([("mean", format!("{mean:?}")), ("std", format!("{std:?}"))]);
    }
    for metadata in unlike {
        let metadata = [0, 1].map(|at| (metadata[at].0, metadata[at].1.as_str()));
        rewritten(&theirs, &odd, &metadata, str::to_owned);
        let error = import(&odd).unwrap_err().to_string();
        assert!(error.contains("odd.safetensors: metadata `"), "{error}");
    }
    for (key, value) in [
        ("variant", "v2"),
        ("stem_pool", "blur"),
        ("mean", "[1, 2]"),
        ("bn_eps", "-1e-5"),
        ("bn_eps", "none"),
    ] {
        rewritten(&theirs, &odd, &[(key, value)], str::to_owned);
        let error = import(&odd).err().unwrap().to_string();
        assert!(
            error.contains("odd.safetensors") && error.contains(key),
            "{error}"
        );
    }
    let error = import(&ours).err().unwrap().to_string();
    assert!(error.contains("nothing to import"), "{error}");
    for options in [
        ImportOptions::default().with_sk_ratio(0.0625),
        ImportOptions::default().with_fine_tune_from(FineTuneFrom::ProjectionLayer(1)),
        ImportOptions::default().with_moving_average(true),
    ] {
        let error = import_with(&theirs, &options).unwrap_err().to_string();
        assert!(error.contains("read from TensorFlow only"), "{error}");
    }
    rewritten(&theirs, &odd, &[], |name| name.replace("layer4", "layer5"));
    let error = import(&odd).err().unwrap().to_string();
    assert!(error.contains("left over"), "{error}");
}
