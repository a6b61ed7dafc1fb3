//! The settings of self-supervision as options, named as the original's flags.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::{Args, Parser, ValueEnum};
use simclr_augment::Policy;
use simclr_model::Freeze;
use simclr_optim::OptimizerConfig;
use simclr_study::Protocol;
use simclr_train::{OnNan, Pretrain, PretrainConfig};

use super::arguments::{ExperimentArguments, Options};
use super::optimizer_name::{OptimizerName, Scaling};
use crate::options::first_given;
use crate::terminal::AnyResult;

/// What is done about a step whose loss is not a finite number.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum OnNanName {
    /// The training stops.
    Stop,
    /// The step is left out; after ten in a row the training stops.
    Skip,
}

/// The options of an experiment with self-supervision.
#[derive(Debug, Clone, Parser)]
pub struct SelfSupervisionArguments {
    #[command(flatten)]
    pub(crate) experiment: ExperimentArguments,
    #[command(flatten)]
    pub(crate) pretrain: PretrainArguments,
}

impl Options for SelfSupervisionArguments {
    fn experiment(&mut self) -> &mut ExperimentArguments {
        &mut self.experiment
    }
}

impl SelfSupervisionArguments {
    /// Self-supervision with these settings.
    pub(crate) fn pretrain(&self, config: PretrainConfig) -> Pretrain {
        let pretrain = &self.pretrain;
        let training = Pretrain::new(config)
            .checkpoint_epochs(pretrain.checkpoint_epochs)
            .checkpoint_steps(pretrain.checkpoint_steps)
            .checkpoint_interval(pretrain.checkpoint_minutes)
            .keep_checkpoints(pretrain.keep_checkpoint_max)
            .cache_bytes(u64::from(pretrain.cache_mib) << 20)
            .on_nan(match pretrain.on_nan {
                OnNanName::Stop => OnNan::Stop,
                OnNanName::Skip => OnNan::Skip,
            })
            .progress(self.experiment.progress)
            .gradient_checkpointing(self.experiment.gradient_checkpointing());
        #[cfg(feature = "tensorboard")]
        if self.pretrain.tensorboard {
            return training.callback(simclr_train::TensorBoard::default());
        }
        training
    }
}

/// Settings of self-supervision. What is not given is the preset's.
#[derive(Debug, Clone, Args)]
pub(crate) struct PretrainArguments {
    /// Depth of the ResNet: 18, 34, 50, 101, 152 or 200.
    #[arg(long)]
    resnet_depth: Option<usize>,
    /// Factor on the number of channels.
    #[arg(long)]
    width_multiplier: Option<usize>,
    /// Selective kernels, as a fraction of the channels; 0 for none.
    #[arg(long)]
    sk_ratio: Option<f64>,
    /// Squeeze and excitation, as a fraction of the channels; 0 for none.
    #[arg(long)]
    se_ratio: Option<f64>,
    /// Images per step, each with two views.
    #[arg(long)]
    train_batch_size: Option<usize>,
    /// Passes over the images.
    #[arg(long)]
    train_epochs: Option<usize>,
    /// The optimizer.
    #[arg(long, value_enum)]
    optimizer: Option<OptimizerName>,
    /// Learning rate before scaling.
    #[arg(long)]
    learning_rate: Option<f64>,
    /// How the learning rate grows with the batch.
    #[arg(long, value_enum)]
    learning_rate_scaling: Option<Scaling>,
    /// Epochs of linear warm-up.
    #[arg(long)]
    warmup_epochs: Option<f64>,
    /// Momentum of the optimizer [default: 0.9].
    #[arg(long)]
    momentum: Option<f64>,
    /// Strength of the L2 penalty.
    #[arg(long)]
    weight_decay: Option<f64>,
    /// Temperature of NT-Xent.
    #[arg(long)]
    temperature: Option<f64>,
    /// Scale embeddings to unit length.
    #[arg(long)]
    hidden_norm: Option<bool>,
    /// Width of the projection head's output.
    #[arg(long)]
    proj_out_dim: Option<usize>,
    /// Layers of the projection head.
    #[arg(long)]
    num_proj_layers: Option<usize>,
    /// Strength of the colour jitter.
    #[arg(long)]
    color_jitter_strength: Option<f64>,
    /// Blur views with probability 1/2.
    #[arg(long)]
    use_blur: bool,
    /// Flip and turn views in every direction: for rocks that have no up.
    #[arg(long)]
    rock_symmetries: bool,
    /// Decay of batch norm's moving averages.
    #[arg(long)]
    batch_norm_decay: Option<f64>,
    /// Freeze the stem and the block groups up to this one; -1 freezes nothing. Experiment 2
    /// takes several, separated by commas.
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true)]
    fine_tune_after_block: Option<Vec<Freeze>>,
    /// Parts of the unlabelled images that are used. Experiment 4 takes several, separated by
    /// commas.
    #[arg(long, value_delimiter = ',')]
    unlabelled_fraction: Option<Vec<f64>>,
    /// Train a linear classifier alongside, where there are labels.
    #[arg(long)]
    lineareval_while_pretraining: Option<bool>,
    /// Embed so many images at a time, in the memory for them, whatever the batch: exact loss,
    /// batch norm's statistics over these images, a second forward pass.
    #[arg(long, value_name = "IMAGES")]
    gradient_cache: Option<usize>,
    /// Write event files for TensorBoard into the folders of the training runs.
    #[cfg(feature = "tensorboard")]
    #[arg(long)]
    tensorboard: bool,
    /// Epochs between checkpoints.
    #[arg(long, default_value_t = NonZeroUsize::MIN)]
    checkpoint_epochs: NonZeroUsize,
    /// Steps between checkpoints, besides.
    #[arg(long)]
    checkpoint_steps: Option<NonZeroUsize>,
    /// Minutes between checkpoints, besides.
    #[arg(long, default_value = "10", value_parser = minutes)]
    checkpoint_minutes: Duration,
    /// Memory for decoded images, in MiB.
    #[arg(long, default_value_t = 2048)]
    cache_mib: u32,
    /// What is done about a step whose loss is not a finite number.
    #[arg(long, value_enum, default_value = "stop")]
    on_nan: OnNanName,
    /// How many of the newest checkpoints stay: at least 2, since the newest may be damaged.
    #[arg(long, default_value = "2", value_parser = at_least_two)]
    keep_checkpoint_max: NonZeroUsize,
}

fn minutes(text: &str) -> Result<Duration, String> {
    let minutes: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    let seconds = Duration::try_from_secs_f64(60.0 * minutes);
    seconds.map_err(|_| "expected a number of minutes, 0 or more".to_owned())
}

fn at_least_two(text: &str) -> Result<NonZeroUsize, String> {
    let count: NonZeroUsize = text.parse().map_err(|_| "expected a number".to_owned())?;
    if count > NonZeroUsize::MIN {
        Ok(count)
    } else {
        Err("expected at least 2".into())
    }
}

/// Puts an option over a setting, if it was given.
fn put<T: Clone>(option: &Option<T>, setting: &mut T) {
    if let Some(value) = option {
        setting.clone_from(value);
    }
}

impl PretrainArguments {
    /// The protocol with the options put over it.
    pub(crate) fn over(&self, mut protocol: Protocol) -> AnyResult<Protocol> {
        put(&self.fine_tune_after_block, &mut protocol.freeze);
        put(
            &self.unlabelled_fraction,
            &mut protocol.unlabelled_fractions,
        );
        let config = &mut protocol.pretrain;
        put(&self.resnet_depth, &mut config.encoder.depth);
        put(&self.width_multiplier, &mut config.encoder.width_multiplier);
        put(&self.sk_ratio, &mut config.encoder.sk_ratio);
        put(&self.se_ratio, &mut config.encoder.se_ratio);
        put(&self.batch_norm_decay, &mut config.encoder.batch_norm_decay);
        put(&self.train_batch_size, &mut config.batch_size);
        put(&self.weight_decay, &mut config.weight_decay);
        put(&self.temperature, &mut config.loss.temperature);
        put(&self.hidden_norm, &mut config.loss.normalize);
        put(&self.proj_out_dim, &mut config.projection_head.output_size);
        put(&self.num_proj_layers, &mut config.projection_head.layers);
        put(
            &self.lineareval_while_pretraining,
            &mut config.linear_classifier,
        );
        if self.gradient_cache.is_some() {
            config.gradient_cache = self.gradient_cache;
        }
        let schedule = &mut config.schedule;
        put(&self.train_epochs, &mut schedule.epochs);
        put(&self.learning_rate, &mut schedule.learning_rate);
        put(&self.warmup_epochs, &mut schedule.warmup_epochs);
        if let Some(scaling) = self.learning_rate_scaling {
            schedule.scaling = scaling.into();
        }
        if self.optimizer.is_some() || self.momentum.is_some() {
            config.optimizer = self.optimizer_config()?;
        }
        config.policy = self.policy(config.policy.clone());
        Ok(protocol)
    }

    /// [`over`](Self::over) where one fraction of the unlabelled images is used.
    pub(crate) fn over_one_fraction(&self, protocol: Protocol) -> AnyResult<Protocol> {
        let protocol = self.over(protocol)?;
        match protocol.unlabelled_fractions.as_slice() {
            [_] => Ok(protocol),
            _ => Err("only experiment 4 takes several --unlabelled-fraction".into()),
        }
    }

    /// [`over`](Self::over) where one part of the network is frozen.
    pub(crate) fn over_one_freeze(&self, protocol: Protocol) -> AnyResult<Protocol> {
        let mut protocol = self.over(protocol)?;
        match protocol.freeze.as_slice() {
            &[freeze] => protocol.pretrain.freeze = freeze,
            _ => return Err("only experiment 2 takes several --fine-tune-after-block".into()),
        }
        Ok(protocol)
    }

    /// [`over_one_freeze`](Self::over_one_freeze) where also one fraction of the unlabelled
    /// images is used.
    pub(crate) fn over_one(&self, protocol: Protocol) -> AnyResult<Protocol> {
        self.over_one_freeze(self.over_one_fraction(protocol)?)
    }

    /// Fails if an option is given that decides the architecture, where a network has one.
    pub(crate) fn refuse_architecture(&self) -> AnyResult {
        let given = [
            ("--resnet-depth", self.resnet_depth.is_some()),
            ("--width-multiplier", self.width_multiplier.is_some()),
            ("--sk-ratio", self.sk_ratio.is_some()),
            ("--se-ratio", self.se_ratio.is_some()),
            ("--batch-norm-decay", self.batch_norm_decay.is_some()),
        ];
        match first_given(&given) {
            None => Ok(()),
            Some(option) => {
                let reason = "cannot be used with --checkpoint, whose network has an architecture";
                Err(format!("{option} {reason}").into())
            }
        }
    }

    fn policy(&self, mut policy: Policy) -> Policy {
        if let Some(strength) = self.color_jitter_strength {
            policy = policy.with_color_jitter_strength(strength);
        }
        if self.use_blur {
            policy.blur = Policy::simclr_v2(policy.size.0).blur;
        }
        if self.rock_symmetries {
            policy = policy.with_rock_symmetries();
        }
        policy
    }

    fn optimizer_config(&self) -> AnyResult<OptimizerConfig> {
        let optimizer = self.optimizer.unwrap_or(OptimizerName::Lars);
        if optimizer == OptimizerName::Adam && self.momentum.is_some() {
            return Err("--momentum is for lars and momentum, and Adam has its own".into());
        }
        Ok(optimizer.config(self.momentum.unwrap_or(0.9)))
    }
}
