//! `simclr embed`.

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use clap::Args;
use simclr_augment::Policy;
use simclr_checkpoint::LoadNetwork;
use simclr_data::{Dataset, DatasetExt};
use simclr_eval::Features;
use simclr_model::Encoder;
use simclr_progress::{ProgressMode, Stage};

use crate::device::DeviceArgument;
use crate::options::FolderArguments;
use crate::terminal::{AnyResult, complain, say};

/// Writes an encoder's features of each image, as safetensors.
///
/// `features` [n, d] f32 and `labels` [n] i64 (-1 where there is none), with the images' paths and the
/// classes as JSON lists in the metadata.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
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
    #[command(flatten)]
    device: DeviceArgument,
}

impl Arguments {
    pub(crate) fn run(&self, progress: ProgressMode) -> AnyResult {
        let encoder = Encoder::load(&self.checkpoint, &self.device.open()?)?.frozen();
        let images = self.folder.builder(&self.image_dir).open()?;
        if !images.report().is_clean() {
            complain(images.report());
        }

        let stage = Stage::new("embedding", images.len().div_ceil(64) as u64);
        let mut progress = progress.start(stage);
        let policy = Policy::probe(self.image_size);
        let features =
            Features::extract_showing(&encoder, images.shared(), &policy, progress.as_mut())?;
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
            ("image_size".to_owned(), self.image_size.to_string()),
        ]);
        let tensors = [
            ("features", features.tensor()?),
            ("labels", Tensor::new(labels, &Device::Cpu)?),
        ];
        safetensors::serialize_to_file(tensors, Some(metadata), &self.out)?;
        say(format_args!(
            "embed: {} images -> {}",
            features.len(),
            self.out.display()
        ));
        Ok(())
    }
}
