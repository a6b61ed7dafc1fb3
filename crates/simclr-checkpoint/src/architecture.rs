//! Recognises a network from its variables' names and shapes.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use simclr_model::{ParameterSpec, ResNetConfig, SimClrConfig, Stem, SupervisedHeadConfig};

use crate::{Error, Result};

/// The shapes of a network's variables (in this workspace's layouts), by name.
pub(crate) type Shapes = BTreeMap<String, Vec<usize>>;

/// How a checkpoint names a parameter; `None` if it has no name for it.
pub(crate) type Naming = fn(&ParameterSpec) -> Option<String>;

/// Depths, and whether the shortcuts that fit are identities, as in torchvision's small networks.
const FORMS: [(usize, bool); 8] = [
    (50, false),
    (18, false),
    (34, false),
    (18, true),
    (34, true),
    (101, false),
    (152, false),
    (200, false),
];

/// SimCLRv2's, which explains most gates; others are derived from a gate's width.
const USUAL_SK_RATIO: f64 = 0.0625;
const USUAL_SE_RATIO: f64 = 0.25;

/// What does not agree between a network and a checkpoint's variables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Differences {
    /// Our names of parameters that have no variable.
    pub(crate) missing: Vec<String>,
    /// Variables that belong to no parameter.
    pub(crate) unexpected: Vec<String>,
    /// Our name, our shape, the variable's shape.
    pub(crate) shapes: Vec<(String, Vec<usize>, Vec<usize>)>,
}

impl Differences {
    pub(crate) fn between(specs: &[ParameterSpec], variables: &Shapes, naming: Naming) -> Self {
        let mut differences = Self::default();
        let mut names = std::collections::BTreeSet::new();
        for spec in specs {
            let name = naming(spec);
            let found = name.as_ref().and_then(|name| variables.get(name));
            match found {
                None => differences.missing.push(spec.name.clone()),
                Some(shape) if *shape != spec.shape => {
                    let shapes = (spec.name.clone(), spec.shape.clone(), shape.clone());
                    differences.shapes.push(shapes);
                }
                Some(_) => {}
            }
            names.extend(name);
        }
        let unexpected = variables.keys().filter(|name| !names.contains(*name));
        differences.unexpected = unexpected.cloned().collect();
        differences
    }

    pub(crate) fn count(&self) -> usize {
        self.missing.len() + self.unexpected.len() + self.shapes.len()
    }

    /// An error if there are any.
    pub(crate) fn into_result(self, path: &Path, config: &SimClrConfig) -> Result<()> {
        if self.count() == 0 {
            return Ok(());
        }
        Err(Error::DoesNotFit {
            path: path.to_owned(),
            network: describe(config),
            differences: self.to_string(),
        })
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (what, names) in [("missing", &self.missing), ("left over", &self.unexpected)] {
            if let Some(first) = names.first() {
                parts.push(format!("{} {what} (first: {first})", names.len()));
            }
        }
        if let Some((name, expected, found)) = self.shapes.first() {
            let count = self.shapes.len();
            parts.push(format!(
                "{count} of another shape (first: {name}: {found:?}, the network has {expected:?})"
            ));
        }
        f.write_str(&parts.join(", "))
    }
}

/// The ResNet that the variables fit best, and what does not agree.
///
/// `stem` is the name of the first convolution; `base` has the flags that no variable tells.
/// `None` if there is no such convolution, or not one of a ResNet's.
pub(crate) fn recognize_encoder(
    variables: &Shapes,
    naming: Naming,
    stem: &str,
    base: &ResNetConfig,
) -> Option<(ResNetConfig, Differences)> {
    let has_gate_biases = variables.keys().any(|name| name.ends_with("/bias"));
    let se_ratio = if has_gate_biases { USUAL_SE_RATIO } else { 0.0 };
    let mut best: Option<(ResNetConfig, Differences)> = None;
    for (stem, width_multiplier, sk_ratio) in stems(variables.get(stem)?) {
        for (depth, identity_shortcuts) in FORMS {
            let mut guess = base.clone();
            guess.depth = depth;
            guess.identity_shortcuts = identity_shortcuts;
            guess.width_multiplier = width_multiplier;
            guess.stem = stem;
            guess.sk_ratio = sk_ratio;
            guess.se_ratio = se_ratio;
            let Some(found) = fit(guess, variables, naming) else {
                continue;
            };
            let count = found.1.count();
            if best.as_ref().is_none_or(|best| count < best.1.count()) {
                best = Some(found);
            }
            if count == 0 {
                return best;
            }
        }
    }
    best
}

/// Refuses networks for images of other than three channels; `kernel` is the first convolution's
/// shape.
///
/// # Errors
/// [`Error::Unsupported`] names the number of channels.
pub(crate) fn check_stem(path: &Path, kernel: Option<&[usize]>) -> Result<()> {
    let channels = match kernel {
        Some([_, _, channels, _]) if *channels != 3 => channels,
        _ => return Ok(()),
    };
    let what = format!("a first convolution for images of {channels} channel(s)");
    let reason = match channels {
        1 => {
            "networks here take images of three, RGB; a grey one's kernel, a third of it three \
             times, gives the same for grey images as RGB"
        }
        _ => "networks here take images of three, RGB",
    };
    Err(Error::unsupported(path, what, reason))
}

/// Stem, width and whether there are selective kernels, for a first convolution's shape.
fn stems(kernel: &[usize]) -> Vec<(Stem, usize, f64)> {
    let width = |channels: usize, unit: usize| {
        (channels > 0 && channels.is_multiple_of(unit)).then_some(channels / unit)
    };
    let candidates = match *kernel {
        [7, 7, 3, channels] => vec![(Stem::ImageNet, width(channels, 64), 0.0)],
        [3, 3, 3, channels] => vec![
            (Stem::ImageNet, width(channels, 32), USUAL_SK_RATIO),
            (Stem::Cifar, width(channels, 64), 0.0),
            (Stem::Cifar, width(channels, 64), USUAL_SK_RATIO),
        ],
        _ => Vec::new(),
    };
    let known = |(stem, width, ratio)| Some((stem, width?, ratio));
    candidates.into_iter().filter_map(known).collect()
}

/// Compares with a guess whose gates' widths are taken from the variables. `None` if there is no
/// such network, or if the checkpoint's kind has no names for parts of it.
fn fit(
    mut config: ResNetConfig,
    variables: &Shapes,
    naming: Naming,
) -> Option<(ResNetConfig, Differences)> {
    let mut specs = config.parameter_specs().ok()?;
    if specs.iter().any(|spec| naming(spec).is_none()) {
        return None;
    }
    let mut differences = Differences::between(&specs, variables, naming);
    let gates = [
        ("selective_kernel.reduce.kernel", config.sk_ratio),
        ("squeeze_excitation.reduce.kernel", config.se_ratio),
    ];
    for (gate, usual) in gates {
        let mut shapes = differences.shapes.iter();
        let wrong = usual != 0.0 && shapes.any(|(name, ..)| name.ends_with(gate));
        let ratio = gate_ratio(&specs, variables, naming, gate);
        if let Some(ratio) = ratio.filter(|_| wrong) {
            if gate.starts_with("selective") {
                config.sk_ratio = ratio;
            } else {
                config.se_ratio = ratio;
            }
            specs = config.parameter_specs().ok()?;
            differences = Differences::between(&specs, variables, naming);
        }
    }
    Some((config, differences))
}

/// Width of the last (widest) gate as a share of its block's filters.
fn gate_ratio(
    specs: &[ParameterSpec],
    variables: &Shapes,
    naming: Naming,
    gate: &str,
) -> Option<f64> {
    let position = specs.iter().rposition(|spec| spec.name.ends_with(gate))?;
    let spec = specs.get(position)?;
    let width = *variables.get(&naming(spec)?)?.last()?;
    // The block's filters are the channels that leave its first convolution.
    let block = spec.name.strip_suffix(gate)?;
    let is_first = |spec: &&ParameterSpec| spec.name.strip_prefix(block) == Some("conv1.kernel");
    let filters = *specs.iter().find(is_first)?.shape.last()?;
    let exact = width as f64 / filters as f64;
    if (filters as f64 * exact) as usize == width {
        return Some(exact);
    }
    // In the middle between this width and the next, against rounding in the product.
    Some(((width as f64 + 0.5) / filters as f64).min(1.0))
}

/// The supervised head, by the shape of its kernel.
pub(crate) fn supervised_head(kernel: &[usize]) -> Option<SupervisedHeadConfig> {
    kernel.last().copied().map(SupervisedHeadConfig::classes)
}

/// A name for people: `ResNet-50 2x, SK 0.0625`.
pub(crate) fn describe(config: &SimClrConfig) -> String {
    let encoder = &config.encoder;
    let mut parts = vec![format!(
        "ResNet-{} {}x",
        encoder.depth, encoder.width_multiplier
    )];
    if encoder.stem == Stem::Cifar {
        parts.push("CIFAR stem".into());
    }
    for (name, ratio) in [("SK", encoder.sk_ratio), ("SE", encoder.se_ratio)] {
        if ratio > 0.0 {
            parts.push(format!("{name} {ratio}"));
        }
    }
    let head = &config.projection_head;
    let (depth, size) = (head.depth(), head.output_size);
    if depth > 0 {
        parts.push(format!("projection head of {depth} layers to {size}"));
    }
    if let Some(head) = &config.supervised_head {
        parts.push(format!("{} classes", head.num_classes));
    }
    parts.join(", ")
}
