//! Networks written in the ways of others come in whole, or with an error that says why not.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use simclr_checkpoint::{
    Error, Heads, ImportOptions, LoadNetwork, import, import_with, load_model,
};
use simclr_model::{
    Encoder, Mode, ProjectionHeadConfig, ResNetConfig, SimClrConfig, Stem, StemPooling,
    StridePlacement,
};

use crate::network::{checkpoint, flat, rename, small, values_of, variables};
use crate::support::{Written, float_variable};

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
    let only_averages = plain.iter().map(|(name, variable)| {
        let averaged = format!("ema_model/{name}");
        (averaged.clone(), rename(variable, &averaged))
    });
    let folder = checkpoint(&only_averages.collect());
    import_with(folder.path(), &options).unwrap();
    let error = import(folder.path()).unwrap_err().to_string();
    assert!(error.contains("only the moving averages"), "{error}");
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
fn a_head_of_which_a_part_is_missing_is_not_taken_for_a_smaller_one() {
    for (gone, missing) in [
        ("head_contrastive/nl_0/dense/kernel", 1),
        ("head_contrastive/nl_1/dense/kernel", 1),
        ("head_contrastive/nl_1/", 5),
        ("head_contrastive/nl_2/dense/kernel", 1),
        ("head_supervised/linear_layer/dense/kernel", 1),
    ] {
        let mut all = variables(&small());
        all.retain(|name, _| !name.starts_with(gone));
        let error = import(checkpoint(&all).path()).unwrap_err().to_string();
        assert!(
            error.contains(&format!("{missing} missing (first: ")),
            "{gone}: {error}"
        );
        // Who does not ask for heads needs none.
        let encoder = ImportOptions::default().with_heads(Heads::Drop);
        import_with(checkpoint(&all).path(), &encoder).unwrap();
    }
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
fn an_imported_network_runs() {
    let folder = checkpoint(&variables(&small()));
    let model = import(folder.path()).unwrap().model(&Device::Cpu).unwrap();
    let images = Tensor::full(0.5f32, (2, 8, 8, 3), &Device::Cpu).unwrap();
    let output = model.forward(&images, Mode::Infer).unwrap();
    assert_eq!(output.h().dims(), [2, 512]);
    assert!(flat(output.h()).iter().all(|value| value.is_finite()));
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
fn options_that_a_source_does_not_have_are_refused() {
    let folder = checkpoint(&variables(&small()));
    let defaults = ImportOptions::default;
    for options in [
        defaults().with_stride_placement(StridePlacement::First),
        defaults().with_stem_pooling(StemPooling::Symmetric),
        defaults().with_input_normalization(None),
        defaults().with_branch("online".to_owned()),
    ] {
        let error = import_with(folder.path(), &options)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("which only files of PyTorch have"),
            "{error}"
        );
    }
    let options = defaults().with_allow_missing(["encoder.stem", "fc.weight"]);
    let error = import_with(folder.path(), &options)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("allow_missing: ") && error.ends_with("found fc.weight"),
        "{error}"
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
