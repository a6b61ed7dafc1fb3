//! Shows an augmentation policy: each row is an image and several of its views.
//!
//! `cargo run --release --example augment_preview -- --image-dir cores/ --out grid.png`
//!
//! Without `--image-dir`, synthetic cores are shown.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, ValueEnum};
use image::RgbImage;
use image::imageops::thumbnail;
use simclr::augment::{DecodedImage, Image, Policy, Stream, View};
use simclr::data::{Dataset, DatasetExt, Labels, Seed, SyntheticCores, image_grid, save_png};
use simclr_cli::options::FolderArguments;
use simclr_cli::terminal::{exit, say};

/// Draws a grid of images and their augmented views.
#[derive(Parser)]
struct Arguments {
    /// A folder of images, with or without class folders [default: synthetic cores].
    #[arg(long)]
    image_dir: Option<PathBuf>,
    /// Where to write the grid.
    #[arg(long, default_value = "augmented_views.png")]
    out: PathBuf,
    /// What is done to the images.
    #[arg(long, value_enum, default_value = "paper")]
    policy: PolicyName,
    /// Strength of the colour jitter, where the policy has one.
    #[arg(long)]
    color_jitter_strength: Option<f64>,
    /// Side of a view in pixels.
    #[arg(long, default_value_t = 128)]
    image_size: usize,
    /// Images, evenly spaced over the folder.
    #[arg(long, default_value_t = 8)]
    count: usize,
    /// Views of each image.
    #[arg(long, default_value_t = 8)]
    views: u32,
    #[command(flatten)]
    folder: FolderArguments,
    /// Seed of the views.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum PolicyName {
    /// The geology paper's: squash, crop, flip, jitter of strength 0.5, greyscale.
    Paper,
    /// The paper's with up-down flips and rotation, for rocks without an up.
    Rock,
    /// SimCLRv2's: no squash, jitter of strength 1, blur.
    SimclrV2,
    /// SimCLR's first version: brightness added and not multiplied.
    SimclrV1,
    /// The linear probe's: nothing random.
    Probe,
}

impl Arguments {
    fn policy(&self) -> Policy {
        let policy = match self.policy {
            PolicyName::Paper => Policy::paper(self.image_size),
            PolicyName::Rock => Policy::paper(self.image_size).with_rock_symmetries(),
            PolicyName::SimclrV2 => Policy::simclr_v2(self.image_size),
            PolicyName::SimclrV1 => Policy::simclr_v1(self.image_size),
            PolicyName::Probe => Policy::probe(self.image_size),
        };
        match self.color_jitter_strength {
            Some(strength) => policy.with_color_jitter_strength(strength),
            None => policy,
        }
    }

    fn images(&self) -> simclr::data::Result<Arc<dyn Dataset>> {
        match &self.image_dir {
            Some(dir) => {
                let folder = self.folder.builder(dir).labels(Labels::Ignored);
                Ok(folder.open()?.shared())
            }
            None => Ok(SyntheticCores::new(self.count.max(1), 256, Seed(self.seed))?.shared()),
        }
    }
}

fn main() -> ExitCode {
    exit(|| run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let policy = arguments.policy();
    policy.validate()?;
    let images = arguments.images()?;
    let count = arguments.count.min(images.len());
    let mut rows = Vec::with_capacity(count);
    for index in (0..count).map(|row| row * images.len() / count) {
        let original = images.decode(index)?;
        let mut row = vec![shrunk(&original, arguments.image_size)?];
        let stream = Stream::new(Seed(arguments.seed)).sample(index as u64);
        for view in 0..arguments.views {
            row.push(policy.apply(&original, stream.view(View::Index(view)))?);
        }
        rows.push(row);
    }
    save_png(&image_grid(&rows)?, &arguments.out)?;
    say(&policy);
    say(format_args!(
        "{count} of {} images, {} views each: {}",
        images.len(),
        arguments.views,
        arguments.out.display()
    ));
    Ok(())
}

/// The image with its longer side at `size` at most, for looking at.
fn shrunk(
    image: &DecodedImage,
    size: usize,
) -> Result<Image, Box<dyn std::error::Error + Send + Sync>> {
    let (height, width) = (image.height(), image.width());
    let longer = height.max(width);
    if longer <= size {
        return Ok(image.to_image());
    }
    let scaled = |side: usize| u32::try_from((side * size / longer).max(1));
    let pixels = RgbImage::try_from(image.clone())?;
    let small = thumbnail(&pixels, scaled(width)?, scaled(height)?);
    Ok(DecodedImage::try_from(small)?.to_image())
}
