//! `simclr import`.

use std::path::PathBuf;

use candle_core::DType;
use clap::{Args, ValueEnum};
use simclr_checkpoint::{
    Heads, ImportOptions, SaveOptions, check_torchvision, export_torchvision_with, import_with,
};
use simclr_files::write_bytes;
use simclr_model::{InputNormalization, StemPooling, StridePlacement};

use crate::outputs::check_output;
use crate::terminal::{AnyResult, say};

/// Converts a TensorFlow or PyTorch checkpoint to a network in our format.
///
/// Reads TensorFlow checkpoints of SimCLR (name-based, object-based, SavedModel) and ResNets with
/// torchvision's or timm's names. Prints what became of every variable; fails, and writes nothing,
/// if any is missing or damaged.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A checkpoint's prefix, index or folder, a SavedModel's folder, a `.safetensors` or `.pth`.
    #[arg(long)]
    from: PathBuf,
    /// The file to write.
    #[arg(long)]
    out: PathBuf,
    /// Take the exponential moving averages instead of the parameters.
    #[arg(long)]
    ema: bool,
    /// The heads to keep.
    #[arg(long, value_enum, default_value_t = HeadChoice::All)]
    heads: HeadChoice,
    /// Keep the optimizer's state, so that training can go on.
    #[arg(long)]
    momentum: bool,
    /// Level of the projection head that the supervised head stands on (fine-tuned SimCLRv2: 1).
    #[arg(long, default_value_t = 0)]
    ft_proj_selector: i64,
    /// Ratio of selective kernels of a ResNet-18 or -34 with CIFAR stem, which no variable tells.
    #[arg(long, default_value_t = 0.0)]
    sk_ratio: f64,
    /// Which of several networks in a PyTorch file: a part of what stands before its names, or
    /// `online`, `query`, `student`, `target`, `key`, `teacher`.
    #[arg(long)]
    branch: Option<String>,
    /// Store the values in half precision (f16).
    #[arg(long)]
    half: bool,
    /// Where a PyTorch network has the stride of a block. Default: what the file says, else v1.5.
    #[arg(long, value_enum)]
    stride: Option<StrideChoice>,
    /// How a PyTorch network pads its first max-pool. Default: what the file says, else symmetric.
    #[arg(long, value_enum)]
    stem_pool: Option<PoolChoice>,
    /// Mean of a PyTorch network's input, `R,G,B`. Default: what the file says, else ImageNet's.
    #[arg(long, value_parser = rgb, requires = "std", allow_hyphen_values = true)]
    mean: Option<[f64; 3]>,
    /// Standard deviation of a PyTorch network's input, `R,G,B`.
    #[arg(long, value_parser = rgb, requires = "mean")]
    std: Option<[f64; 3]>,
    /// A PyTorch network takes images in [0, 1] as they are.
    #[arg(long, conflicts_with_all = ["mean", "std"])]
    no_normalization: bool,
    /// A parameter, or the beginning of its name, that may be missing (repeatable).
    #[arg(long)]
    allow_missing: Vec<String>,
    /// Write the whole report here, as JSON.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Also write the network with torchvision's names here.
    #[arg(long)]
    torchvision: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum HeadChoice {
    All,
    Projection,
    Supervised,
    None,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StrideChoice {
    /// In the first 1x1, as in Caffe.
    #[value(name = "v1")]
    First,
    /// In the 3x3, as in torchvision and SimCLR.
    #[value(name = "v1.5")]
    Middle,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PoolChoice {
    /// One pixel on every side, as in torchvision.
    Symmetric,
    /// TensorFlow's SAME, as in SimCLR.
    Same,
}

/// Three numbers with commas between them.
fn rgb(text: &str) -> Result<[f64; 3], String> {
    let numbers: Result<Vec<f64>, _> = text.split(',').map(|part| part.trim().parse()).collect();
    let numbers = numbers.map_err(|error| error.to_string())?;
    numbers
        .try_into()
        .map_err(|_| "expected three numbers, R,G,B".to_owned())
}

impl Arguments {
    fn options(&self) -> ImportOptions {
        let normalization = self.mean.zip(self.std);
        let normalization = normalization.map(|(mean, std)| Some(InputNormalization { mean, std }));
        let heads = match self.heads {
            HeadChoice::All => Heads::All,
            HeadChoice::Projection => Heads::Projection,
            HeadChoice::Supervised => Heads::Supervised,
            HeadChoice::None => Heads::Drop,
        };
        let mut options = ImportOptions::default()
            .with_heads(heads)
            .with_moving_average(self.ema)
            .with_optimizer_state(self.momentum)
            .with_fine_tune_from(self.ft_proj_selector.into())
            .with_sk_ratio(self.sk_ratio)
            .with_branch(self.branch.clone())
            .with_allow_missing(&self.allow_missing);
        options.stride_placement = self.stride.map(|stride| match stride {
            StrideChoice::First => StridePlacement::First,
            StrideChoice::Middle => StridePlacement::Middle,
        });
        options.stem_pooling = self.stem_pool.map(|pool| match pool {
            PoolChoice::Symmetric => StemPooling::Symmetric,
            PoolChoice::Same => StemPooling::Same,
        });
        options.input_normalization = if self.no_normalization {
            Some(None)
        } else {
            normalization
        };
        options
    }

    pub(crate) fn run(&self) -> AnyResult {
        let mut others = vec![self.from.as_path()];
        let outputs = [&self.report, &self.torchvision].into_iter().flatten();
        for output in std::iter::once(&self.out).chain(outputs) {
            check_output(output, others.iter().copied())?;
            others.push(output);
        }
        let imported = import_with(&self.from, &self.options())?;
        if self.torchvision.is_some() {
            check_torchvision(&self.from, &imported.config)?;
        }
        say(imported.report.to_string().trim_end());
        let save = if self.half {
            SaveOptions::default().with_dtype(DType::F16)
        } else {
            SaveOptions::default()
        };
        imported.save_with(&self.out, &save)?;
        say(format_args!("wrote {}", self.out.display()));
        if let Some(path) = &self.report {
            let json = serde_json::to_string_pretty(&imported.report)?;
            write_bytes(path, json.as_bytes())?;
            say(format_args!("wrote {}", path.display()));
        }
        if let Some(path) = &self.torchvision {
            export_torchvision_with(&self.out, path, &save)?;
            say(format_args!("wrote {}", path.display()));
        }
        Ok(())
    }
}
