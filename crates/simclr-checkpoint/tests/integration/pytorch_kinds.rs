//! Networks saved by PyTorch that are not imported, and why.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use crate::pickle::{Pickle, View};
use crate::torch_network::{BOTTLENECKS, Form, LARGEST, RESNET_18, Saved, resnet};
use simclr_checkpoint::{ImportOptions, import};

#[test]
fn modules_that_compute_something_else_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.pth");
    let right = [("stride", 2.0), ("dilation", 1.0)];
    let dilated = [("stride", 1.0), ("dilation", 2.0)];
    let stem = [("kernel_size", 7.0), ("stride", 2.0), ("padding", 3.0)];
    let pool = [("kernel_size", 3.0), ("padding", 1.0), ("ceil_mode", 0.0)];
    for (name, class, settings, expected) in [
        ("conv1", "conv.Conv2d", &right[..], None),
        ("conv1", "conv.Conv2d", &stem, None),
        (
            "conv1",
            "conv.Conv2d",
            &[("stride", 1.0)],
            Some("its stride is 1, expected 2"),
        ),
        (
            "conv1",
            "conv.Conv2d",
            &[("stride", 2.0), ("padding", 0.0)],
            Some("its padding is 0, expected 3"),
        ),
        ("layer4.0.conv2", "conv.Conv2d", &right, None),
        (
            "layer4.0.conv2",
            "conv.Conv2d",
            &dilated,
            Some("its stride is 1, expected 2"),
        ),
        (
            "layer4.1.conv2",
            "conv.Conv2d",
            &dilated,
            Some("its dilation is 2, expected 1"),
        ),
        (
            "layer1.0.downsample.0",
            "conv.Conv2d",
            &[("stride", 1.0)],
            None,
        ),
        ("layer2.0.downsample.0", "conv.Conv2d", &right, None),
        ("maxpool", "pooling.MaxPool2d", &pool, None),
        (
            "maxpool",
            "pooling.MaxPool2d",
            &[("stride", 2.0), ("ceil_mode", 1.0)],
            Some("its ceil_mode is 1, expected 0"),
        ),
        (
            "maxpool",
            "linear.Identity",
            &[],
            Some("it is Identity, expected MaxPool2d"),
        ),
        ("avgpool", "pooling.AdaptiveAvgPool2d", &[], None),
        (
            "avgpool",
            "pooling.AdaptiveMaxPool2d",
            &[],
            Some("it is AdaptiveMaxPool2d, expected AdaptiveAvgPool2d"),
        ),
        ("bn1", "batchnorm.BatchNorm2d", &[("eps", 1e-5)], None),
        (
            "bn1",
            "batchnorm.BatchNorm2d",
            &[("eps", 1e-3)],
            Some("its eps is 0.001, expected 0.00001"),
        ),
        ("layer1.0.relu", "activation.ReLU", &[], None),
        (
            "layer1.0.relu",
            "activation.GELU",
            &[],
            Some("it is GELU, expected ReLU"),
        ),
        // A head may compute what it likes.
        ("fc.1", "activation.GELU", &[], None),
    ] {
        let mut pickle = Pickle::new();
        pickle
            .tensors(&resnet(BOTTLENECKS, 0))
            .bytes(b"(")
            .text(name);
        pickle.module(class, settings).bytes(b"u");
        pickle.write(&path, &[vec![0.5; LARGEST]]);
        let error = import(&path).err().map(|error| error.to_string());
        assert_eq!(error.is_some(), expected.is_some(), "{name}: {error:?}");
        if let (Some(error), Some(expected)) = (error, expected) {
            let text = format!("module `{name}` is not supported: {expected}");
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
    for (name, kind) in [
        ("layer1.0.se.fc1.weight", "squeeze and excitation"),
        ("layer1.0.conv2.attn.bn.weight", "attention or selective"),
        ("layer2.0.aa.filt", "anti-aliased"),
        ("layer2.0.downsample.2.weight", "ResNet-D"),
    ] {
        let saved = Saved::new().with("", resnet(BOTTLENECKS, 0));
        let saved = saved.with_tensor(name, &[2]);
        let error = saved.import(&[], &ImportOptions::default()).unwrap_err();
        assert!(
            error.contains(kind) && error.ends_with(&format!("it has `{name}`")),
            "{error}"
        );
    }
    let mut deep = resnet(BOTTLENECKS, 0);
    deep[0] = ("conv1.0.weight".to_owned(), View::new(0, &[32, 3, 3, 3]));
    let saved = Saved::new().with("backbone.", deep);
    let error = saved.import(&[], &ImportOptions::default()).unwrap_err();
    let expected = "it has `backbone.conv1.0.weight` in place of `conv1.weight`";
    assert!(error.ends_with(expected), "{error}");
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
