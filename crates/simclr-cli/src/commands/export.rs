//! `simclr export`.

use std::path::PathBuf;

use candle_core::{DType, Device};
use clap::{Args, ValueEnum};
use simclr_checkpoint::{LoadNetwork, SaveOptions, export_torchvision_with};
use simclr_model::SimClr;
use simclr_onnx::{InputLayout, OnnxOptions, export_onnx};

use crate::terminal::{AnyResult, say};

/// Writes a network for other programs: as ONNX, or with torchvision's names.
///
/// The ONNX graph takes images in [0, 1] of one size, any number at a time, and gives
/// `representation` and, if the network has such heads, `projection` and `logits`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A network in our safetensors format.
    #[arg(long)]
    checkpoint: PathBuf,
    /// The file to write.
    #[arg(long)]
    out: PathBuf,
    /// Its format.
    #[arg(long, value_enum, default_value_t = Format::Onnx)]
    format: Format,
    /// Side of the images that the ONNX graph takes, in pixels.
    #[arg(long, default_value_t = 224)]
    image_size: usize,
    /// The layout of the ONNX graph's images.
    #[arg(long, value_enum, default_value_t = LayoutChoice::Nchw)]
    layout: LayoutChoice,
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
        match self.format {
            Format::Onnx => self.onnx()?,
            Format::Torchvision => {
                let dtype = if self.half { DType::F16 } else { DType::F32 };
                let save = SaveOptions::default().with_dtype(dtype);
                export_torchvision_with(&self.checkpoint, &self.out, &save)?;
            }
        }
        say(format_args!("wrote {}", self.out.display()));
        Ok(())
    }

    fn onnx(&self) -> AnyResult {
        let model = SimClr::load(&self.checkpoint, &Device::Cpu)?;
        let layout = match self.layout {
            LayoutChoice::Nchw => InputLayout::Nchw,
            LayoutChoice::Nhwc => InputLayout::Nhwc,
        };
        let options = OnnxOptions::default()
            .with_image_size(self.image_size)
            .with_layout(layout)
            .with_heads(!self.no_heads);
        Ok(export_onnx(&model, &self.out, &options)?)
    }
}
