//! Our networks for users of PyTorch.

use std::collections::BTreeMap;
use std::path::Path;

use simclr_files::Durability;
use simclr_model::{
    InputNormalization, ProjectionHeadConfig, SimClrConfig, Stem, StemPooling, StridePlacement,
};

use crate::element::Values;
use crate::error::{Error, InFile, Result};
use crate::format::metadata::LIBRARY_VERSION;
use crate::format::options::SaveOptions;
use crate::format::writer::{TensorHeader, write_safetensors};
use crate::model_file::ModelFile;
use crate::torch::{Layout, name_of};

/// Writes the encoder and the supervised head of one of our files as a safetensors file with
/// torchvision's names and layouts, ready for `load_state_dict`.
///
/// torchvision's own ResNets compute the same function only where their form is the same: no
/// selective kernels, no squeeze-excitation, a stem for images of 64 pixels and more, width 1, and
/// in ResNet-18 and -34 identity shortcuts (those of SimCLR have a `layer1.0.downsample`).
/// Networks of SimCLR pad their first pooling as TensorFlow does (`SAME`); the file's metadata
/// says so under `stem_pool`, and the PyTorch side has to pad its max-pool by hand:
/// `F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-inf), 3, 2)` on even sizes. The metadata also
/// has the `variant` (where the stride is) and `mean` and `std` of the input, so that
/// [`import`](crate::import) gives the same network back.
///
/// # Errors
/// [`Error::Unsupported`] for networks that torchvision has no names for.
pub fn export_torchvision(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
    export_torchvision_with(from, to, &SaveOptions::default())
}

/// [`export_torchvision`] with options, for example in half precision.
///
/// # Errors
/// As [`export_torchvision`]; [`Error::Overflow`] if a value is too large for the element type.
pub fn export_torchvision_with(
    from: impl AsRef<Path>,
    to: impl AsRef<Path>,
    options: &SaveOptions,
) -> Result<()> {
    let (from, to) = (from.as_ref(), to.as_ref());
    let element = options.element()?;
    let file = ModelFile::open(from)?;
    let config = exported(from, &file.config)?;
    let specs = config.parameter_specs().in_file(from)?;
    file.check(&specs, false)?;
    let mut tensors = Vec::new();
    for spec in &specs {
        let no_name = || {
            let what = format!("export of `{}`", spec.name);
            Error::unsupported(from, what, "torchvision has no name for it")
        };
        let header = TensorHeader {
            name: name_of(spec).ok_or_else(no_name)?,
            element,
            shape: Layout::of(spec.role).export_shape(&spec.shape),
        };
        tensors.push((header, spec));
    }
    let entries = metadata(&config);
    write_safetensors(to, Durability::Buffered, &entries, tensors, |spec, out| {
        let values = file.reader.read(&spec.name)?.values.into_f32();
        let values = Layout::of(spec.role).export_values(values, &spec.shape);
        out.write_values(&Values::F32(values.in_file(from)?))
    })
}

/// Fails if a network has parts that torchvision has no names for; `path` is its file.
///
/// # Errors
/// [`Error::Unsupported`] names the part.
pub fn check_torchvision(path: impl AsRef<Path>, config: &SimClrConfig) -> Result<()> {
    exported(path.as_ref(), config).map(|_| ())
}

/// The part of the network that has a name there.
fn exported(path: &Path, config: &SimClrConfig) -> Result<SimClrConfig> {
    let encoder = &config.encoder;
    let obstacles = [
        (encoder.sk_ratio > 0.0, "selective kernels"),
        (encoder.se_ratio > 0.0, "squeeze-excitation"),
        (encoder.stem == Stem::Cifar, "the CIFAR stem"),
    ];
    if let Some((_, what)) = obstacles.into_iter().find(|(present, _)| *present) {
        let what = format!("export of {what}");
        let reason = "torchvision's ResNets have no such part";
        return Err(Error::unsupported(path, what, reason));
    }
    let head = &config.projection_head;
    let on_encoder = head.selected_level().in_file(path)? == 0;
    // A head that stands on the projection head is of no use without it.
    let supervised_head = config.supervised_head.clone().filter(|_| on_encoder);
    Ok(SimClrConfig::new(encoder.clone())
        .with_projection_head(ProjectionHeadConfig::none())
        .with_supervised_head(supervised_head))
}

/// The flags, in the words that the importer understands.
fn metadata(config: &SimClrConfig) -> BTreeMap<String, String> {
    let encoder = &config.encoder;
    let variant = match encoder.stride_placement {
        StridePlacement::First => "v1 (stride 2 in the first 1x1 of a block)",
        StridePlacement::Middle => "v1.5 (stride 2 in the 3x3 of a block)",
    };
    let stem_pool = match encoder.stem_pooling {
        StemPooling::Same => "3x3/2, SAME as in TensorFlow: even sizes are padded at the end only",
        StemPooling::Symmetric => "3x3/2, symmetric: padded by 1 on every side",
    };
    // Without normalisation, the neutral one says so.
    let neutral = InputNormalization {
        mean: [0.0; 3],
        std: [1.0; 3],
    };
    let InputNormalization { mean, std } = encoder.input_normalization.unwrap_or(neutral);
    let entries = [
        ("architecture", format!("resnet{}", encoder.depth)),
        ("width_multiplier", encoder.width_multiplier.to_string()),
        ("variant", variant.to_owned()),
        ("stem_pool", stem_pool.to_owned()),
        ("input", "RGB in [0, 1]; x = (x - mean) / std".to_owned()),
        ("mean", format!("{mean:?}")),
        ("std", format!("{std:?}")),
        ("bn_eps", format!("{:?}", encoder.batch_norm_epsilon)),
        ("written_by", format!("simclr {LIBRARY_VERSION}")),
    ];
    entries.map(|(name, value)| (name.to_owned(), value)).into()
}
