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
            let found = format!("it is {class} of stride {stride} and dilation {dilation}");
            let text = format!("module `{name}` is not supported: {found}, expected {expected}");
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
