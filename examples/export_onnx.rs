//! Writes a network as an ONNX file, for onnxruntime and other programs.
//!
//! `cargo run --release --example export_onnx -- --checkpoint runs/cores/model.safetensors \
//!     --image-size 224 --out model.onnx`
//!
//! The graph takes images in [0, 1] of this one size, any number at a time, and gives
//! `representation` and, if the network has such heads, `projection` and `logits`.

use std::path::PathBuf;
use std::process::ExitCode;

use candle_core::Device;
use clap::{Parser, ValueEnum};
use simclr::onnx::{InputLayout, OnnxOptions, export_onnx};
use simclr::prelude::*;

#[path = "common/exit.rs"]
mod exit;

use exit::{exit, say};

/// Writes a network as an ONNX file.
#[derive(Parser)]
struct Arguments {
    /// A network in our safetensors format.
    #[arg(long)]
    checkpoint: PathBuf,
    /// The file to write.
    #[arg(long)]
    out: PathBuf,
    /// Side of the images that the graph takes, in pixels.
    #[arg(long, default_value_t = 224)]
    image_size: usize,
    /// The layout of the images.
    #[arg(long, value_enum, default_value_t = LayoutChoice::Nchw)]
    layout: LayoutChoice,
    /// Write the encoder alone.
    #[arg(long)]
    no_heads: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum LayoutChoice {
    /// `[n, 3, height, width]`.
    Nchw,
    /// `[n, height, width, 3]`.
    Nhwc,
}

fn main() -> ExitCode {
    exit(|| run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let model = SimClr::load(&arguments.checkpoint, &Device::Cpu)?;
    let layout = match arguments.layout {
        LayoutChoice::Nchw => InputLayout::Nchw,
        LayoutChoice::Nhwc => InputLayout::Nhwc,
    };
    let options = OnnxOptions::default()
        .with_image_size(arguments.image_size)
        .with_layout(layout)
        .with_heads(!arguments.no_heads);
    export_onnx(&model, &arguments.out, &options)?;
    say(format_args!("wrote {}", arguments.out.display()));
    Ok(())
}
