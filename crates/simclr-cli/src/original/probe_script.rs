//! The paper's `TF2_finetuning.py`: a linear head on the frozen features of a network.

use std::path::PathBuf;

use clap::Parser;
use simclr_augment::Policy;
use simclr_data::{Concatenated, Dataset, DatasetExt, ImageFolder, Split};
use simclr_eval::Features;
use simclr_eval::probes::LinearProbe;
use simclr_files::write_bytes;

use super::network::load;
use crate::device::DeviceArgument;
use crate::outputs::check_output;
use crate::terminal::{AnyResult, say};

/// Trains a linear head on a network's frozen features as the paper's `TF2_finetuning*.py` do, with
/// the paths that these compose given whole.
#[derive(Debug, Parser)]
#[command(name = "simclr run TF2_finetuning.py")]
pub(crate) struct ProbeScript {
    /// The network: ours, TensorFlow's or PyTorch's.
    network: PathBuf,
    /// A folder with `training`, `validation` and `testing`, each with a folder per class.
    data: PathBuf,
    /// Read and ignored: the folders tell.
    num_classes: Option<usize>,
    /// Side of the images in pixels.
    #[arg(long, default_value_t = 224)]
    image_size: usize,
    /// Epochs; the cluster's variants of the script have 15.
    #[arg(long, default_value_t = 25)]
    epochs: usize,
    /// Where the figures of each epoch are written.
    #[arg(long, default_value = "probe.csv")]
    out: PathBuf,
    #[command(flatten)]
    device: DeviceArgument,
}

/// The words behind a `TF2_finetuning*.py`, with the program in front, if there is one.
pub(crate) fn words(all: &[String]) -> Option<Vec<String>> {
    let name = |word: &String| word.rsplit('/').next().unwrap_or_default().to_owned();
    let is_script = |word: &String| name(word).starts_with("TF2_finetuning");
    let position = all.iter().position(is_script)?;
    all.get(position..).map(<[String]>::to_vec)
}

/// Trains the paper's linear probe and writes each epoch's figures.
pub(crate) fn run(script: &ProbeScript) -> AnyResult {
    check_output(&script.out, [script.network.as_path()])?;
    let probe = LinearProbe::paper().with_epochs(script.epochs);
    probe.validate()?;
    let parts = ["training", "validation", "testing"].map(|part| script.data.join(part));
    let parts = parts.map(|dir| AnyResult::Ok(ImageFolder::labelled(dir)?.shared()));
    let [train, validation, test] = parts;
    let all = Concatenated::new([train?, validation?, test?])?;
    let mut ranges = all.ranges().into_iter();
    let mut next = || all.subset(Vec::from_iter(ranges.next().unwrap_or_default()));
    let split = Split {
        train: next()?,
        validation: next()?,
        test: next()?,
    };
    let encoder = load(&script.network, &script.device.open()?)?
        .encoder()
        .frozen();
    let features = Features::of_split(&encoder, &split, &Policy::probe(script.image_size))?;
    let report = probe.fit(
        features.train.examples()?,
        features.validation.examples()?,
        features.test.examples()?,
        all.class_names(),
    )?;
    let mut csv = Vec::new();
    report.epoch_table().write_csv(&mut csv)?;
    write_bytes(&script.out, &csv)?;
    say(&report);
    Ok(())
}
