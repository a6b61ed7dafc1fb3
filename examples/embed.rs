//! The representations of a folder of images, as safetensors.
//!
//! `cargo run --release --example embed -- --checkpoint runs/cores/model.safetensors \
//!     --image-dir cores/ --out features.safetensors`
//!
//! Writes `features` [n, d] f32 and `labels` [n] i64 (-1 where there is none), with
//! the images' paths and the classes as JSON lists in the metadata.

use std::collections::HashMap;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use candle_core::{Device, Tensor};
use clap::Parser;
use simclr::prelude::*;

#[path = "common/exit.rs"]
mod exit;
#[path = "common/images.rs"]
mod images;

use exit::{complain, exit, say};
use images::FolderArguments;

/// Writes an encoder's features of each image.
#[derive(Parser)]
struct Arguments {
    /// A network in our safetensors format.
    #[arg(long)]
    checkpoint: PathBuf,
    /// A folder of images, with or without class folders.
    #[arg(long)]
    image_dir: PathBuf,
    /// Side of the images that the encoder sees, in pixels.
    #[arg(long, default_value_t = 224)]
    image_size: usize,
    /// The file to write.
    #[arg(long)]
    out: PathBuf,
    #[command(flatten)]
    folder: FolderArguments,
}

fn main() -> ExitCode {
    exit(|| run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error + Send + Sync>> {
    let encoder = Encoder::load(&arguments.checkpoint, &Device::Cpu)?.frozen();
    let images = arguments.folder.builder(&arguments.image_dir).open()?;
    if !images.report().is_clean() {
        complain(images.report());
    }

    let stage = Stage::new("embedding", images.len().div_ceil(64) as u64);
    let mut progress = ProgressMode::Auto.start(stage);
    let policy = Policy::probe(arguments.image_size);
    let features =
        Features::extract_showing(&encoder, images.shared(), &policy, progress.as_mut())?;
    let mut rows = features.values.chunks(features.size.max(1));
    if let Some(image) = rows.position(|row| row.iter().any(|value| !value.is_finite())) {
        let name = images.name(image);
        return Err(format!("{name}: its features are not finite; nothing was written").into());
    }
    progress.finish(&format!(
        "{} images, {} numbers each",
        features.len(),
        features.size
    ));

    let labels: Vec<i64> = (0..images.len())
        .map(|index| images.label(index).map_or(-1, i64::from))
        .collect();
    let paths: Vec<String> = (0..images.len()).map(|index| images.name(index)).collect();
    let metadata = HashMap::from([
        ("paths".to_owned(), serde_json::to_string(&paths)?),
        (
            "classes".to_owned(),
            serde_json::to_string(images.class_names())?,
        ),
        ("image_size".to_owned(), arguments.image_size.to_string()),
    ]);
    let tensors = [
        ("features", features.tensor()?),
        ("labels", Tensor::new(labels, &Device::Cpu)?),
    ];
    safetensors::serialize_to_file(tensors, Some(metadata), &arguments.out)?;
    say(format_args!(
        "embed: {} images -> {}",
        features.len(),
        arguments.out.display()
    ));
    Ok(())
}
