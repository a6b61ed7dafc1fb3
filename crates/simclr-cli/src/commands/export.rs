//! `simclr export`.

use std::path::PathBuf;

use candle_core::{DType, Device};
use clap::{Args, ValueEnum};
use simclr_checkpoint::{LoadNetwork, SaveOptions, export_torchvision_with};
use simclr_classifier::Classifier;
use simclr_model::SimClr;
use simclr_onnx::{ClassHead, InputLayout, OnnxOptions, export_classifier_onnx, export_onnx};

use crate::outputs::check_output;
use crate::terminal::{AnyResult, say};

/// Writes a network or a classifier for other programs: as ONNX, or with torchvision's names.
///
/// The ONNX graph takes images in [0, 1] of one size, any number at a time. Of a network it gives
/// `representation` and, if it has such heads, `projection` and `logits`; of a classifier
/// `representation`, `logits` and calibrated `probabilities`, for images as `simclr predict`
/// prepares them; the file's metadata has the names of the `classes` in their order and the `policy`
/// of the preparation, as JSON.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A network in our safetensors format.
    #[arg(long, required_unless_present = "classifier")]
    checkpoint: Option<PathBuf>,
    /// A classifier, as `simclr probe` makes it, instead of a network.
    #[arg(long, conflicts_with_all = ["checkpoint", "image_size", "no_heads"])]
    classifier: Option<PathBuf>,
    /// The file to write.
    #[arg(long)]
    out: PathBuf,
    /// Its format.
    #[arg(long, value_enum, default_value_t = Format::Onnx)]
    format: Format,
    /// Side of the images that the ONNX graph takes, in pixels [default: 224].
    #[arg(long)]
    image_size: Option<usize>,
    /// The layout of the ONNX graph's images [default: nchw].
    #[arg(long, value_enum)]
    layout: Option<LayoutChoice>,
    /// Write the encoder alone into the ONNX graph.
    #[arg(long)]
    no_heads: bool,
    /// Store values in half precision (f16) in the file with torchvision's names.
    #[arg(long)]
    half: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// A graph for onnxruntime and others.
    Onnx,
    /// A safetensors file with the encoder under torchvision's names.
    Torchvision,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LayoutChoice {
    /// `[n, 3, height, width]`.
    Nchw,
    /// `[n, height, width, 3]`.
    Nhwc,
}

impl Arguments {
    pub(crate) fn run(&self) -> AnyResult {
        let read = self.classifier.iter().chain(&self.checkpoint);
        check_output(&self.out, read.map(PathBuf::as_path))?;
        self.check_format()?;
        match (self.format, &self.classifier, &self.checkpoint) {
            (Format::Onnx, Some(path), _) => self.classifier(&Classifier::load(path)?)?,
            (Format::Onnx, None, Some(path)) => {
                let model = SimClr::load(path, &Device::Cpu)?;
                let options = self
                    .options()
                    .with_image_size(self.image_size.unwrap_or(224));
                export_onnx(&model, &self.out, &options.with_heads(!self.no_heads))?;
            }
            (Format::Torchvision, classifier, network) => {
                let path = classifier.as_ref().or(network.as_ref());
                let path = path.ok_or("give --checkpoint FILE")?;
                let dtype = if self.half { DType::F16 } else { DType::F32 };
                let save = SaveOptions::default().with_dtype(dtype);
                export_torchvision_with(path, &self.out, &save)?;
            }
            (Format::Onnx, None, None) => return Err("give --checkpoint FILE".into()),
        }
        say(format_args!("wrote {}", self.out.display()));
        Ok(())
    }

    /// Refuses options that say nothing about files of the format.
    fn check_format(&self) -> AnyResult {
        let for_onnx = [
            ("--image-size", self.image_size.is_some()),
            ("--layout", self.layout.is_some()),
            ("--no-heads", self.no_heads),
        ];
        let (other, options) = match self.format {
            Format::Onnx => ("torchvision", &[("--half", self.half)][..]),
            Format::Torchvision => ("onnx", &for_onnx[..]),
        };
        match options.iter().find(|(_, is_given)| *is_given) {
            Some((option, _)) => Err(format!("{option} is for --format {other}").into()),
            None => Ok(()),
        }
    }

    fn options(&self) -> OnnxOptions {
        OnnxOptions::default().with_layout(match self.layout {
            None | Some(LayoutChoice::Nchw) => InputLayout::Nchw,
            Some(LayoutChoice::Nhwc) => InputLayout::Nhwc,
        })
    }

    fn classifier(&self, classifier: &Classifier) -> AnyResult {
        let dense = classifier.dense_head()?;
        let head = ClassHead {
            kernel: dense.kernel,
            bias: dense.bias,
            unit_length: dense.unit_length,
            temperature: classifier.info().temperature,
        };
        let policy = &classifier.info().policy;
        let mut options = self
            .options()
            .with_metadata("classes", serde_json::to_string(classifier.classes())?)
            .with_metadata("policy", serde_json::to_string(policy)?);
        (options.height, options.width) = policy.size;
        Ok(export_classifier_onnx(
            &classifier.encoder(),
            &head,
            &self.out,
            &options,
        )?)
    }
}
