//! Networks saved by PyTorch: where in a file they are, and what their tensors are called.
#![allow(clippy::unwrap_used)]

#[path = "support/pickle.rs"]
mod pickle;

use std::path::Path;

use pickle::{Pickle, View};
use simclr_checkpoint::{ImportOptions, Imported, import, import_with};
use simclr_model::{ResNetConfig, Stem};
use tempfile::TempDir;

/// The stem's channels in and kernel size, and whether blocks are those of a ResNet-50.
#[derive(Clone, Copy)]
struct Form {
    channels: usize,
    stem: usize,
    bottlenecks: bool,
}

const RESNET_18: Form = Form {
    channels: 3,
    stem: 7,
    bottlenecks: false,
};

const BOTTLENECKS: Form = Form {
    bottlenecks: true,
    ..RESNET_18
};

/// torchvision's names and shapes. All values are those of one storage, which keeps files small.
fn resnet(form: Form, storage: usize) -> Vec<(String, View)> {
    let mut tensors = Vec::new();
    let mut add = |name: String, shape: &[usize]| tensors.push((name, View::new(storage, shape)));
    let mut layer = |conv: String, norm: String, shape: [usize; 4]| {
        add(format!("{conv}.weight"), &shape);
        for leaf in ["weight", "bias", "running_mean", "running_var"] {
            add(format!("{norm}.{leaf}"), &shape[..1]);
        }
        add(format!("{norm}.num_batches_tracked"), &[]);
    };
    layer(
        "conv1".into(),
        "bn1".into(),
        [64, form.channels, form.stem, form.stem],
    );
    let blocks = if form.bottlenecks {
        [3, 4, 6, 3]
    } else {
        [2, 2, 2, 2]
    };
    let mut channels = 64;
    for (group, blocks) in blocks.into_iter().enumerate() {
        let width = 64 << group;
        let kernels: &[usize] = if form.bottlenecks {
            &[1, 3, 1]
        } else {
            &[3, 3]
        };
        for block in 0..blocks {
            let at = format!("layer{}.{block}", group + 1);
            let mut input = channels;
            for (number, &kernel) in (1..).zip(kernels) {
                let output = if number == 3 { 4 * width } else { width };
                let names = (format!("{at}.conv{number}"), format!("{at}.bn{number}"));
                layer(names.0, names.1, [output, input, kernel, kernel]);
                input = output;
            }
            if input != channels {
                let names = (format!("{at}.downsample.0"), format!("{at}.downsample.1"));
                layer(names.0, names.1, [input, channels, 1, 1]);
            }
            channels = input;
        }
    }
    tensors
}

/// One of the values that any tensor may have.
const LARGEST: usize = 512 * 512 * 9;

struct Saved {
    folder: TempDir,
    tensors: Vec<(String, View)>,
}

impl Saved {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            tensors: Vec::new(),
        }
    }

    fn with(mut self, prefix: &str, tensors: Vec<(String, View)>) -> Self {
        let renamed = tensors
            .into_iter()
            .map(|(name, view)| (format!("{prefix}{name}"), view));
        self.tensors.extend(renamed);
        self
    }

    fn with_tensor(self, name: &str, shape: &[usize]) -> Self {
        self.with("", vec![(name.to_owned(), View::new(0, shape))])
    }

    /// The tensors as they are, in nested dictionaries with these keys.
    fn import(&self, keys: &[&str], options: &ImportOptions) -> Result<Imported, String> {
        let path = self.folder.path().join("network.ckpt");
        let mut pickle = Pickle::new();
        for key in keys {
            pickle.bytes(b"}(").text(key);
        }
        pickle.tensors(&self.tensors);
        for _ in keys {
            pickle.bytes(b"u");
        }
        pickle.write(&path, &[vec![0.5; LARGEST], vec![0.25; LARGEST]]);
        import_with(&path, options).map_err(|error| error.to_string())
    }
}

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

#[test]
fn modules_that_compute_something_else_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.pth");
    for (name, class, stride, dilation, expected) in [
        ("conv1", "Conv2d", 2, 1, None),
        (
            "conv1",
            "Conv2d",
            1,
            1,
            Some("Conv2d of stride 2 and dilation 1"),
        ),
        ("layer4.0.conv2", "Conv2d", 2, 1, None),
        (
            "layer4.0.conv2",
            "Conv2d",
            1,
            2,
            Some("Conv2d of stride 2 and dilation 1"),
        ),
        (
            "layer4.1.conv2",
            "Conv2d",
            1,
            2,
            Some("Conv2d of stride 1 and dilation 1"),
        ),
        ("layer1.0.downsample.0", "Conv2d", 1, 1, None),
        ("layer2.0.downsample.0", "Conv2d", 2, 1, None),
        ("maxpool", "MaxPool2d", 2, 1, None),
        (
            "maxpool",
            "Identity",
            1,
            1,
            Some("MaxPool2d of stride 2 and dilation 1"),
        ),
    ] {
        let mut pickle = Pickle::new();
        pickle
            .tensors(&resnet(BOTTLENECKS, 0))
            .bytes(b"(")
            .text(name);
        pickle.module(class, stride, dilation).bytes(b"u");
        pickle.write(&path, &[vec![0.5; LARGEST]]);
        let error = import(&path).err().map(|error| error.to_string());
        assert_eq!(error.is_some(), expected.is_some(), "{name}: {error:?}");
        if let (Some(error), Some(expected)) = (error, expected) {
            let found = format!("it is a {class} of stride {stride} and dilation {dilation}");
            let text = format!("module `{name}` is not supported: {found}, expected a {expected}");
            assert!(error.ends_with(&text), "{error}");
        }
    }
}

#[test]
fn what_is_no_network_of_ours_is_described() {
    let grey = Form {
        channels: 1,
        ..RESNET_18
    };
    let saved = Saved::new().with("", resnet(grey, 0));
    let error = saved.import(&[], &ImportOptions::default()).unwrap_err();
    assert!(
        error.contains("a first convolution for images of 1 channel"),
        "{error}"
    );
    let reshaped = |changes: &[(&str, &[usize])]| {
        let mut tensors = resnet(BOTTLENECKS, 0);
        for (name, shape) in changes {
            let mut found = tensors.iter_mut().filter(|(known, _)| known == name);
            found.next().unwrap().1 = View::new(0, shape);
        }
        let saved = Saved::new().with("", tensors);
        saved.import(&[], &ImportOptions::default()).unwrap_err()
    };
    let stem = "conv1.weight";
    let block = ["layer1.0.conv2.weight", "layer1.0.conv3.weight"];
    for (changes, expected) in [
        (&[(stem, &[64, 4, 7, 7][..])][..], "images of three, RGB"),
        (
            &[(stem, &[16, 3, 3, 3])],
            "`conv1.weight` has the shape [16, 3, 3, 3]",
        ),
        (
            &[(stem, &[32, 3, 3, 3])],
            "`conv1.weight` has the shape [32, 3, 3, 3]",
        ),
        (&[(stem, &[60, 3, 7, 7])], "expected [64 n, 3, 7, 7]"),
        (
            &[(block[0], &[128, 4, 3, 3])],
            "grouped convolutions (ResNeXt)",
        ),
        (
            &[(block[0], &[128, 128, 3, 3]), (block[1], &[256, 128, 1, 1])],
            "wide bottlenecks (Wide ResNet)",
        ),
    ] {
        let error = reshaped(changes);
        assert!(error.contains(expected), "{error}");
        assert!(
            expected != "images of three, RGB" || error.ends_with(expected),
            "{error}"
        );
    }
    let saved = Saved::new()
        .with_tensor("a.weight", &[2])
        .with_tensor("b.weight", &[2])
        .with_tensor("b.bias", &[2]);
    let error = saved.import(&[], &ImportOptions::default()).unwrap_err();
    assert!(
        error.contains("tensors: 1 under `a`, 2 under `b`"),
        "{error}"
    );
}

#[test]
fn tensors_whose_stored_values_are_not_theirs_are_refused() {
    let mut tensors = resnet(RESNET_18, 0);
    tensors[0].1.negative = true;
    let saved = Saved::new().with("", tensors);
    let error = saved.import(&[], &ImportOptions::default()).unwrap_err();
    assert!(
        error.contains("`conv1.weight` is not supported: it is of FloatStorage with `neg` set"),
        "{error}"
    );
}

#[test]
fn values_that_no_network_has_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.pth");
    let out = folder.path().join("ours.safetensors");
    let mut tensors = resnet(RESNET_18, 0);
    let mut bad = |name: &str, values: [f32; 3]| {
        let named = tensors.iter_mut().map(|(known, view)| {
            view.storage = usize::from(known == name);
        });
        named.for_each(drop);
        let mut second = vec![0.5; LARGEST];
        second[2..5].copy_from_slice(&values);
        Pickle::new()
            .tensors(&tensors)
            .write(&path, &[vec![0.5; LARGEST], second]);
        let saved = import(&path)
            .unwrap()
            .save(&out)
            .map_err(|error| error.to_string());
        assert_eq!(saved.is_ok(), Path::exists(&out));
        saved
    };
    for (name, values, expected) in [
        (
            "layer1.0.conv1.weight",
            [f32::NAN, 1.0, f32::NAN],
            "2 of 36864",
        ),
        ("bn1.running_var", [-1.0, 1.0, 1.0], "1 of 64"),
        ("bn1.weight", [f32::INFINITY, 1.0, 1.0], "1 of 64"),
    ] {
        let error = bad(name, values).unwrap_err();
        assert!(
            error.contains(&format!("network.pth: `{name}`: {expected}")),
            "{error}"
        );
        assert!(error.contains("the first at index 2: "), "{error}");
    }
    bad("bn1.bias", [-1.0, 1.0, -2.0]).unwrap();
}
