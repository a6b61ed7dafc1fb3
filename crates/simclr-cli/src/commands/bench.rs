//! `simclr bench`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use candle_core::{Device, Tensor, Var};
use clap::Args;
use simclr_augment::{DecodedImage, Policy, Stream, View};
use simclr_data::{Dataset, ImageFolder, Seed};
use simclr_data::{SyntheticCores, decode_bytes, decode_file};
use simclr_kernels::{
    KernelOptions, Precision, convolution_operations, measure_precisions, microkernel_gflops,
};
use simclr_loss::NtXent;
use simclr_model::{Encoder, ResNetConfig, SimClr};
use simclr_model::{GradientCheckpointing, Stem};
use simclr_optim::{OptimizerConfig, SgdConfig};
use simclr_optim::{ScheduleConfig, WarmupCosine};
use simclr_train::{ContrastiveObjective, MemoryEstimate, Trainer};
use simclr_train::{LoopConfig, PretrainConfig};

use crate::device::DeviceArgument;
use crate::terminal::{AnyResult, say};

/// Every figure that can be taken.
const KEYS: [&str; 13] = [
    "step.resnet18.32.b64.cifar",
    "step.resnet18.96.b32",
    "step.resnet18.224.b16",
    "step.resnet50.96.b16",
    "step.resnet50.224.b8",
    "embed.resnet18.224",
    "embed.resnet50.224",
    "ntxent.N256.D128",
    "ntxent.N1024.D128",
    "ntxent.N4096.D128",
    "augment.noblur",
    "augment.blur",
    "decode",
];

/// Measures how fast this machine trains, embeds, augments and decodes.
///
/// Prints a line `KEY value unit` per figure, the median of several repetitions, and a line
/// `KEY.peak_memory value MB`: by how much the process outgrew its start. For steps and embeddings
/// also `KEY.convolutions value GFLOP/s (share % of peak)`: the operations of all convolutions by
/// the whole time, and their share of what the inner loops of matrix products do in this precision
/// when nothing else is to be done. On a GPU there are neither of these lines. Every figure is taken
/// in a process of its own, so that none inherits another's memory.
///
/// A step of another network, image size or batch is `step.resnet50.224.b32`; its lines
/// `KEY.resident_memory` and `KEY.estimated_memory` are the process's peak and what was estimated
/// before.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What to measure: step, embed, ntxent, augment, decode, or single keys. Default: all.
    what: Vec<String>,
    /// Measure the precisions that this processor has instead, the fastest first.
    #[arg(long, conflicts_with_all = ["what", "precision"])]
    tune: bool,
    /// A folder of class folders with images for `augment` and `decode`. `augment` takes
    /// synthetic cores of 501 x 501 pixels if it is not given.
    #[arg(long)]
    image_dir: Option<PathBuf>,
    /// Keep only the blocks' inputs for the backward pass of `step`, and compute the rest again.
    #[arg(long, alias = "recompute-blocks")]
    gradient_checkpointing: bool,
    /// Embed so many images of a `step` at a time, as a gradient cache does.
    #[arg(long)]
    gradient_cache: Option<usize>,
    /// The precision of convolutions and feature maps: single, bfloat16x3, bfloat16x6, bfloat16 or
    /// mixed.
    #[arg(long)]
    precision: Option<Precision>,
    /// Images per step or pass of `step` and `embed` in place of the key's, which are those of a
    /// processor.
    #[arg(long)]
    batch: Option<usize>,
    #[command(flatten)]
    device: DeviceArgument,
    /// How often a `step` is measured, after two steps that are not; with 0 it is the first step
    /// that is.
    #[arg(long, default_value_t = 3)]
    repetitions: usize,
    /// Measure this key in this process.
    #[arg(long, hide = true)]
    only: Option<String>,
}

impl Arguments {
    pub(crate) fn run(&self) -> AnyResult {
        if self.tune {
            return tune();
        }
        if let Some(key) = &self.only {
            let mut options = KernelOptions::default();
            options.precision = self.precision;
            options.validate()?;
            let device = self.device.open()?;
            return options.scope(|| measure(key, self, &device));
        }
        for key in self.keys()? {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(std::env::args_os().skip(1));
            if !command.args(["--only", &key]).status()?.success() {
                return Err(format!("measuring {key} failed").into());
            }
        }
        Ok(())
    }

    fn keys(&self) -> AnyResult<Vec<String>> {
        let keys = || KEYS.into_iter().map(str::to_owned);
        if self.what.is_empty() {
            let needs_files = |key: &String| *key == "decode" && self.image_dir.is_none();
            return Ok(keys().filter(|key| !needs_files(key)).collect());
        }
        let mut chosen = Vec::new();
        for what in &self.what {
            let of_group = |key: &String| key == what || key.split('.').next() == Some(what);
            let before = chosen.len();
            chosen.extend(keys().filter(of_group));
            if chosen.len() == before && what.starts_with("step.resnet") {
                chosen.push(what.clone());
            }
            if chosen.len() == before {
                return Err(
                    format!("unknown figure `{what}`; there are {}", KEYS.join(", ")).into(),
                );
            }
        }
        Ok(chosen)
    }
}

/// Prints what is fast on this processor.
fn tune() -> AnyResult {
    for measured in measure_precisions()? {
        let options = measured.options;
        let name = match (options.precision, options.bfloat16_kernel) {
            (Some(precision), Some(kernel)) if precision != Precision::Single => {
                format!("{precision} by {kernel}")
            }
            _ => Precision::Single.to_string(),
        };
        say(format_args!("{name} {:.0} GFLOP/s", measured.gflops));
    }
    Ok(())
}

/// Takes one figure and prints it.
fn measure(key: &str, arguments: &Arguments, device: &Device) -> AnyResult {
    let image_dir = arguments.image_dir.as_deref();
    let start = Memory::now();
    let parts: Vec<&str> = key.split('.').collect();
    let number = |text: &str| {
        text.trim_start_matches(|c: char| !c.is_ascii_digit())
            .parse::<usize>()
    };
    let mut name = key.to_owned();
    let (value, convolutions, unit) = match parts.as_slice() {
        ["step", network, size, batch, stem @ ..] => {
            if let Some(images) = arguments.batch {
                name = name.replace(&format!(".{batch}"), &format!(".b{images}"));
            }
            let encoder = network_config(number(network)?, !stem.is_empty());
            let config = PretrainConfig::default()
                .with_view_size(number(size)?)
                .with_encoder(encoder)
                .with_batch_size(arguments.batch.map_or_else(|| number(batch), Ok)?)
                .with_gradient_cache(arguments.gradient_cache);
            let (value, convolutions) = step(&name, config, arguments, device)?;
            (value, Some(convolutions), "views/s")
        }
        ["embed", network, size] => {
            let depth = number(network)?;
            let batch = arguments.batch.unwrap_or(if depth == 18 { 32 } else { 16 });
            let encoder = network_config(depth, false);
            let (value, convolutions) = embed(encoder, number(size)?, batch, device)?;
            (value, Some(convolutions), "img/s")
        }
        ["ntxent", images, width] => {
            let value = nt_xent(number(images)?, number(width)?, device)?;
            (value, None, "ms")
        }
        ["augment", blur] => {
            let value = augment(image_dir, *blur == "blur")?;
            (value, None, "views/s/core")
        }
        _ => (decode(image_dir)?, None, "img/s/core"),
    };
    say(format_args!("{name} {value:.2} {unit}"));
    if !device.is_cpu() {
        return Ok(());
    }
    if let Some(speed) = convolutions {
        let peak = microkernel_gflops()?;
        let share = 100.0 * speed / peak;
        say(format_args!(
            "{name}.convolutions {speed:.0} GFLOP/s ({share:.0} % of {peak:.0})"
        ));
    }
    if let (Some(start), Some(end)) = (start, Memory::now()) {
        say(format_args!(
            "{name}.peak_memory {:.0} MB",
            (end.peak - start.now) / 1024.0
        ));
    }
    Ok(())
}

fn network_config(depth: usize, cifar: bool) -> ResNetConfig {
    let stem = if cifar { Stem::Cifar } else { Stem::ImageNet };
    ResNetConfig::depth(depth).with_stem(stem)
}

/// The median seconds of `repetitions` calls, after `warm_up` others.
fn median_seconds(
    warm_up: usize,
    repetitions: usize,
    mut work: impl FnMut() -> AnyResult,
) -> AnyResult<f64> {
    let mut seconds = Vec::with_capacity(repetitions);
    for repetition in 0..warm_up + repetitions {
        let began = Instant::now();
        work()?;
        if repetition >= warm_up {
            seconds.push(began.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[seconds.len() / 2])
}

/// [`median_seconds`], and how many thousand million operations of convolutions a second that is.
fn median_speed(
    warm_up: usize,
    repetitions: usize,
    mut work: impl FnMut() -> AnyResult,
) -> AnyResult<(f64, f64)> {
    let mut operations = 0;
    let seconds = median_seconds(warm_up, repetitions, || {
        let before = convolution_operations();
        work()?;
        operations = convolution_operations() - before;
        Ok(())
    })?;
    Ok((seconds, operations as f64 / seconds / 1e9))
}

/// Forward, NT-Xent, backward and momentum SGD; views per second, and [`median_speed`].
fn step(
    key: &str,
    config: PretrainConfig,
    arguments: &Arguments,
    device: &Device,
) -> AnyResult<(f64, f64)> {
    let schedule = ScheduleConfig::default()
        .with_learning_rate(0.1)
        .with_warmup_epochs(0.0);
    let config = config
        .with_optimizer(OptimizerConfig::Momentum(SgdConfig::default()))
        .with_weight_decay(0.0)
        .with_schedule(schedule);
    config.validate()?;
    let checkpointing = if arguments.gradient_checkpointing {
        GradientCheckpointing::PerBlock
    } else {
        GradientCheckpointing::None
    };
    let estimate = MemoryEstimate::of_step(&config, 0, checkpointing)?;
    let batch = config.batch_size;
    let mut model = SimClr::initialize(&config.network(0), 1, device)?;
    model.set_gradient_checkpointing(checkpointing);
    let mut trainer = Trainer::new(
        model,
        ContrastiveObjective { loss: config.loss },
        &config.optimizer,
        config.weight_decay,
        WarmupCosine::new(&config.schedule, batch, batch)?,
    )?
    .with_gradient_cache(config.gradient_cache)?;
    let (height, width) = config.policy.size;
    let views = Tensor::rand(0f32, 1f32, (2 * batch, height, width, 3), device)?;
    let (warm_up, repetitions) = match arguments.repetitions {
        0 => (0, 1),
        repetitions => (2, repetitions),
    };
    let step = || {
        trainer.step(&views, None)?;
        Ok(device.synchronize()?)
    };
    let (seconds, speed) = median_speed(warm_up, repetitions, step)?;
    if let Some(memory) = Memory::now().filter(|_| device.is_cpu()) {
        let (peak, estimated) = (memory.peak / 1024.0, estimate.total() >> 20);
        say(format_args!("{key}.resident_memory {peak:.0} MB"));
        say(format_args!("{key}.estimated_memory {estimated} MB"));
    }
    Ok((2.0 * batch as f64 / seconds, speed))
}

/// Features by a frozen encoder; images per second, and [`median_speed`].
fn embed(
    encoder: ResNetConfig,
    size: usize,
    batch: usize,
    device: &Device,
) -> AnyResult<(f64, f64)> {
    let encoder = Encoder::initialize(&encoder, 1, device)?.frozen();
    let images = Tensor::rand(0f32, 1f32, (batch, size, size, 3), device)?;
    let (seconds, speed) = median_speed(1, 3, || {
        encoder.embed(&images, batch)?;
        Ok(device.synchronize()?)
    })?;
    Ok((batch as f64 / seconds, speed))
}

/// The loss and its gradient; milliseconds.
fn nt_xent(images: usize, width: usize, device: &Device) -> AnyResult<f64> {
    let embeddings = Var::from_tensor(&Tensor::randn(0f32, 1f32, (2 * images, width), device)?)?;
    let loss = NtXent {
        temperature: 0.1,
        ..NtXent::default()
    };
    let seconds = median_seconds(1, 5, || {
        loss.forward(embeddings.as_tensor())?.loss.backward()?;
        Ok(device.synchronize()?)
    })?;
    Ok(1000.0 * seconds)
}

/// Views of 224 px of decoded images on one core; views per second.
fn augment(image_dir: Option<&Path>, blur: bool) -> AnyResult<f64> {
    let images: Vec<DecodedImage> = match image_dir {
        Some(dir) => first_files(dir)?
            .iter()
            .map(decode_file)
            .collect::<Result<_, _>>()?,
        None => {
            let cores = SyntheticCores::new(32, 501, Seed(1))?;
            (0..cores.len())
                .map(|index| cores.decode(index))
                .collect::<Result<_, _>>()?
        }
    };
    let policy = Policy::simclr_v2(224).with_color_jitter_strength(0.5);
    let policy = if blur { policy } else { policy.without_blur() };
    let mut epoch = 0;
    let seconds = median_seconds(1, 3, || {
        epoch += 1;
        for (index, image) in images.iter().enumerate() {
            let stream = Stream::new(Seed(1)).epoch(epoch).sample(index as u64);
            for view in [View::First, View::Second] {
                policy.apply(image, stream.view(view))?;
            }
        }
        Ok(())
    })?;
    Ok(2.0 * images.len() as f64 / seconds)
}

/// Image files that are in memory, on one core; images per second.
fn decode(image_dir: Option<&Path>) -> AnyResult<f64> {
    let paths = first_files(image_dir.ok_or("decode needs --image-dir")?)?;
    let read = |path: PathBuf| Ok((path.display().to_string(), std::fs::read(path)?));
    let files = paths.into_iter().map(read).collect::<AnyResult<Vec<_>>>()?;
    let seconds = median_seconds(1, 3, || {
        for (name, bytes) in &files {
            decode_bytes(name, bytes)?;
        }
        Ok(())
    })?;
    Ok(files.len() as f64 / seconds)
}

fn first_files(dir: &Path) -> AnyResult<Vec<PathBuf>> {
    let folder = ImageFolder::open(dir)?;
    Ok(folder.paths().iter().take(128).cloned().collect())
}

/// Resident memory in KiB.
struct Memory {
    now: f64,
    peak: f64,
}

impl Memory {
    /// `None` where the system does not tell in `/proc`.
    fn now() -> Option<Self> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        Some(Self {
            now: field("VmRSS:")?,
            peak: field("VmHWM:")?,
        })
    }
}
