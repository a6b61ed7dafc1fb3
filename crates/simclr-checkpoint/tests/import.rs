//! Networks written in the ways of others come in whole, or with an error that says why not.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use simclr_checkpoint::{
    CheckpointFile, Error, Heads, ImportOptions, LoadNetwork, SaveOptions, Source,
    check_architecture, export_torchvision, export_torchvision_with, import, import_with,
    load_model, load_parameters, model_checkpoint, save_model,
};
use simclr_model::{
    Encoder, InputNormalization, Mode, Parameters, ProjectionHeadConfig, ResNetConfig, SimClr,
    SimClrConfig, Stem, StemPooling, StridePlacement,
};
use simclr_testkit::formula_values;
use support::{Layout, Written, float_variable, write_bundle};
use tempfile::TempDir;

/// The smallest network that there is.
fn small() -> SimClrConfig {
    SimClrConfig::new(ResNetConfig::depth(18).with_stem(Stem::Cifar)).with_classes(3)
}

/// The variables of a name-based checkpoint, cheap to make: a short run of values, repeated.
fn variables(config: &SimClrConfig) -> BTreeMap<String, Written> {
    let specs = config.parameter_specs().unwrap();
    specs
        .into_iter()
        .map(|spec| {
            let values = values_of(&spec.original_name, spec.element_count());
            let name = spec.original_name;
            (name.clone(), float_variable(&name, &spec.shape, &values))
        })
        .collect()
}

fn values_of(name: &str, count: usize) -> Vec<f32> {
    let (low, high) = if name.contains("kernel") {
        (-0.05, 0.05)
    } else {
        (0.5, 1.5)
    };
    let few = formula_values(name, 97, low, high);
    few.into_iter().cycle().take(count).collect()
}

/// Writes the variables and gives the folder.
fn checkpoint(variables: &BTreeMap<String, Written>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let list: Vec<Written> = variables.values().cloned().collect();
    write_bundle(
        &folder.path().join("model.ckpt-12"),
        &list,
        Layout::default(),
    );
    folder
}

fn rename(variable: &Written, name: &str) -> Written {
    let mut renamed = variable.clone();
    name.clone_into(&mut renamed.name);
    renamed
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn a_network_comes_in_whole_and_goes_on_to_our_format() {
    let config = small();
    let mut all = variables(&config);
    let mut step = float_variable("global_step", &[], &[]);
    step.data_type = 9;
    step.parts[0].bytes = 12i64.to_le_bytes().to_vec();
    all.insert("global_step".into(), step);
    all.insert("stray".into(), float_variable("stray", &[2], &[1.0, 2.0]));
    let momentum = "base_model/conv2d/kernel/Momentum";
    all.insert(
        momentum.into(),
        rename(&all["base_model/conv2d/kernel"], momentum),
    );
    let folder = checkpoint(&all);

    let imported = import(folder.path()).unwrap();
    assert_eq!(imported.config, config);
    let report = &imported.report;
    assert_eq!(report.source.global_step, Some(12));
    assert!(
        report.source.name.ends_with("/model.ckpt-12"),
        "{}",
        report.source.name
    );
    let reason = |name: &str| {
        let unused = report.unused.iter().find(|unused| unused.source == name);
        unused.unwrap().reason.clone()
    };
    assert_eq!(reason("stray"), "no part of a SimCLR network");
    assert_eq!(reason("global_step"), "bookkeeping of TensorFlow");
    assert_eq!(reason(momentum), "state of the optimizer, not asked for");
    assert_eq!(report.parameters.len() + report.unused.len(), all.len());
    let text = report.to_string();
    assert!(text.contains("ResNet-18 1x, CIFAR stem"), "{text}");
    let json = serde_json::to_string(report).unwrap();
    let again: simclr_checkpoint::Report = serde_json::from_str(&json).unwrap();
    assert_eq!(&again, report);

    let path = folder.path().join("model.safetensors");
    imported.save(&path).unwrap();
    let loaded = load_model(&path, &Device::Cpu).unwrap();
    assert!(loaded.state.is_empty());
    for parameter in loaded.model.parameters() {
        let expected = values_of(
            &parameter.spec.original_name,
            parameter.spec.element_count(),
        );
        assert!(
            flat(&parameter.variable) == expected,
            "{}",
            parameter.spec.name
        );
    }
    let encoder = Encoder::load(&path, &Device::Cpu).unwrap();
    assert_eq!(encoder.config(), &config.encoder);
}

#[test]
fn optimizer_state_is_kept_on_request() {
    let config = small();
    let mut all = variables(&config);
    let momentum = "base_model/conv2d/kernel/Momentum";
    let values: Vec<f32> = (0..27 * 64).map(|i| i as f32).collect();
    all.insert(
        momentum.into(),
        float_variable(momentum, &[3, 3, 3, 64], &values),
    );
    let folder = checkpoint(&all);
    let options = ImportOptions::default().with_optimizer_state(true);
    let path = folder.path().join("model.safetensors");
    import_with(folder.path(), &options)
        .unwrap()
        .save(&path)
        .unwrap();
    let state = load_model(&path, &Device::Cpu).unwrap().state;
    let names: Vec<_> = state.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["encoder.stem.conv.kernel.momentum", "optimizer.step"]
    );
    assert_eq!(flat(&state["encoder.stem.conv.kernel.momentum"]), values);
    // Without a step in the file, the count is a guess, and said to be one.
    let imported = import_with(folder.path(), &options).unwrap();
    let assumptions = imported.report.assumptions.join("; ");
    assert!(
        assumptions.contains("does not count its steps"),
        "{assumptions}"
    );
    let only_encoder = options.clone().with_heads(Heads::Drop);
    let of_head = "head_supervised/linear_layer/dense/bias/Momentum";
    all.insert(of_head.into(), float_variable(of_head, &[3], &[0.0; 3]));
    let imported = import_with(checkpoint(&all).path(), &only_encoder).unwrap();
    let mut unused = imported.report.unused.iter();
    let reason = unused.find(|unused| unused.source == of_head).unwrap();
    assert!(
        reason.reason.contains("a parameter that was not taken"),
        "{}",
        reason.reason
    );
    all.remove(of_head);
    all.remove(momentum);
    let error = import_with(checkpoint(&all).path(), &options)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("there is none"), "{error}");
}

#[test]
fn moving_averages_are_taken_on_request_and_only_then() {
    let config = SimClrConfig::new(ResNetConfig::depth(18).with_stem(Stem::Cifar))
        .with_projection_head(ProjectionHeadConfig::none());
    let plain = variables(&config);
    for (prefix, suffix) in [("ema_model/", ""), ("", "/ExponentialMovingAverage")] {
        let mut all = plain.clone();
        for (name, variable) in &plain {
            if name.contains("moving_") {
                continue;
            }
            let averaged = format!("{prefix}{name}{suffix}");
            let count = variable.shape.iter().product::<i64>() as usize;
            let shape: Vec<usize> = variable.shape.iter().map(|&size| size as usize).collect();
            let values = values_of(&averaged, count);
            all.insert(averaged.clone(), float_variable(&averaged, &shape, &values));
        }
        let folder = checkpoint(&all);
        let of = |moving_average: bool, name: &str| {
            let options = ImportOptions::default().with_moving_average(moving_average);
            let imported = import_with(folder.path(), &options).unwrap();
            assert_eq!(imported.report.source.moving_average, moving_average);
            flat(&imported.load(&Device::Cpu).unwrap().tensors[name])
        };
        let gamma = "encoder.stem.batch_norm.gamma";
        let source = "base_model/batch_normalization/gamma";
        assert_eq!(of(false, gamma), values_of(source, 64));
        assert_eq!(
            of(true, gamma),
            values_of(&format!("{prefix}{source}{suffix}"), 64)
        );
        let mean = of(true, "encoder.stem.batch_norm.moving_mean");
        assert_eq!(
            mean,
            values_of("base_model/batch_normalization/moving_mean", 64)
        );
    }
    let options = ImportOptions::default().with_moving_average(true);
    let error = import_with(checkpoint(&plain).path(), &options)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("there are none"), "{error}");
}

#[test]
fn a_classifier_without_averages_is_taken_as_it_is_and_the_report_says_so() {
    let config = small();
    let mut all = variables(&config);
    for (name, variable) in variables(&config) {
        if !name.starts_with("head_supervised") {
            let averaged = format!("ema_model/{name}");
            all.insert(averaged.clone(), rename(&variable, &averaged));
        }
    }
    let options = ImportOptions::default().with_moving_average(true);
    let imported = import_with(checkpoint(&all).path(), &options).unwrap();
    let report = &imported.report;
    assert!(
        report
            .assumptions
            .iter()
            .any(|text| text.contains("has no moving averages"))
    );
    let plain = report
        .parameters
        .iter()
        .filter(|p| !p.source.starts_with("ema_model/"));
    assert!(
        plain
            .clone()
            .all(|p| p.source.starts_with("head_supervised/"))
    );
    assert_eq!(plain.count(), 2);
    // Half of the averages is a damaged file.
    let kernel = "ema_model/head_supervised/linear_layer/dense/kernel";
    let plain = &all["head_supervised/linear_layer/dense/kernel"];
    all.insert(kernel.into(), rename(plain, kernel));
    let error = import_with(checkpoint(&all).path(), &options)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("1 missing"), "{error}");
}

/// The variables of [`small`] as a SavedModel has them: in a list, with an object graph. The
/// graph has the full names that `full_name` makes, and references if asked for.
fn saved_model(
    references: bool,
    full_name: impl Fn(&str) -> String,
) -> (TempDir, BTreeMap<String, String>) {
    let recorded = "../../tests/golden/checkpoints/tf2_object_r18_cifar/expected.json";
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join(recorded);
    let recorded: serde_json::Value =
        serde_json::from_slice(&std::fs::read(recorded).unwrap()).unwrap();
    let mut graph = support::Graph::default();
    let mut written = BTreeMap::new();
    let mut keys = BTreeMap::new();
    for (number, (name, variable)) in variables(&small()).into_iter().enumerate() {
        let key = format!("trainable_variables_list/{number}/.ATTRIBUTES/VARIABLE_VALUE");
        written.insert(key.clone(), rename(&variable, &key));
        let path = recorded["canonical_to_checkpoint_key"][&name]
            .as_str()
            .unwrap();
        let path = path.strip_suffix("/.ATTRIBUTES/VARIABLE_VALUE").unwrap();
        let node = if references {
            graph.node_at(path.split('/'))
        } else {
            graph.node_at(format!("trainable_variables_list/{number}").split('/'))
        };
        let values = &mut graph.nodes[node].values;
        values.push((full_name(&name), key.clone()));
        keys.insert(name, key);
    }
    let graph = graph.written();
    written.insert(graph.name.clone(), graph);
    (checkpoint(&written), keys)
}

fn sources(imported: &simclr_checkpoint::Imported) -> BTreeMap<String, String> {
    let specs = imported.config.parameter_specs().unwrap();
    let original: BTreeMap<_, _> = specs
        .into_iter()
        .map(|s| (s.name, s.original_name))
        .collect();
    let parameters = imported.report.parameters.iter();
    parameters
        .map(|origin| (original[&origin.name].clone(), origin.source.clone()))
        .collect()
}

#[test]
fn an_object_graph_names_variables_by_its_references() {
    // Names that say nothing, as after another program's conversion.
    let (folder, keys) = saved_model(true, |_| "Variable".to_owned());
    let imported = import(folder.path()).unwrap();
    assert_eq!(imported.config, small());
    assert_eq!(sources(&imported), keys);
    let gaps = |text: &String| text.contains("gaps");
    assert!(!imported.report.assumptions.iter().any(gaps));
}

#[test]
fn full_names_may_have_gaps_between_their_counters() {
    let (folder, keys) = saved_model(false, |name| {
        let Some(rest) = name.strip_prefix("base_model/") else {
            return name.to_owned();
        };
        let (layer, leaf) = rest.split_once('/').unwrap();
        let digits = layer.trim_start_matches(|c: char| !c.is_ascii_digit() || c == 'd');
        let number: usize = digits
            .strip_prefix("2d_")
            .unwrap_or(digits)
            .parse()
            .unwrap_or(0);
        let is_convolution = layer.starts_with("conv2d");
        let stem = if is_convolution {
            "conv2d"
        } else {
            "sync_batch_normalization"
        };
        // Twenty other layers were made in between.
        let number = number + if number > 7 { 73 } else { 53 };
        format!("resnet/block/{stem}_{number}/{leaf}")
    });
    let imported = import(folder.path()).unwrap();
    assert_eq!(imported.config, small());
    assert_eq!(sources(&imported), keys);
    let gaps = |text: &String| text.contains("numbers of the layers have gaps");
    assert!(imported.report.assumptions.iter().any(gaps));
}

#[test]
fn counters_may_begin_anywhere() {
    let config = small();
    let moved: BTreeMap<String, Written> = variables(&config)
        .into_iter()
        .map(|(name, variable)| {
            let raise = |stem: &str| {
                let rest = name.strip_prefix(&format!("base_model/{stem}"))?;
                let (number, leaf) = rest.split_once('/')?;
                let number: usize = number.trim_start_matches('_').parse().unwrap_or(0);
                Some(format!("base_model/{stem}_{}/{leaf}", number + 53))
            };
            let name = raise("conv2d")
                .or_else(|| raise("batch_normalization"))
                .unwrap_or(name);
            (name.clone(), rename(&variable, &name))
        })
        .collect();
    let imported = import(checkpoint(&moved).path()).unwrap();
    assert_eq!(imported.config, config);
}

#[test]
fn heads_are_kept_or_dropped() {
    let folder = checkpoint(&variables(&small()));
    for (heads, projection, supervised) in [
        (Heads::All, 3, true),
        (Heads::Projection, 3, false),
        (Heads::Supervised, 0, true),
        (Heads::Drop, 0, false),
    ] {
        let imported =
            import_with(folder.path(), &ImportOptions::default().with_heads(heads)).unwrap();
        assert_eq!(imported.config.projection_head.depth(), projection);
        assert_eq!(imported.config.supervised_head.is_some(), supervised);
        let dropped = imported.report.unused.iter();
        assert!(
            dropped
                .clone()
                .all(|unused| unused.reason == "the head was not asked for")
        );
        assert_eq!(dropped.count() == 0, heads == Heads::All);
    }
}

#[test]
fn what_is_missing_is_an_error_unless_it_is_allowed() {
    let mut all = variables(&small());
    let gone = "base_model/batch_normalization_3/moving_mean";
    all.remove(gone);
    let folder = checkpoint(&all);
    let error = import(folder.path()).err().unwrap().to_string();
    assert!(error.contains("model.ckpt-12.index"), "{error}");
    assert!(
        error.contains("1 missing") && error.contains(gone),
        "{error}"
    );
    let allowed = "encoder.block_group1.block0.batch_norm2.moving_mean";
    let options = ImportOptions::default().with_allow_missing([allowed]);
    let imported = import_with(folder.path(), &options).unwrap();
    assert_eq!(imported.report.initialized, options.allow_missing);
    let model = imported.model(&Device::Cpu).unwrap();
    let mean = model
        .store()
        .unwrap()
        .get(&options.allow_missing[0])
        .unwrap()
        .clone();
    assert_eq!(flat(&mean), [0.0; 64]);
}

#[test]
fn what_does_not_fit_is_an_error() {
    let error = |change: &dyn Fn(&mut BTreeMap<String, Written>)| {
        let mut all = variables(&small());
        change(&mut all);
        import(checkpoint(&all).path()).err().unwrap().to_string()
    };
    let text = error(&|all| {
        let name = "base_model/conv2d_99/kernel";
        all.insert(name.into(), float_variable(name, &[1], &[1.0]));
    });
    assert!(
        text.contains("1 left over (first: base_model/conv2d_99/kernel)"),
        "{text}"
    );
    let text = error(&|all| {
        let name = "base_model/batch_normalization_3/gamma";
        all.insert(name.into(), float_variable(name, &[2], &[1.0, 2.0]));
    });
    assert!(text.contains("gamma: [2], the network has [64]"), "{text}");
    let text = error(&|all| all.retain(|name, _| name.starts_with("head")));
    assert!(text.contains("no ResNet of SimCLR"), "{text}");
    let text = error(&|all| {
        let name = "base_model/batch_normalization/gamma";
        all.get_mut(name).unwrap().data_type = 3;
    });
    assert!(
        text.contains("it is of i32, expected floating-point"),
        "{text}"
    );
    let text = error(&|all| {
        let again = rename(
            &all["base_model/conv2d/kernel"],
            "base_model/conv2d_0/kernel",
        );
        all.insert("base_model/conv2d_0/kernel".into(), again);
    });
    assert!(text.contains("both"), "{text}");
}

#[test]
fn a_flipped_bit_anywhere_stops_the_import_and_writes_nothing() {
    let folder = checkpoint(&variables(&small()));
    let data = folder.path().join("model.ckpt-12.data-00000-of-00001");
    let mut bytes = std::fs::read(&data).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&data, bytes).unwrap();
    let imported = import(folder.path()).unwrap();
    let path = folder.path().join("model.safetensors");
    let error = imported.save(&path).unwrap_err().to_string();
    assert!(
        error.contains("model.ckpt-12.data") && error.contains("checksum"),
        "{error}"
    );
    assert!(!path.exists());
}

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
            .with_input_normalization(input_normalization);
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
    for (key, value) in [("variant", "v2"), ("stem_pool", "blur"), ("mean", "[1, 2]")] {
        rewritten(&theirs, &odd, &[(key, value)], str::to_owned);
        let error = import(&odd).err().unwrap().to_string();
        assert!(
            error.contains("odd.safetensors") && error.contains(key),
            "{error}"
        );
    }
    let error = import(&ours).err().unwrap().to_string();
    assert!(error.contains("nothing to import"), "{error}");
    rewritten(&theirs, &odd, &[], |name| name.replace("layer4", "layer5"));
    let error = import(&odd).err().unwrap().to_string();
    assert!(error.contains("left over"), "{error}");
}

#[test]
fn an_imported_network_runs() {
    let folder = checkpoint(&variables(&small()));
    let model = import(folder.path()).unwrap().model(&Device::Cpu).unwrap();
    let images = Tensor::full(0.5f32, (2, 8, 8, 3), &Device::Cpu).unwrap();
    let output = model.forward(&images, Mode::Infer).unwrap();
    assert_eq!(output.h().dims(), [2, 512]);
    assert!(flat(output.h()).iter().all(|value| value.is_finite()));
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
    values[6] = f32::INFINITY;
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

#[test]
fn selective_kernels_that_no_variable_tells_are_an_option() {
    let mut config = small();
    config.encoder.sk_ratio = 0.0625;
    let folder = checkpoint(&variables(&config));
    let assumed = |options: &ImportOptions| {
        let imported = import_with(folder.path(), options).unwrap();
        let said = imported.report.assumptions.join("; ");
        (imported.config.encoder.sk_ratio, said)
    };
    let (ratio, said) = assumed(&ImportOptions::default());
    assert!(ratio == 0.0 && said.contains("option sk_ratio"), "{said}");
    let (ratio, said) = assumed(&ImportOptions::default().with_sk_ratio(0.0625));
    assert!(
        ratio == 0.0625 && said.contains("kernels is 0.0625"),
        "{said}"
    );
}

#[test]
fn errors_say_their_reason_once() {
    let missing = Path::new("/nowhere.safetensors");
    let error: Box<dyn std::error::Error> = import(missing).unwrap_err().into();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    assert!(text.starts_with("/nowhere.safetensors: "), "{text}");
    assert_eq!(text.matches("os error 2").count(), 1, "{text}");
    assert!(matches!(import(missing), Err(Error::File(_))));
}
