//! Modules that were saved as a whole: no tensor tells strides, padding, dilation, activations and
//! what batch norms add to a variance.

use std::collections::BTreeSet;

use simclr_model::{ResNetConfig, Stem, StridePlacement};

use super::networks::Network;
use super::source::SourceFile;
use crate::pickle::PickledModule;
use crate::{Error, Result};

/// What a module must be.
struct Expected {
    class: Option<&'static str>,
    settings: Vec<(&'static str, String)>,
}

impl Expected {
    fn class(class: &'static str) -> Self {
        Self {
            class: Some(class),
            settings: Vec::new(),
        }
    }

    /// What slides a window of this size over an image that is padded on all sides.
    fn window(class: &'static str, size: usize, stride: usize) -> Self {
        let numbers = [
            ("kernel_size", size),
            ("stride", stride),
            ("padding", size / 2),
            ("dilation", 1),
            ("ceil_mode", 0),
        ];
        let mut settings: Vec<_> = numbers
            .map(|(name, value)| (name, value.to_string()))
            .into();
        settings.push(("padding_mode", "zeros".to_owned()));
        Self {
            class: Some(class),
            settings,
        }
    }

    fn batch_norm(encoder: &ResNetConfig) -> Self {
        Self {
            class: None,
            settings: vec![("eps", encoder.batch_norm_epsilon.to_string())],
        }
    }

    /// What is different about a module, if anything.
    fn difference(&self, module: &PickledModule) -> Option<String> {
        if let Some(class) = self.class.filter(|class| *class != module.class) {
            return Some(format!("it is {}, expected {class}", module.class));
        }
        self.settings.iter().find_map(|(setting, expected)| {
            let found = module.settings.get(setting)?;
            (found != expected).then(|| format!("its {setting} is {found}, expected {expected}"))
        })
    }
}

/// Compares the network with its modules, if they are in the file.
pub(super) fn check(
    source: &SourceFile,
    network: &Network<'_>,
    encoder: &ResNetConfig,
) -> Result<()> {
    let SourceFile::Pickle(file) = source else {
        return Ok(());
    };
    let mut expected = layers(network, encoder);
    // Activations beside a layer; a head may have others.
    let folders: BTreeSet<_> = expected.iter().map(|(name, _)| folder(name)).collect();
    let activations = file.modules().iter();
    let activations = activations
        .filter(|(name, module)| module.is_activation && folders.contains(folder(name)))
        .map(|(name, _)| (name.clone(), Expected::class("ReLU")));
    let activations: Vec<_> = activations.collect();
    expected.extend(activations);
    for (name, expected) in expected {
        let module = file.modules().get(&name);
        if let Some(reason) = module.and_then(|module| expected.difference(module)) {
            let what = format!("module `{name}`");
            return Err(Error::unsupported(source.path(), what, reason));
        }
    }
    Ok(())
}

/// The name of the module that a module is in.
fn folder(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(folder, _)| folder)
}

/// Convolutions, batch norms and poolings, by their names in the file.
fn layers(network: &Network<'_>, encoder: &ResNetConfig) -> Vec<(String, Expected)> {
    let is_of_encoder = |ours: &str| {
        ["conv1.", "bn1.", "layer"]
            .iter()
            .any(|at| ours.starts_with(at))
    };
    let tensors = network.tensors.iter();
    let tensors = tensors.filter(|(ours, _)| is_of_encoder(ours));
    let layers = tensors.filter_map(|(ours, (name, variable))| {
        let (module, leaf) = name.rsplit_once('.')?;
        let expected = match (leaf, &variable.shape[..]) {
            ("weight", &[_, _, _, size]) => Expected::window("Conv2d", size, stride(ours, encoder)),
            ("running_var", _) => Expected::batch_norm(encoder),
            _ => return None,
        };
        Some((module.to_owned(), expected))
    });
    let pooling = match encoder.stem {
        Stem::ImageNet => Expected::window("MaxPool2d", 3, 2),
        Stem::Cifar => Expected::class("Identity"),
    };
    let average = Expected::class("AdaptiveAvgPool2d");
    let poolings = [("maxpool", pooling), ("avgpool", average)];
    let poolings = poolings.map(|(name, expected)| (format!("{}{name}", network.prefix), expected));
    layers.chain(poolings).collect()
}

/// The stride of a convolution, by torchvision's name.
fn stride(name: &str, encoder: &ResNetConfig) -> usize {
    let is_first = encoder.depth < 50 || encoder.stride_placement == StridePlacement::First;
    let parts: Vec<&str> = name.split('.').collect();
    let halves = match parts[..] {
        ["conv1", _] => encoder.stem == Stem::ImageNet,
        ["layer2" | "layer3" | "layer4", "0", unit, ..] => {
            unit == "downsample" || unit == if is_first { "conv1" } else { "conv2" }
        }
        _ => false,
    };
    if halves { 2 } else { 1 }
}
