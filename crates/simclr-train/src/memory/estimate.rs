//! How much memory a training takes at its peak.

use std::fmt;

use simclr_kernels::Precision;
use simclr_model::{Freeze, GradientCheckpointing, SimClrConfig};
use simclr_optim::OptimizerConfig;

use crate::config::LoopConfig;
use crate::error::{Result, bytes_in_words};
use crate::gradient_cache::largest_chunk;

/// The program, its threads, and what they arrange operands in.
const PROCESS: u64 = 32 << 20;

/// What lies idle between buffers in use is this part of them.
const IDLE_PART: u64 = 16;

/// Numbers for each output of a layer of the heads: before and after batch norm, and the gradients.
const HEAD_COPIES: u64 = 4;

/// Batches that a loop holds besides the one of the step.
const BATCHES_AHEAD: u64 = 2;

/// What a training on the CPU takes at its peak, in bytes, computed from its configuration before
/// its first step. It lies within 15 % of the resident memory (`VmHWM`) that is measured
/// afterwards, for ResNet-18 at 96 pixels as for ResNet-50 at 224.
///
/// ```
/// use simclr_model::GradientCheckpointing;
/// use simclr_train::{MemoryEstimate, PretrainConfig};
///
/// let paper = PretrainConfig::default(); // ResNet-50, 224 pixels, 256 images a step
/// let gib = |config: &PretrainConfig| {
///     let estimate = MemoryEstimate::of_step(config, 0, GradientCheckpointing::None)?;
///     Ok::<_, simclr_train::Error>(estimate.total() >> 30)
/// };
/// assert!(gib(&paper)? > 24);
/// assert!(gib(&paper.with_gradient_cache(16))? < 4);
/// # Ok::<(), simclr_train::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryEstimate {
    /// The network's parameters, their gradients and the optimizer's state.
    pub parameters: u64,
    /// Feature maps, their gradients and idle buffers.
    pub feature_maps: u64,
    /// The views of the batch, and of those that are prepared ahead.
    pub views: u64,
    /// Decoded images: those that are kept, and those that are being worked on.
    pub images: u64,
    /// The rest of the process.
    pub process: u64,
}

/// What a run holds besides its steps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunLoad {
    pub(crate) classes: usize,
    /// Height and width of a view.
    pub(crate) view: (usize, usize),
    /// Bytes of images that are kept decoded.
    pub(crate) kept_images: u64,
    /// Bytes of images that threads are working on.
    pub(crate) images_under_way: u64,
    /// Whether the run starts from weights, which it keeps.
    pub(crate) has_initial_weights: bool,
}

impl MemoryEstimate {
    /// A step of [`Trainer`](crate::Trainer) with this configuration. `num_classes` is 0 for
    /// images without labels. For a whole run there is
    /// [`RunSpec::memory_estimate`](crate::RunSpec::memory_estimate).
    ///
    /// # Errors
    /// Settings out of range.
    pub fn of_step<C: LoopConfig>(
        config: &C,
        num_classes: usize,
        checkpointing: GradientCheckpointing,
    ) -> Result<Self> {
        let network = config.network(num_classes);
        let parameters = ParameterBytes::of(config, &network)?;
        Self::step(
            config,
            &network,
            &parameters,
            config.policy.size,
            checkpointing,
        )
    }

    /// A run with this configuration.
    pub(crate) fn of_run<C: LoopConfig>(
        config: &C,
        checkpointing: GradientCheckpointing,
        load: &RunLoad,
    ) -> Result<Self> {
        let network = config.network(load.classes);
        let parameters = ParameterBytes::of(config, &network)?;
        let mut estimate = Self::step(config, &network, &parameters, load.view, checkpointing)?;
        // A checkpoint is written from a copy of the optimizer's state.
        let copy = parameters.state.saturating_sub(parameters.more_gradients);
        let start = if load.has_initial_weights {
            parameters.all
        } else {
            0
        };
        estimate.parameters = sum(&[estimate.parameters, copy, start]);
        let frozen = Freeze::AfterBlock(4);
        let none = GradientCheckpointing::None;
        let evaluated = network.encoder.activation_memory(load.view, frozen, none)?;
        let number = Precision::current()?.map_number_size();
        let evaluated = with_idle(product(&[C::EVALUATION_BATCH, evaluated, number]));
        estimate.feature_maps = estimate.feature_maps.max(evaluated);
        let ahead = view_bytes(config.batch_size, C::VIEWS, load.view);
        let evaluated = view_bytes(C::EVALUATION_BATCH, 1, load.view);
        estimate.views = sum(&[
            estimate.views,
            ahead.saturating_mul(BATCHES_AHEAD),
            evaluated.saturating_mul(1 + BATCHES_AHEAD),
        ]);
        estimate.images = sum(&[load.kept_images, load.images_under_way]);
        Ok(estimate)
    }

    fn step<C: LoopConfig>(
        config: &C,
        network: &SimClrConfig,
        parameters: &ParameterBytes,
        view: (usize, usize),
        checkpointing: GradientCheckpointing,
    ) -> Result<Self> {
        let encoder = &network.encoder;
        let images = largest_chunk(config.gradient_cache(), config.batch_size);
        let maps = encoder.activation_memory(view, config.freeze, checkpointing)?;
        let number = Precision::current()?.map_number_size();
        let maps = product(&[images, C::VIEWS, maps, number]);
        let levels = network.projection_head.level_sizes(encoder.feature_size()?);
        let heads = product(&[images, C::VIEWS, levels.iter().sum(), size_of::<f32>()]);
        let mut views = view_bytes(config.batch_size, C::VIEWS, view);
        if images < config.batch_size {
            // Those of a chunk are put together.
            views = views.saturating_add(view_bytes(images, C::VIEWS, view));
        }
        Ok(Self {
            parameters: sum(&[
                parameters.all,
                parameters.trained,
                parameters.more_gradients,
                parameters.state,
            ]),
            feature_maps: sum(&[with_idle(maps), heads.saturating_mul(HEAD_COPIES)]),
            views,
            images: 0,
            process: PROCESS,
        })
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        sum(&[
            self.parameters,
            self.feature_maps,
            self.views,
            self.images,
            self.process,
        ])
    }
}

/// The total and its largest parts.
impl fmt::Display for MemoryEstimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} (parameters {}, feature maps {}, views {}, images {})",
            bytes_in_words(self.total()),
            bytes_in_words(self.parameters),
            bytes_in_words(self.feature_maps),
            bytes_in_words(self.views),
            bytes_in_words(self.images)
        )
    }
}

/// Bytes of a network's parameters and of what belongs to them.
struct ParameterBytes {
    /// All parameters.
    all: u64,
    /// Those that are trained, and their gradients.
    trained: u64,
    /// Gradients of a chunk besides their sum, or those of the weight-decay term.
    more_gradients: u64,
    /// The optimizer's state.
    state: u64,
}

impl ParameterBytes {
    fn of<C: LoopConfig>(config: &C, network: &SimClrConfig) -> Result<Self> {
        let (mut all, mut trained) = (0, 0);
        for spec in network.parameter_specs()? {
            let bytes = product(&[spec.element_count(), size_of::<f32>()]);
            all += bytes;
            if spec.role.is_trainable() && !config.freeze.freezes(spec.stage) {
                trained += bytes;
            }
        }
        let (buffers, decays_by_itself) = match config.optimizer {
            OptimizerConfig::Lars(_) => (1, true),
            OptimizerConfig::Adam(_) => (2, false),
            _ => (1, false),
        };
        let is_chunked =
            largest_chunk(config.gradient_cache(), config.batch_size) < config.batch_size;
        let has_penalty = config.weight_decay > 0.0 && !decays_by_itself;
        Ok(Self {
            all,
            trained,
            more_gradients: if is_chunked || has_penalty {
                trained
            } else {
                0
            },
            state: trained.saturating_mul(buffers),
        })
    }
}

fn view_bytes(images: usize, views: usize, (height, width): (usize, usize)) -> u64 {
    product(&[images, views, height, width, 3, size_of::<f32>()])
}

fn with_idle(maps: u64) -> u64 {
    maps.saturating_add(maps / IDLE_PART)
}

fn product(numbers: &[usize]) -> u64 {
    numbers
        .iter()
        .fold(1, |product, &n| product.saturating_mul(n as u64))
}

fn sum(numbers: &[u64]) -> u64 {
    numbers.iter().fold(0, |sum, &n| sum.saturating_add(n))
}
