//! The flags of the original's `run.py` and of the paper's variants of it, as `absl` reads them.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use candle_core::Device;
use clap::{ArgAction, Args, Parser, ValueEnum};
use simclr_augment::Policy;
use simclr_loss::NtXent;
use simclr_model::{
    Freeze, GradientCheckpointing, ProjectionHeadConfig, ProjectionKind, ResNetConfig, SimClr,
};
use simclr_optim::ScheduleConfig;
use simclr_progress::ProgressMode;
use simclr_train::{FineTuneConfig, LoopConfig, PretrainConfig, RunSpec};

use crate::device::DeviceArgument;
use crate::experiments::optimizer_name::{OptimizerName, Scaling};
use crate::interrupt::pause_handle;

/// Flags that are true or false, also written `--use_blur` and `--nouse_blur`.
const BOOLEAN: [&str; 7] = [
    "use-blur",
    "hidden-norm",
    "lineareval-while-pretraining",
    "zero-init-logits-layer",
    "global-bn",
    "cache-dataset",
    "use-tpu",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum RunMode {
    Train,
    Eval,
    TrainThenEval,
}

impl RunMode {
    pub(crate) fn trains(self) -> bool {
        self != Self::Eval
    }

    pub(crate) fn evaluates(self) -> bool {
        self != Self::Train
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TrainMode {
    Pretrain,
    Finetune,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ProjectionHeadMode {
    None,
    Linear,
    Nonlinear,
}

/// Trains and evaluates as the original's run.py does, by its flags and with its defaults.
#[derive(Debug, Parser)]
#[command(name = "simclr run", args_override_self = true)]
pub struct Flags {
    /// What to do.
    #[arg(long, value_enum, default_value = "train")]
    pub(crate) mode: RunMode,
    /// Self-supervision, or training with labels.
    #[arg(long, value_enum, default_value = "pretrain")]
    pub(crate) train_mode: TrainMode,
    /// Images, in class folders if their labels are used.
    #[arg(long)]
    pub(crate) image_dir: Option<PathBuf>,
    /// `random`: the images' folders say nothing; anything else: they are the classes.
    #[arg(long, default_value = "random")]
    labels: String,
    /// `cifar10` is read from --data_dir; other sets are what --image_dir holds
    /// [default: imagenet2012].
    #[arg(long)]
    pub(crate) dataset: Option<String>,
    /// The folder of CIFAR-10's binary files.
    #[arg(long)]
    pub(crate) data_dir: Option<PathBuf>,
    /// The run's folder.
    #[arg(long)]
    pub(crate) model_dir: Option<PathBuf>,
    /// A network to start from: ours, TensorFlow's or PyTorch's.
    #[arg(long)]
    pub(crate) checkpoint: Option<PathBuf>,
    /// Freeze the stem and the block groups up to this one; -1 nothing, 4 all but the heads.
    #[arg(long, default_value = "-1", allow_hyphen_values = true)]
    fine_tune_after_block: Freeze,
    /// Side of the images in pixels.
    #[arg(long, default_value_t = 224)]
    pub(crate) image_size: usize,
    /// Images per step.
    #[arg(long, default_value_t = 512)]
    train_batch_size: usize,
    /// Images that self-supervision embeds at a time, in the memory for them, whatever the batch.
    #[arg(long)]
    gradient_cache: Option<usize>,
    /// Keep only the inputs of the network's blocks for the backward pass: less memory, more time.
    #[arg(long)]
    gradient_checkpointing: bool,
    /// Epochs of training.
    #[arg(long, default_value_t = 100)]
    train_epochs: usize,
    /// Steps of training; more than 0 overrides --train_epochs.
    #[arg(long, default_value_t = 0)]
    train_steps: usize,
    /// Images per step of an evaluation.
    #[arg(long, default_value = "256")]
    pub(crate) eval_batch_size: NonZeroUsize,
    /// Steps of an evaluation; 0 is all images.
    #[arg(long, default_value_t = 0)]
    pub(crate) eval_steps: usize,
    /// How many checkpoints stay.
    #[arg(long, default_value = "5")]
    keep_checkpoint_max: NonZeroUsize,
    /// Epochs between checkpoints.
    #[arg(long, default_value = "1")]
    checkpoint_epochs: NonZeroUsize,
    /// Steps between checkpoints; more than 0 overrides --checkpoint_epochs.
    #[arg(long, default_value_t = 0)]
    checkpoint_steps: usize,
    /// The learning rate for a batch of 256.
    #[arg(long, default_value_t = 0.3)]
    learning_rate: f64,
    /// How the learning rate grows with the batch.
    #[arg(long, value_enum, default_value = "linear")]
    learning_rate_scaling: Scaling,
    /// Epochs of warm-up.
    #[arg(long, default_value_t = 10.0)]
    warmup_epochs: f64,
    /// Strength of weight decay.
    #[arg(long, default_value_t = 1e-6)]
    weight_decay: f64,
    /// The optimizer.
    #[arg(long, value_enum, default_value = "lars")]
    optimizer: OptimizerName,
    /// Momentum of LARS and momentum SGD.
    #[arg(long, default_value_t = 0.9)]
    momentum: f64,
    /// Decay of batch norm's moving averages.
    #[arg(long, default_value_t = 0.9)]
    batch_norm_decay: f64,
    /// Depth of the ResNet.
    #[arg(long, default_value_t = 50)]
    resnet_depth: usize,
    /// Factor on the number of channels.
    #[arg(long, default_value_t = 1)]
    width_multiplier: usize,
    /// Selective kernels, as a fraction of the channels; 0 for none.
    #[arg(long, default_value_t = 0.0)]
    sk_ratio: f64,
    /// Squeeze and excitation, as a fraction of the channels; 0 for none.
    #[arg(long, default_value_t = 0.0)]
    se_ratio: f64,
    /// The projection head.
    #[arg(long, value_enum, default_value = "nonlinear")]
    proj_head_mode: ProjectionHeadMode,
    /// Width of the projection head's output.
    #[arg(long, default_value_t = 128)]
    proj_out_dim: usize,
    /// Layers of the projection head.
    #[arg(long, default_value_t = 3)]
    num_proj_layers: usize,
    /// On which level of the projection head the supervised head stands; 0 is the encoder.
    #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
    ft_proj_selector: i64,
    /// Temperature of the contrastive loss.
    #[arg(long, default_value_t = 0.1)]
    temperature: f64,
    /// Strength of the colour jitter.
    #[arg(long, default_value_t = 1.0)]
    color_jitter_strength: f64,
    /// Scale embeddings to unit length.
    #[arg(long, action = ArgAction::Set, value_parser = boolean, default_value = "true")]
    hidden_norm: bool,
    /// Blur views with probability 1/2.
    #[arg(long, action = ArgAction::Set, value_parser = boolean, default_value = "true")]
    use_blur: bool,
    /// Train a linear classifier alongside, where there are labels.
    #[arg(long, action = ArgAction::Set, value_parser = boolean, default_value = "true")]
    lineareval_while_pretraining: bool,
    /// Begin with a head of zeros in place of the checkpoint's.
    #[arg(long, action = ArgAction::Set, value_parser = boolean, default_value = "false")]
    pub(crate) zero_init_logits_layer: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgument,
    #[command(flatten)]
    without_meaning: WithoutMeaning,
}

/// Flags that change nothing here, so that a pasted command runs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Read and ignored")]
struct WithoutMeaning {
    #[arg(long)]
    num_of_classes: Option<String>,
    #[arg(long)]
    use_tpu: Option<String>,
    #[arg(long)]
    tpu_name: Option<String>,
    #[arg(long)]
    tpu_zone: Option<String>,
    #[arg(long)]
    gcp_project: Option<String>,
    #[arg(long)]
    master: Option<String>,
    #[arg(long)]
    global_bn: Option<String>,
    #[arg(long)]
    cache_dataset: Option<String>,
    #[arg(long)]
    train_split: Option<String>,
    #[arg(long)]
    eval_split: Option<String>,
    #[arg(long)]
    eval_name: Option<String>,
    #[arg(long)]
    keep_hub_module_max: Option<String>,
}

/// A command line as clap reads it: without `python` and the script's name in front, with
/// hyphens in the flags' names, and a value behind each that is true or false.
pub fn arguments(words: impl IntoIterator<Item = String>) -> Vec<String> {
    let is_script = |word: &String| word == "python" || word == "python3" || word.ends_with(".py");
    let mut words = words.into_iter();
    let program = words.next().unwrap_or_default();
    let flags = words.skip_while(is_script).map(|word| flag(&word));
    std::iter::once(program).chain(flags).collect()
}

fn flag(word: &str) -> String {
    let is_flag = word.starts_with("--") || is_short_form(word);
    if !is_flag {
        return word.to_owned();
    }
    let word = word.trim_start_matches('-');
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word, None),
    };
    let name = name.replace('_', "-");
    let negated = name.strip_prefix("no");
    let negated = negated.filter(|name| BOOLEAN.contains(&name.trim_start_matches('-')));
    match (value, negated) {
        (Some(value), _) => format!("--{name}={value}"),
        (None, Some(name)) => format!("--{}=false", name.trim_start_matches('-')),
        (None, None) if BOOLEAN.contains(&name.as_str()) => format!("--{name}=true"),
        (None, None) => format!("--{name}"),
    }
}

/// `absl` also takes one hyphen; `-1` is a number, and `-h` is clap's.
fn is_short_form(word: &str) -> bool {
    let name = word.strip_prefix('-').unwrap_or_default();
    name.len() > 1 && name.starts_with(|first: char| first.is_ascii_alphabetic())
}

/// `True`, `1`, `yes` and what else `absl` takes.
fn boolean(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "true" | "t" | "1" | "yes" | "y" => Ok(true),
        "false" | "f" | "0" | "no" | "n" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

impl Flags {
    /// Whether the images' folders are their classes.
    pub(crate) fn uses_labels(&self) -> bool {
        self.labels != "random"
    }

    /// The flags that were given and mean nothing here, each with the reason.
    pub(crate) fn ignored(&self) -> Vec<String> {
        let ignored = &self.without_meaning;
        let hardware = "the processor computes";
        let one_process = "there is one process";
        let split = "all images of the folder are used";
        let kept = "the network is saved once, at the end";
        let flags = [
            (
                "num_of_classes",
                &ignored.num_of_classes,
                "the folders tell",
            ),
            ("use_tpu", &ignored.use_tpu, hardware),
            ("tpu_name", &ignored.tpu_name, hardware),
            ("tpu_zone", &ignored.tpu_zone, hardware),
            ("gcp_project", &ignored.gcp_project, hardware),
            ("master", &ignored.master, hardware),
            ("global_bn", &ignored.global_bn, one_process),
            ("cache_dataset", &ignored.cache_dataset, "memory decides"),
            ("train_split", &ignored.train_split, split),
            ("eval_split", &ignored.eval_split, split),
            ("eval_name", &ignored.eval_name, "there is one evaluation"),
            ("keep_hub_module_max", &ignored.keep_hub_module_max, kept),
        ];
        let given = flags.iter().filter(|(_, value, _)| value.is_some());
        let mut lines: Vec<_> = given
            .map(|(name, _, reason)| format!("--{name} ({reason})"))
            .collect();
        if !self.mode.trains() && self.checkpoint.is_some() {
            lines.push("--checkpoint (the network of --model_dir is evaluated)".to_owned());
        }
        if self.image_dir.is_some() && self.dataset.is_some() {
            lines.push("--dataset (the images are those of --image_dir)".to_owned());
        }
        lines
    }

    /// The settings of self-supervision.
    pub fn pretrain_config(&self) -> PretrainConfig {
        let policy = self.view_policy(Policy::simclr_v2(self.image_size));
        let policy = policy.with_color_jitter_strength(self.color_jitter_strength);
        let policy = if self.use_blur {
            policy
        } else {
            policy.without_blur()
        };
        let config = self.over(PretrainConfig::default());
        let loss = NtXent {
            temperature: self.temperature,
            normalize: self.hidden_norm,
            ..config.loss
        };
        let config = config.with_loss(loss).with_policy(policy);
        config
            .with_linear_classifier(self.lineareval_while_pretraining)
            .with_gradient_cache(self.gradient_cache)
    }

    /// What training keeps for the backward pass.
    fn checkpointing(&self) -> GradientCheckpointing {
        if self.gradient_checkpointing {
            GradientCheckpointing::PerBlock
        } else {
            GradientCheckpointing::None
        }
    }

    /// The settings of training with labels.
    pub(crate) fn fine_tune_config(&self) -> FineTuneConfig {
        let evaluation = self.view_policy(Policy::evaluation(self.image_size));
        let head = if self.zero_init_logits_layer {
            simclr_train::HeadInit::Zero
        } else {
            simclr_train::HeadInit::Given
        };
        let config = self.over(FineTuneConfig::default().with_head(head));
        config
            .with_evaluation(evaluation)
            .with_view_size(self.image_size)
    }

    /// The run as the flags want it, with a checkpoint wherever they want one (the last step always
    /// has one), which a signal pauses.
    pub(crate) fn set_up<C: LoopConfig>(
        &self,
        run: RunSpec<C>,
        device: &Device,
        progress: ProgressMode,
    ) -> RunSpec<C> {
        let steps = NonZeroUsize::new(self.checkpoint_steps);
        let epochs = steps.map_or(self.checkpoint_epochs, |_| NonZeroUsize::MAX);
        run.checkpoint_epochs(epochs)
            .checkpoint_steps(steps)
            .keep_checkpoints(self.keep_checkpoint_max)
            .device(device.clone())
            .gradient_checkpointing(self.checkpointing())
            .progress(progress)
            .callback(pause_handle())
    }

    /// The settings with the encoder of the network to start from, which must be the one that
    /// the flags describe.
    pub(crate) fn on_network<C: LoopConfig>(
        &self,
        config: C,
        start: Option<&SimClr>,
    ) -> Result<C, String> {
        let Some(start) = start else {
            return Ok(config);
        };
        self.check_network("--checkpoint", start)?;
        Ok(config.with_encoder(start.encoder().config().clone()))
    }

    /// Fails unless the network that an option names has the form that the flags say.
    pub(crate) fn check_network(&self, option: &str, network: &SimClr) -> Result<(), String> {
        let form = |encoder: &ResNetConfig| {
            format!(
                "ResNet-{}, width {}, sk_ratio {}, se_ratio {}",
                encoder.depth, encoder.width_multiplier, encoder.sk_ratio, encoder.se_ratio
            )
        };
        let expected = form(&self.encoder());
        let found = form(network.encoder().config());
        if expected != found {
            return Err(format!(
                "{option}: expected {expected}, as the flags say, found {found}"
            ));
        }
        Ok(())
    }

    /// Photographs are squashed first, as the paper's input pipeline does it; CIFAR-10's images
    /// have their size.
    fn view_policy(&self, policy: Policy) -> Policy {
        if self.image_dir.is_some() {
            policy.squash_first()
        } else {
            policy
        }
    }

    fn encoder(&self) -> ResNetConfig {
        let mut encoder = ResNetConfig::depth(self.resnet_depth);
        encoder.width_multiplier = self.width_multiplier;
        encoder.sk_ratio = self.sk_ratio;
        encoder.se_ratio = self.se_ratio;
        encoder.batch_norm_decay = self.batch_norm_decay;
        encoder
    }

    /// What pretraining and fine-tuning have in common.
    fn over<C: LoopConfig>(&self, config: C) -> C {
        let encoder = self.encoder();
        let kind = match self.proj_head_mode {
            ProjectionHeadMode::None => ProjectionKind::None,
            ProjectionHeadMode::Linear => ProjectionKind::Linear,
            ProjectionHeadMode::Nonlinear => ProjectionKind::Nonlinear,
        };
        let projection_head = ProjectionHeadConfig::default()
            .with_kind(kind)
            .with_layers(self.num_proj_layers)
            .with_output_size(self.proj_out_dim)
            .with_fine_tune_from(self.ft_proj_selector);
        config
            .with_encoder(encoder)
            .with_image_size(self.image_size)
            .with_projection_head(projection_head)
            .with_optimizer(self.optimizer.config(self.momentum))
            .with_weight_decay(self.weight_decay)
            .with_schedule(self.schedule())
            .with_batch_size(self.train_batch_size)
            .with_freeze(self.fine_tune_after_block.with_original_batch_norm())
    }

    fn schedule(&self) -> ScheduleConfig {
        ScheduleConfig::default()
            .with_learning_rate(self.learning_rate)
            .with_scaling(self.learning_rate_scaling.into())
            .with_warmup_epochs(self.warmup_epochs)
            .with_epochs(self.train_epochs)
            .with_steps(Some(self.train_steps).filter(|&steps| steps > 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_were_not_given_are_not_said_to_be_ignored() {
        let ignored = |line: &str| {
            let words = line.split_whitespace().map(str::to_owned);
            Flags::try_parse_from(arguments(words)).unwrap().ignored()
        };
        let nothing: [&str; 0] = [];
        assert_eq!(ignored("run --image_dir=cores"), nothing);
        assert_eq!(
            ignored("run --image_dir=cores --dataset=imagenet2012 --nouse_tpu"),
            [
                "--use_tpu (the processor computes)",
                "--dataset (the images are those of --image_dir)"
            ]
        );
        assert_eq!(ignored("run --dataset=cifar10 --data_dir=c"), nothing);
    }
}
