//! Networks saved by PyTorch: where in a file they are, and what their tensors are called.
#![allow(clippy::unwrap_used)]

use crate::pickle::View;
use crate::torch_network::{Form, RESNET_18, Saved, resnet};
use simclr_checkpoint::{ImportOptions, Imported};
use simclr_model::{ResNetConfig, Stem};

/// The name in the file of a parameter of ours.
fn source<'a>(imported: &'a Imported, name: &str) -> &'a str {
    let mut parameters = imported.report.parameters.iter();
    &parameters
        .find(|origin| origin.name == name)
        .unwrap()
        .source
}

/// The children of a ResNet in a `Sequential`, whose groups of blocks begin here.
fn sequential(tensors: Vec<(String, View)>, groups: usize) -> Vec<(String, View)> {
    let position = |name: String| {
        let (first, rest) = name.split_once('.').unwrap();
        let position = match first.strip_prefix("layer") {
            Some(group) => groups - 1 + group.parse::<usize>().unwrap(),
            None => ["conv1", "bn1"]
                .iter()
                .position(|known| *known == first)
                .unwrap(),
        };
        format!("{position}.{rest}")
    };
    tensors
        .into_iter()
        .map(|(name, view)| (position(name), view))
        .collect()
}

#[test]
fn a_network_is_found_under_any_name() {
    let last = "encoder.block_group4.block1.conv2.kernel";
    let defaults = ImportOptions::default();
    for (keys, prefix) in [
        (&[][..], ""),
        (&["net"], ""),
        (&["encoder"], ""),
        (&["model", "state_dict"], ""),
        (&["state_dict"], "module."),
        (&["a", "b", "c"], "module.backbone.encoder_q."),
    ] {
        let saved = Saved::new().with(prefix, resnet(RESNET_18, 0));
        let imported = saved.import(keys, &defaults).unwrap();
        let outer: String = keys.iter().map(|key| format!("{key}.")).collect();
        assert_eq!(
            source(&imported, last),
            format!("{outer}{prefix}layer4.1.conv2.weight")
        );
        assert_eq!(
            imported.config.encoder,
            ResNetConfig::depth(18).torchvision()
        );
    }
    // Children of a `Sequential`: lightly's, torchvision's without the head, and one for CIFAR
    // without pooling.
    let cifar = Form {
        stem: 3,
        ..RESNET_18
    };
    for (prefix, form, groups) in [
        ("backbone.", RESNET_18, 4),
        ("features.", RESNET_18, 4),
        ("", RESNET_18, 4),
        ("f.", cifar, 3),
        ("backbone.", cifar, 2),
    ] {
        let tensors = sequential(resnet(form, 0), groups);
        let saved = Saved::new().with(prefix, tensors);
        let imported = saved.import(&["state_dict"], &defaults).unwrap();
        assert_eq!(
            source(&imported, last),
            format!("state_dict.{prefix}{}.1.conv2.weight", groups + 3)
        );
        let stem = source(&imported, "encoder.stem.conv.kernel");
        assert_eq!(stem, format!("state_dict.{prefix}0.weight"));
    }
    // The names of many networks for CIFAR.
    let bottlenecks = Form {
        bottlenecks: true,
        ..cifar
    };
    let theirs = resnet(bottlenecks, 0).into_iter();
    let theirs = theirs.map(|(name, view)| (name.replace("downsample", "shortcut"), view));
    let saved = Saved::new()
        .with("encoder.", theirs.collect())
        .with_tensor("encoder.linear.weight", &[7, 2048]);
    let saved = saved.with_tensor("encoder.linear.bias", &[7]);
    let imported = saved.import(&["model"], &defaults).unwrap();
    assert_eq!(imported.config.encoder.stem, Stem::Cifar);
    let assumed = imported.report.assumptions.join("; ");
    assert!(
        assumed.contains("stride 1 in the first convolution and no pooling"),
        "{assumed}"
    );
    assert!(!assumed.contains("padding"), "{assumed}");
    assert_eq!(imported.config.encoder.depth, 50);
    assert_eq!(
        imported
            .config
            .supervised_head
            .as_ref()
            .unwrap()
            .num_classes,
        7
    );
    assert!(
        source(
            &imported,
            "encoder.block_group1.block0.shortcut.conv.kernel"
        )
        .ends_with("shortcut.0.weight")
    );
}

#[test]
fn heads_and_queues_beside_the_encoder_are_left_out_and_reported() {
    let saved = Saved::new()
        .with("module.", resnet(RESNET_18, 0))
        .with_tensor("module.projection_head.0.weight", &[8, 8])
        .with_tensor("module.fc.0.weight", &[8, 512])
        .with_tensor("module.prototypes.weight", &[8, 8])
        .with_tensor("module.queue", &[8, 8]);
    let imported = saved
        .import(&["state_dict"], &ImportOptions::default())
        .unwrap();
    let unused = imported.report.unused.iter();
    let heads = unused.filter(|unused| !unused.reason.contains("counter"));
    assert_eq!(heads.count(), 4);
    assert!(imported.config.supervised_head.is_none());
    // Anything else is another network.
    let saved = saved.with_tensor("module.layer1.0.attention.weight", &[8, 8]);
    let error = saved
        .import(&["state_dict"], &ImportOptions::default())
        .unwrap_err();
    assert!(
        error.contains("1 left over (first: layer1.0.attention.weight)"),
        "{error}"
    );
    // Heads of any name, if they are dense and take what the encoder gives.
    let saved = Saved::new()
        .with("", resnet(RESNET_18, 0))
        .with_tensor("last_linear.weight", &[8, 512])
        .with_tensor("last_linear.bias", &[8])
        .with_tensor("embedding.weight", &[8, 512])
        .with_tensor("logit_scale", &[])
        .with_tensor("temperature", &[1])
        .with_tensor("optimizer.state.0.exp_avg", &[8, 8]);
    assert!(saved.import(&[], &ImportOptions::default()).is_ok());
    for (name, shape) in [
        ("embedding2.weight", &[8, 256][..]),
        ("conv2.weight", &[8, 512, 1, 1]),
        ("norm.weight", &[512]),
        ("gain", &[]),
    ] {
        let saved = Saved::new().with("", resnet(RESNET_18, 0));
        let saved = saved.with_tensor(name, shape);
        let error = saved.import(&[], &ImportOptions::default()).unwrap_err();
        assert!(
            error.ends_with(&format!("1 left over (first: {name})")),
            "{error}"
        );
    }
}

#[test]
fn wrapped_parts_of_a_network_are_found() {
    let wrapped = |part: &str, whole: bool| {
        let tensors = resnet(RESNET_18, 0).into_iter();
        let renamed = tensors.flat_map(|(name, view)| {
            let other = name.replace("layer1.", &format!("layer1.{part}."));
            let plain = (whole && name != other).then(|| (name, view.clone()));
            plain.into_iter().chain([(other, view)])
        });
        let saved = Saved::new().with("module.", renamed.collect());
        saved.import(&["state_dict"], &ImportOptions::default())
    };
    for part in ["module", "_orig_mod", "_checkpoint_wrapped_module"] {
        let imported = wrapped(part, false).unwrap();
        let kernel = source(&imported, "encoder.block_group1.block0.conv1.kernel");
        assert_eq!(
            kernel,
            format!("state_dict.module.layer1.{part}.0.conv1.weight")
        );
        // Not one of two.
        let error = wrapped(part, true).unwrap_err();
        assert!(
            error.contains(&format!("left over (first: layer1.{part}.0.bn1.bias)")),
            "{error}"
        );
    }
}

#[test]
fn one_of_two_networks_is_chosen_by_name() {
    let pairs = [
        ("module.encoder_q.", "module.encoder_k."),
        ("online_encoder.net.", "target_encoder.net."),
        ("student.backbone.", "teacher.backbone."),
        ("backbone.", "backbone_momentum."),
        ("backbone.", "momentum_backbone."),
    ];
    for (first, second) in pairs {
        let saved = Saved::new()
            .with(first, resnet(RESNET_18, 0))
            .with(second, sequential(resnet(RESNET_18, 1), 4));
        let error = saved
            .import(&["state_dict"], &ImportOptions::default())
            .unwrap_err();
        for prefix in [first, second] {
            let named = format!("`state_dict.{}`", prefix.trim_end_matches('.'));
            assert!(
                error.starts_with("branch: ") && error.contains(&named),
                "{error}"
            );
        }
        let exact = first.trim_end_matches('.');
        for (branches, prefix) in [
            (["online", "query", "student", exact], first),
            (["target", "key", "teacher", "momentum"], second),
        ] {
            for branch in branches {
                let options = ImportOptions::default().with_branch(branch.to_owned());
                let imported = saved.import(&["state_dict"], &options).unwrap();
                let stem = source(&imported, "encoder.stem.conv.kernel");
                assert!(
                    stem.starts_with(&format!("state_dict.{prefix}")),
                    "{branch}: {stem}"
                );
            }
        }
        let options = ImportOptions::default().with_branch("generator".to_owned());
        let error = saved.import(&["state_dict"], &options).unwrap_err();
        assert!(error.contains("found generator"), "{error}");
    }
    // One of them is where training scripts put theirs.
    let saved = Saved::new()
        .with("state_dict.", resnet(RESNET_18, 0))
        .with("state_dict_ema.", resnet(RESNET_18, 1));
    let imported = saved.import(&[], &ImportOptions::default()).unwrap();
    assert!(source(&imported, "encoder.stem.conv.kernel").starts_with("state_dict."));
    assert!(
        imported
            .report
            .to_string()
            .contains("not `state_dict_ema` (option branch)")
    );
    let options = ImportOptions::default().with_branch("ema".to_owned());
    let imported = saved.import(&[], &options).unwrap();
    assert!(source(&imported, "encoder.stem.conv.kernel").starts_with("state_dict_ema."));
    // Two networks with one stem, frozen or tied.
    let mut student = resnet(RESNET_18, 0);
    student[0].1.storage = 1;
    let saved = Saved::new()
        .with("student.", student)
        .with("teacher.", resnet(RESNET_18, 1));
    let error = saved.import(&[], &ImportOptions::default()).unwrap_err();
    assert!(error.contains("`student`, `teacher`"), "{error}");
    // One of them within the other.
    let saved = Saved::new()
        .with("", resnet(RESNET_18, 0))
        .with("ema.", resnet(RESNET_18, 1));
    for (keys, branch, prefix) in [
        (&[][..], "online", ""),
        (&[], "ema", "ema."),
        (&["net"], "net", "net."),
        (&["net"], "net.ema", "net.ema."),
    ] {
        let error = saved.import(keys, &ImportOptions::default()).unwrap_err();
        assert!(error.starts_with("branch: "), "{error}");
        let options = ImportOptions::default().with_branch(branch.to_owned());
        let imported = saved.import(keys, &options).unwrap();
        let stem = source(&imported, "encoder.stem.conv.kernel");
        assert_eq!(stem, format!("{prefix}conv1.weight"));
    }
    // One network with two names.
    let saved = Saved::new()
        .with("net.", resnet(RESNET_18, 0))
        .with("online.net.", resnet(RESNET_18, 0));
    assert!(saved.import(&[], &ImportOptions::default()).is_ok());
}
