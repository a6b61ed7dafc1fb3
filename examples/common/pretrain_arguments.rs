//! The settings of self-supervision as options, named as the original's flags.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use simclr::prelude::*;
use simclr::train::optimizer::{AdamConfig, LarsConfig, OptimizerConfig, SgdConfig};
use simclr::train::schedule::{LearningRateScaling, ScheduleConfig};

/// How the learning rate grows with the batch.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Scaling {
    /// In proportion: rate x batch / 256.
    Linear,
    /// With its square root: rate x sqrt(batch); good for small batches.
    Sqrt,
}

/// The optimizers of the original.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum OptimizerName {
    /// Layer-wise adaptive rates.
    Lars,
    /// SGD with Nesterov momentum.
    Momentum,
    /// Adam.
    Adam,
}

/// Settings of self-supervision; the defaults are the paper's.
#[derive(Debug, Args)]
pub(crate) struct PretrainArguments {
    /// Depth of the ResNet: 18, 34, 50, 101, 152 or 200.
    #[arg(long, default_value_t = 50)]
    pub(crate) resnet_depth: usize,
    /// Factor on the number of channels.
    #[arg(long, default_value_t = 1)]
    pub(crate) width_multiplier: usize,
    /// Selective kernels, as a fraction of the channels; 0 for none.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) sk_ratio: f64,
    /// Squeeze and excitation, as a fraction of the channels; 0 for none.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) se_ratio: f64,
    /// Side of the views in pixels.
    #[arg(long, default_value_t = 224)]
    pub(crate) image_size: usize,
    /// Images per step, each with two views.
    #[arg(long, default_value_t = 256)]
    pub(crate) train_batch_size: usize,
    /// Passes over the images.
    #[arg(long, default_value_t = 100)]
    pub(crate) train_epochs: usize,
    /// The optimizer.
    #[arg(long, value_enum, default_value = "lars")]
    pub(crate) optimizer: OptimizerName,
    /// Learning rate before scaling.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) learning_rate: f64,
    /// How the learning rate grows with the batch.
    #[arg(long, value_enum, default_value = "linear")]
    pub(crate) learning_rate_scaling: Scaling,
    /// Epochs of linear warm-up.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) warmup_epochs: f64,
    /// Momentum of the optimizer.
    #[arg(long, default_value_t = 0.9)]
    pub(crate) momentum: f64,
    /// Strength of the L2 penalty.
    #[arg(long, default_value_t = 1e-4)]
    pub(crate) weight_decay: f64,
    /// Temperature of NT-Xent.
    #[arg(long, default_value_t = 0.5)]
    pub(crate) temperature: f64,
    /// Scale embeddings to unit length.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) hidden_norm: bool,
    /// Width of the projection head's output.
    #[arg(long, default_value_t = 128)]
    pub(crate) proj_out_dim: usize,
    /// Layers of the projection head.
    #[arg(long, default_value_t = 3)]
    pub(crate) num_proj_layers: usize,
    /// Strength of the colour jitter.
    #[arg(long, default_value_t = 0.5)]
    pub(crate) color_jitter_strength: f64,
    /// Blur views with probability 1/2.
    #[arg(long)]
    pub(crate) use_blur: bool,
    /// Decay of batch norm's moving averages.
    #[arg(long, default_value_t = 0.9)]
    pub(crate) batch_norm_decay: f64,
    /// Freeze the stem and the block groups up to this one; -1 freezes nothing.
    #[arg(long, default_value_t = -1, allow_hyphen_values = true)]
    pub(crate) fine_tune_after_block: i64,
    /// Train a linear classifier alongside, where there are labels.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    pub(crate) lineareval_while_pretraining: bool,
    /// Epochs between checkpoints.
    #[arg(long, default_value_t = NonZeroUsize::MIN)]
    pub(crate) checkpoint_epochs: NonZeroUsize,
    /// How many of the newest checkpoints stay.
    #[arg(long, default_value = "5")]
    pub(crate) keep_checkpoint_max: NonZeroUsize,
    /// A network to start from, in our safetensors format.
    #[arg(long)]
    pub(crate) checkpoint: Option<PathBuf>,
    /// Seed of initial weights, order, views and splits.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

impl PretrainArguments {
    /// The run that these options describe.
    pub(crate) fn pretrain(&self) -> simclr::train::Result<Pretrain> {
        let mut encoder = ResNetConfig::depth(self.resnet_depth)
            .with_width_multiplier(self.width_multiplier)
            .with_sk_ratio(self.sk_ratio)
            .with_se_ratio(self.se_ratio);
        encoder.batch_norm_decay = self.batch_norm_decay;
        let mut policy = Policy::paper(224).color_jitter_strength(self.color_jitter_strength);
        if self.use_blur {
            policy.blur = Policy::simclr_v2(224).blur;
        }
        let config = PretrainConfig {
            encoder,
            policy,
            projection_head: ProjectionHeadConfig {
                layers: self.num_proj_layers,
                output_size: self.proj_out_dim,
                ..ProjectionHeadConfig::default()
            },
            loss: NtXent {
                temperature: self.temperature,
                normalize: self.hidden_norm,
                ..NtXent::default()
            },
            optimizer: self.optimizer_config(),
            weight_decay: self.weight_decay,
            schedule: self.schedule(),
            batch_size: self.train_batch_size,
            freeze: Freeze::from_flag(self.fine_tune_after_block)?,
            linear_classifier: self.lineareval_while_pretraining,
            seed: self.seed,
        }
        .with_image_size(self.image_size);
        let run = Pretrain::new(config)
            .checkpoint_epochs(self.checkpoint_epochs)
            .keep_checkpoints(self.keep_checkpoint_max)
            .progress(ProgressMode::Auto);
        match &self.checkpoint {
            None => Ok(run),
            Some(file) => {
                let device = candle_core::Device::Cpu;
                Ok(run.start_from(
                    simclr::checkpoint::load_model(file, &device)?
                        .model
                        .store()?,
                ))
            }
        }
    }

    fn schedule(&self) -> ScheduleConfig {
        ScheduleConfig {
            learning_rate: self.learning_rate,
            scaling: match self.learning_rate_scaling {
                Scaling::Linear => LearningRateScaling::Linear,
                Scaling::Sqrt => LearningRateScaling::Sqrt,
            },
            warmup_epochs: self.warmup_epochs,
            epochs: self.train_epochs,
            ..ScheduleConfig::default()
        }
    }

    fn optimizer_config(&self) -> OptimizerConfig {
        let momentum = self.momentum;
        match self.optimizer {
            OptimizerName::Lars => OptimizerConfig::Lars(LarsConfig {
                momentum,
                ..LarsConfig::default()
            }),
            OptimizerName::Momentum => OptimizerConfig::Momentum(SgdConfig {
                momentum,
                ..SgdConfig::default()
            }),
            OptimizerName::Adam => OptimizerConfig::Adam(AdamConfig::default()),
        }
    }
}
