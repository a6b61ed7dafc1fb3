//! `simclr embed`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use clap::Args;
use simclr_augment::Policy;
use simclr_checkpoint::{CheckpointFile, LoadNetwork, Metadata};
use simclr_data::{Dataset, DatasetExt};
use simclr_eval::Features;
use simclr_model::Encoder;
use simclr_progress::{ProgressMode, Stage};

use crate::device::DeviceArgument;
use crate::options::FolderArguments;
use crate::outputs::check_output;
use crate::terminal::{AnyResult, say};

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
        check_output(&self.out, [self.checkpoint.as_path()])?;
        let encoder = Encoder::load(&self.checkpoint, &self.device.open()?)?.frozen();
        let images = self.folder.builder(&self.image_dir).open()?;

        let stage = Stage::new("embedding", images.len().div_ceil(64) as u64);
        let mut progress = progress.start(stage);
        let policy = Policy::probe(self.image_size);
        let unlabelled = images.without_labels().shared();
        let features = Features::extract_showing(&encoder, unlabelled, &policy, progress.as_mut())?;
        progress.finish(&format!(
            "{} images, {} numbers each",
            features.len(),
            features.size
        ));

        let labels: Vec<i64> = (0..images.len())
            .map(|index| images.label(index).map_or(-1, i64::from))
            .collect();
        let paths: Vec<String> = (0..images.len()).map(|index| images.name(index)).collect();
        let metadata = Metadata::default()
            .with_extra("paths", paths)
            .with_extra("classes", images.class_names())
            .with_extra("image_size", self.image_size);
        let tensors = BTreeMap::from([
            ("features".to_owned(), features.tensor()?),
            ("labels".to_owned(), Tensor::new(labels, &Device::Cpu)?),
        ]);
        CheckpointFile { tensors, metadata }.save(&self.out)?;
        say(format_args!(
            "embed: {} images -> {}",
            features.len(),
            self.out.display()
        ));
        Ok(())
    }
}
