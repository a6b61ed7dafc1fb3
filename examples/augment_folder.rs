//! Offline augmentation: writes a folder of images and altered copies of them into a new
//! folder, as the paper did with its small classes.
//!
//! `cargo run --release --example augment_folder -- --image-dir train/ --out train-augmented/`
//!
//! Augment the training part of a split, not what is split afterwards: copies of a training
//! image among the test images inflate test accuracy.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use simclr::data::{OfflineAugmentation, Seed};
use simclr_cli::options::FolderArguments;
use simclr_cli::terminal::{complain, exit, say};

/// Writes the images of a folder, and altered copies of them, into a new folder.
#[derive(Parser)]
struct Arguments {
    /// A folder of images, with or without class folders.
    #[arg(long)]
    image_dir: PathBuf,
    /// The folder to write. It must not exist, and is complete when it does.
    #[arg(long)]
    out: PathBuf,
    /// How heavier copies are made, and how many unless --copies says so.
    #[arg(long, value_enum, default_value_t = Preset::Default)]
    preset: Preset,
    /// Add each image mirrored left-right, up-down, and both ways.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    flips: bool,
    /// Heavier copies of each image, each step by chance.
    #[arg(long)]
    copies: Option<u32>,
    /// Only these classes get copies, `--classes soupy,fall-in`; the others stay as they are.
    #[arg(long, value_delimiter = ',')]
    classes: Vec<String>,
    #[command(flatten)]
    folder: FolderArguments,
    /// Seed of the heavier copies.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Preset {
    /// No copies; blur, adaptive equalisation, quarter turns, shift, scale and rotation, hue
    /// and saturation.
    Default,
    /// One copy as the paper's script `Augmentation_more.py` makes it: also shuffled channels,
    /// embossing, contrast, transposition, distortions of a lens and of a grid.
    Paper,
}

impl Preset {
    fn augmentation(self, seed: Seed) -> OfflineAugmentation {
        match self {
            Self::Default => OfflineAugmentation::default().with_seed(seed),
            Self::Paper => OfflineAugmentation::paper(seed),
        }
    }
}

fn main() -> ExitCode {
    exit(|| run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> simclr::data::Result<()> {
    let images = arguments.folder.builder(&arguments.image_dir).open()?;
    if !images.report().is_clean() {
        complain(images.report());
    }
    let preset = arguments.preset.augmentation(Seed(arguments.seed));
    let copies = arguments.copies.unwrap_or(preset.copies);
    let augmentation = preset
        .with_flips(arguments.flips)
        .with_copies(copies)
        .with_classes(&arguments.classes);
    let written = augmentation.write(&images, &arguments.out)?;
    say(format_args!(
        "augment_folder: {} images and {} copies in {}",
        written.originals,
        written.copies,
        arguments.out.display()
    ));
    Ok(())
}
