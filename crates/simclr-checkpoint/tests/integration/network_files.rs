//! Networks in our own files.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use simclr_checkpoint::{
    CheckpointFile, LoadNetwork, SaveOptions, Source, check_architecture, export_torchvision_with,
    import, load_model, load_parameters, model_checkpoint, save_model,
};
use simclr_model::{Encoder, Parameters, ResNetConfig, SimClr, SimClrConfig};

use crate::network::{checkpoint, flat, small, variables};
use crate::support::float_variable;

#[test]
fn loading_says_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let model = SimClr::initialize(&small(), 1, &Device::Cpu).unwrap();
    save_model(&path, &model, Source::default()).unwrap();
    let metadata = CheckpointFile::load_metadata(&path).unwrap();
    check_architecture(&path, &metadata, &small()).unwrap();

    let mut other = small();
    other.encoder.depth = 34;
    other.supervised_head = None;
    let specs = other.parameter_specs().unwrap();
    let parameters = Parameters::initialize(&specs, 2, &Device::Cpu).unwrap();
    let error = load_parameters(&path, &other, &parameters)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("model.safetensors: another architecture"),
        "{error}"
    );
    assert!(
        error.contains("encoder.depth is 18, expected 34"),
        "{error}"
    );
    assert!(error.contains("supervised_head is {"), "{error}");

    let same = Parameters::initialize(&small().parameter_specs().unwrap(), 3, &Device::Cpu);
    let same = same.unwrap();
    let report = load_parameters(&path, &small(), &same).unwrap();
    assert_eq!(report.matched.len(), same.len());
    for parameter in model.parameters() {
        let name = &parameter.spec.name;
        assert_eq!(
            flat(same.get(name).unwrap()),
            flat(&parameter.variable),
            "{name}"
        );
    }

    let mut damaged = CheckpointFile::load(&path, &Device::Cpu).unwrap();
    let kernel = damaged.tensors.remove("encoder.stem.conv.kernel").unwrap();
    damaged
        .tensors
        .insert("encoder.stem.conv.kernels".into(), kernel);
    let wrong = Tensor::zeros(7, DType::F32, &Device::Cpu).unwrap();
    damaged
        .tensors
        .insert("encoder.stem.batch_norm.gamma".into(), wrong);
    damaged.save(&path).unwrap();
    let error = load_model(&path, &Device::Cpu).unwrap_err().to_string();
    for part in [
        "model.safetensors: does not fit ResNet-18",
        "1 missing (first: encoder.stem.conv.kernel)",
        "1 left over (first: encoder.stem.conv.kernels)",
        "encoder.stem.batch_norm.gamma: [7], the network has [64]",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_network_with_any_optimizers_state_loads_as_a_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("step-3.safetensors");
    let model = SimClr::initialize(&small(), 1, &Device::Cpu).unwrap();
    for slots in [
        &["momentum"][..],
        &["velocity"],
        &["first_moment", "second_moment"],
        &["somebody_elses_slot"],
    ] {
        let mut file = model_checkpoint(&model, Source::new("test")).unwrap();
        for (name, variable) in model.trainable() {
            for slot in slots {
                let zeros = variable.zeros_like().unwrap();
                file.tensors.insert(format!("{name}.{slot}"), zeros);
            }
        }
        let step = Tensor::new(3i64, &Device::Cpu).unwrap();
        file.tensors.insert("optimizer.step".into(), step);
        file.save(&path).unwrap();
        let again = SimClr::load(&path, &Device::Cpu).unwrap();
        for (a, b) in model.parameters().zip(again.parameters()) {
            assert_eq!(a.spec.name, b.spec.name);
            assert_eq!(flat(&a.variable), flat(&b.variable), "{}", a.spec.name);
        }
        let encoder = Encoder::load(&path, &Device::Cpu).unwrap();
        assert_eq!(encoder.config(), &small().encoder);
        let state = load_model(&path, &Device::Cpu).unwrap().state;
        assert_eq!(state.len(), slots.len() * model.trainable().len() + 1);
    }
}

#[test]
fn half_precision_is_read_back_as_f32_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let half = SaveOptions::default().with_dtype(DType::F16);
    let path = |name: &str| folder.path().join(name);
    let (full, ours, theirs) = (path("full"), path("ours"), path("theirs.safetensors"));
    let config = SimClrConfig::new(ResNetConfig::depth(18)).with_classes(5);
    let model = SimClr::initialize(&config, 9, &Device::Cpu).unwrap();
    let file = model_checkpoint(&model, Source::new("test")).unwrap();
    file.save(&full).unwrap();
    file.save_with(&ours, &half).unwrap();
    export_torchvision_with(&full, &theirs, &half).unwrap();
    let size = |path: &Path| path.metadata().unwrap().len() as f64;
    assert!(size(&ours) < 0.52 * size(&full));

    let expected = |tensor: &Tensor| {
        let rounded = tensor.to_dtype(DType::F16).unwrap();
        flat(&rounded.to_dtype(DType::F32).unwrap())
    };
    let loaded = SimClr::load(&ours, &Device::Cpu).unwrap();
    for (a, b) in model.parameters().zip(loaded.parameters()) {
        assert_eq!(expected(&a.variable), flat(&b.variable), "{}", a.spec.name);
    }
    let raw = CheckpointFile::load_as_stored(&ours, &Device::Cpu).unwrap();
    let wide = CheckpointFile::load(&ours, &Device::Cpu).unwrap();
    assert!(
        raw.tensors
            .values()
            .all(|tensor| tensor.dtype() == DType::F16)
    );
    assert!(
        wide.tensors
            .values()
            .all(|tensor| tensor.dtype() == DType::F32)
    );
    assert_eq!(wide.metadata, file.metadata);
    let imported = import(&theirs).unwrap();
    assert_eq!(imported.report.parameters[0].source_type, "f16");
    for (name, tensor) in imported.load(&Device::Cpu).unwrap().tensors {
        assert_eq!(flat(&tensor), expected(&file.tensors[&name]), "{name}");
    }
    let again = path("again");
    imported.save_with(&again, &half).unwrap();
    assert!(size(&again) < size(&ours));
    let encoder = Encoder::load(&again, &Device::Cpu).unwrap();
    assert_eq!(encoder.config(), &config.encoder);
}

#[test]
fn a_value_beyond_half_precision_is_refused_by_name() {
    let mut all = variables(&small());
    let name = "base_model/batch_normalization/moving_variance";
    let mut values = vec![1.0; 64];
    values[5] = 65_520.0; // The smallest number that f16 rounds to infinity.
    all.insert(name.into(), float_variable(name, &[64], &values));
    let folder = checkpoint(&all);
    let imported = import(folder.path()).unwrap();
    let path = folder.path().join("half.safetensors");
    let save = |dtype| imported.save_with(&path, &SaveOptions::default().with_dtype(dtype));
    let error = save(DType::F16).unwrap_err();
    assert!(
        error.to_string().contains(
            "`encoder.stem.batch_norm.moving_variance` has the value 6.552e4, \
             which is infinite as f16"
        ),
        "{error}"
    );
    assert!(!path.exists());
    save(DType::BF16).unwrap();
    let error = save(DType::I64).unwrap_err();
    assert_eq!(
        error.to_string(),
        "dtype: expected F32, F16 or BF16, found I64"
    );
}
