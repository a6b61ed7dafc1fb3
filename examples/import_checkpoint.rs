//! Converts a checkpoint of somebody else's into ours.
//!
//! `cargo run --release --example import_checkpoint -- --from r50_1x_sk0/ --out model.safetensors`
//!
//! Reads TensorFlow checkpoints of SimCLR (name-based, object-based, SavedModel) and ResNets
//! with torchvision's or timm's names (`.safetensors`, `.pth`). Prints what became of every
//! variable; fails, and writes nothing, if any is missing or damaged.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use simclr::checkpoint::{Heads, ImportOptions, import};

/// Converts a TensorFlow or PyTorch checkpoint to a simclr file.
#[derive(Parser)]
struct Arguments {
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
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    ft_proj_selector: i64,
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

#[derive(Clone, Copy, ValueEnum)]
enum HeadChoice {
    All,
    Projection,
    Supervised,
    None,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("import_checkpoint: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let options = ImportOptions {
        heads: match arguments.heads {
            HeadChoice::All => Heads::All,
            HeadChoice::Projection => Heads::Projection,
            HeadChoice::Supervised => Heads::Supervised,
            HeadChoice::None => Heads::Drop,
        },
        moving_average: arguments.ema,
        optimizer_state: arguments.momentum,
        ft_proj_selector: arguments.ft_proj_selector,
        allow_missing: arguments.allow_missing,
        ..ImportOptions::default()
    };
    let imported = import(&arguments.from, options)?;
    print!("{}", imported.report());
    imported.save(&arguments.out)?;
    println!("wrote {}", arguments.out.display());
    if let Some(path) = arguments.report {
        let json = serde_json::to_string_pretty(imported.report())?;
        std::fs::write(&path, json).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("wrote {}", path.display());
    }
    if let Some(path) = arguments.torchvision {
        simclr::checkpoint::export_torchvision(&arguments.out, &path)?;
        println!("wrote {}", path.display());
    }
    Ok(())
}
