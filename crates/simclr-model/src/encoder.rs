//! The encoder f: images to representations h.

use candle_core::{Device, Tensor, Var};
use candle_nn::VarBuilder;
use simclr_kernels::{Backend, FeatureMap};

use crate::builder::{Builder, Parameter, Section};
use crate::layers::{Block, BlockShape, IMAGE_CHANNELS, Pass, Stem, StemOutput};
use crate::recompute::ActivationMemory;
use crate::{Error, Freeze, Mode, ParameterSpec, Parameters, Part, ResNetConfig, Result};

/// A ResNet without a classifier.
///
/// A clone shares the variables.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use simclr_model::{Encoder, Mode, ResNetConfig, Stem};
///
/// let config = ResNetConfig::depth(18).with_stem(Stem::Cifar);
/// let encoder = Encoder::initialize(&config, 42, &Device::Cpu)?;
/// let images = Tensor::zeros((2, 8, 8, 3), DType::F32, &Device::Cpu)?;
/// let output = encoder.forward(&images, Mode::Infer)?;
/// assert_eq!(output.final_avg_pool.dims(), [2, 512]);
/// # Ok::<(), simclr_model::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Encoder {
    config: ResNetConfig,
    normalization: Option<Normalization>,
    stem: Section<Stem>,
    groups: [Vec<Section<Block>>; 4],
    parameters: Vec<Parameter>,
    freeze: Freeze,
    memory: ActivationMemory,
    backend: Backend,
}

/// The encoder's intermediate and final results, under the original's names.
///
/// The intermediate results are [feature maps](FeatureMap), which become tensors on
/// request: gradients flow through those too.
#[derive(Debug, Clone)]
pub struct EncoderOutput {
    /// `[n, h/2, w/2, 64 width]`: the stem's convolution, before batch norm and ReLU
    /// (`[n, h, w, ...]` with the CIFAR stem).
    pub initial_conv: FeatureMap,
    /// `[n, h/4, w/4, 64 width]`: the stem's output (`[n, h, w, ...]` with the CIFAR stem,
    /// which has no max-pool).
    pub initial_max_pool: FeatureMap,
    /// The outputs of block groups 1 to 4, each from the second on with half the side and
    /// twice the channels.
    pub block_groups: [FeatureMap; 4],
    /// `[n, d]`: the representation h, the mean of block group 4 over height and width.
    pub final_avg_pool: Tensor,
}

impl EncoderOutput {
    /// All results as tensors with the original's names, in the order of computation.
    ///
    /// # Errors
    /// None of its own.
    pub fn named(&self) -> Result<Vec<(&'static str, Tensor)>> {
        let [group1, group2, group3, group4] = &self.block_groups;
        let maps = [
            ("initial_conv", &self.initial_conv),
            ("initial_max_pool", &self.initial_max_pool),
            ("block_group1", group1),
            ("block_group2", group2),
            ("block_group3", group3),
            ("block_group4", group4),
        ];
        let maps = maps
            .into_iter()
            .map(|(name, map)| Ok((name, map.tensor()?)));
        let last = Ok(("final_avg_pool", self.final_avg_pool.clone()));
        maps.chain([last]).collect()
    }
}

impl ResNetConfig {
    /// The encoder's parameters, in the original's order of calls: the shortcut of a block
    /// before its body.
    ///
    /// # Errors
    /// [`Error::Config`] for an invalid configuration.
    pub fn parameter_specs(&self) -> Result<Vec<ParameterSpec>> {
        Builder::specs_of(|builder| Encoder::layers(builder, self))
    }
}

impl Encoder {
    /// Builds the encoder on the variables that `variables` has below `encoder.`.
    ///
    /// # Errors
    /// [`Error::Config`] for an invalid configuration; an error that names the variable if one
    /// is missing or has another shape.
    pub fn new(config: &ResNetConfig, variables: VarBuilder<'_>) -> Result<Self> {
        let mut builder = Builder::new(variables);
        let (normalization, stem, groups) = Self::layers(&mut builder, config)?;
        Ok(Self {
            config: config.clone(),
            normalization,
            stem,
            groups,
            parameters: builder.into_parameters(),
            freeze: Freeze::None,
            memory: ActivationMemory::Keep,
            backend: Backend::Auto,
        })
    }

    /// An untrained encoder (f32) with the original's initial values.
    ///
    /// # Errors
    /// [`Error::Config`] for an invalid configuration.
    pub fn initialize(config: &ResNetConfig, seed: u64, device: &Device) -> Result<Self> {
        let parameters = Parameters::initialize(&config.parameter_specs()?, seed, device)?;
        Self::new(config, parameters.var_builder())
    }

    fn layers(builder: &mut Builder<'_>, config: &ResNetConfig) -> Result<Layers> {
        config.validate()?;
        let normalization = match &config.input_normalization {
            Some(normalization) => Some(Normalization {
                mean: builder.constant(&normalization.mean)?,
                std: builder.constant(&normalization.std)?,
            }),
            None => None,
        };
        builder.enter(Part::Stem);
        let stem = builder.section(|builder| Stem::new(builder, config))?;
        let (kind, counts) = config.structure()?;
        let mut groups = [const { Vec::new() }; 4];
        let mut input = config.filters(1);
        for ((group, blocks), count) in (1..).zip(&mut groups).zip(counts) {
            builder.enter(Part::BlockGroup(group));
            for index in 0..count {
                let filters = config.filters(group);
                let shape = BlockShape {
                    kind,
                    input,
                    filters,
                    stride: if index == 0 && group > 1 { 2 } else { 1 },
                    first: index == 0,
                };
                let path = format!("encoder.block_group{group}.block{index}");
                let block = |builder: &mut Builder<'_>| Block::new(builder, &path, shape, config);
                blocks.push(builder.section(block)?);
                input = filters * kind.expansion();
            }
        }
        Ok((normalization, stem, groups))
    }

    /// The architecture.
    pub fn config(&self) -> &ResNetConfig {
        &self.config
    }

    /// The length d of the representation.
    pub fn feature_size(&self) -> Result<usize> {
        self.config.feature_size()
    }

    /// The parameters, in the original's order of calls.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Names and variables of what is to be trained: neither frozen nor a moving statistic.
    pub fn trainable(&self) -> Vec<(String, Var)> {
        trainable(&self.parameters, self.freeze)
    }

    /// What is frozen at the moment.
    pub fn freeze(&self) -> Freeze {
        self.freeze
    }

    /// Freezes the first layers, in this and all later passes.
    ///
    /// # Errors
    /// [`Error::Config`] if there is no such block group.
    pub fn set_freeze(&mut self, freeze: Freeze) -> Result<()> {
        freeze.validate()?;
        self.freeze = freeze;
        Ok(())
    }

    /// What training passes keep for their backward passes.
    pub fn activation_memory(&self) -> ActivationMemory {
        self.memory
    }

    /// Sets what all later training passes keep for their backward passes.
    pub fn set_activation_memory(&mut self, memory: ActivationMemory) {
        self.memory = memory;
    }

    /// Sets what computes all later passes. Default: [`Backend::Auto`].
    pub fn set_backend(&mut self, backend: Backend) {
        self.backend = backend;
    }

    /// The encoder as a plain function from images to features: whatever is done with it,
    /// it stays as it is. It shares the variables, so if they are trained elsewhere, it
    /// follows.
    pub fn frozen(&self) -> FrozenEncoder {
        FrozenEncoder(self.clone())
    }

    /// Computes all results for images `[n, height, width, 3]` in [0, 1].
    ///
    /// # Errors
    /// [`Error::Input`] for another shape, [`Error::ImageTooSmall`] if the image would vanish
    /// on the way.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Result<EncoderOutput> {
        self.check_images(images)?;
        let stem = self.stem_forward(&self.normalized(images)?, mode)?;
        let initial_max_pool = self.stop_if_frozen(stem.initial_max_pool, Part::Stem);
        let [first, second, third, fourth] = &self.groups;
        let group1 = self.group_forward((1, first), &initial_max_pool, mode)?;
        let group2 = self.group_forward((2, second), &group1, mode)?;
        let group3 = self.group_forward((3, third), &group2, mode)?;
        let group4 = self.group_forward((4, fourth), &group3, mode)?;
        let final_avg_pool = group4.global_average_pool()?;
        Ok(EncoderOutput {
            initial_conv: stem.initial_conv,
            initial_max_pool,
            block_groups: [group1, group2, group3, group4],
            final_avg_pool,
        })
    }

    fn normalized(&self, images: &Tensor) -> Result<Tensor> {
        match &self.normalization {
            Some(normalization) => normalization.apply(images),
            None => Ok(images.clone()),
        }
    }

    /// Only the representations, by moving statistics; no other result is kept.
    fn representations(&self, images: &Tensor) -> Result<Tensor> {
        self.check_images(images)?;
        let pass = self.pass(Mode::Infer, Part::Stem);
        let images = self.normalized(images)?;
        let mut x = self
            .stem
            .layer
            .output(&FeatureMap::new(&images, pass.backend)?, pass)?;
        for (number, blocks) in (1..).zip(&self.groups) {
            x = self.group_forward((number, blocks), &x, Mode::Infer)?;
        }
        Ok(x.global_average_pool()?)
    }

    fn stem_forward(&self, x: &Tensor, mode: Mode) -> Result<StemOutput> {
        let pass = self.pass(mode, Part::Stem);
        let map = |x: &Tensor| FeatureMap::new(x, pass.backend);
        let Section { layer, variables } = &self.stem;
        if !self.recomputes(pass) {
            return layer.forward(&map(x)?, pass);
        }
        let x = map(x)?;
        let output = layer.forward(&x.detach(), pass.untracked())?;
        let layer = layer.clone();
        let again = move |x: &FeatureMap| {
            let output = layer.forward(x, pass.again())?;
            Ok::<_, Error>(output.initial_max_pool)
        };
        let initial_max_pool = output.initial_max_pool.checkpoint(&x, variables, again)?;
        Ok(StemOutput {
            initial_conv: output.initial_conv,
            initial_max_pool,
        })
    }

    fn group_forward(
        &self,
        (number, blocks): (usize, &[Section<Block>]),
        x: &FeatureMap,
        mode: Mode,
    ) -> Result<FeatureMap> {
        let part = Part::BlockGroup(number);
        let pass = self.pass(mode, part);
        let mut x = x.clone();
        for section in blocks {
            x = match self.recomputes(pass) {
                true => checkpointed_block(section, &x, pass)?,
                false => section.layer.forward(&x, pass)?,
            };
        }
        Ok(self.stop_if_frozen(x, part))
    }

    fn pass(&self, mode: Mode, part: Part) -> Pass {
        Pass::new(mode, self.freeze, part, self.backend)
    }

    fn recomputes(&self, pass: Pass) -> bool {
        pass.tracked && self.memory == ActivationMemory::RecomputeBlocks
    }

    /// No gradient passes from the trained layers into the frozen ones.
    fn stop_if_frozen(&self, x: FeatureMap, part: Part) -> FeatureMap {
        if self.freeze.ends_after(part) {
            x.detach()
        } else {
            x
        }
    }

    fn check_images(&self, images: &Tensor) -> Result<()> {
        match images.dims() {
            &[batch, height, width, IMAGE_CHANNELS] if batch > 0 => {
                self.config.check_image_size(height, width)
            }
            dims => Err(Error::Input {
                layer: "encoder",
                shape: dims.to_vec(),
                expected: "[n, height, width, 3] with n at least 1".into(),
            }),
        }
    }
}

/// A block of which only the input is kept for the backward pass.
fn checkpointed_block(section: &Section<Block>, x: &FeatureMap, pass: Pass) -> Result<FeatureMap> {
    let Section { layer, variables } = section;
    let output = layer.forward(&x.detach(), pass.untracked())?;
    let layer = layer.clone();
    let again = move |x: &FeatureMap| layer.forward(x, pass.again());
    Ok(output.checkpoint(x, variables, again)?)
}

type Layers = (
    Option<Normalization>,
    Section<Stem>,
    [Vec<Section<Block>>; 4],
);

/// Names and variables that the policy leaves to train.
pub(crate) fn trainable<'a>(
    parameters: impl IntoIterator<Item = &'a Parameter>,
    freeze: Freeze,
) -> Vec<(String, Var)> {
    parameters
        .into_iter()
        .filter(|p| p.spec.role.is_trainable() && !freeze.freezes(p.spec.part))
        .map(|p| (p.spec.name.clone(), p.variable.clone()))
        .collect()
}

/// An encoder that can only be read: batch norm in inference mode and no gradients, by type.
#[derive(Debug, Clone)]
pub struct FrozenEncoder(Encoder);

impl FrozenEncoder {
    /// The architecture.
    pub fn config(&self) -> &ResNetConfig {
        self.0.config()
    }

    /// The parameters, in the original's order of calls.
    pub fn parameters(&self) -> &[Parameter] {
        self.0.parameters()
    }

    /// All results for images `[n, height, width, 3]` in [0, 1]; the representation is
    /// [`EncoderOutput::final_avg_pool`].
    ///
    /// # Errors
    /// As [`Encoder::forward`].
    pub fn features(&self, images: &Tensor) -> Result<EncoderOutput> {
        self.0.forward(images, Mode::Infer)
    }

    /// Only the representations `[n, d]`, computed `batch_size` images at a time so that the
    /// memory needed does not grow with n.
    ///
    /// # Errors
    /// [`Error::Config`] for a batch size of 0; as [`Encoder::forward`] otherwise.
    pub fn embed(&self, images: &Tensor, batch_size: usize) -> Result<Tensor> {
        crate::config::check("batch_size", batch_size, "at least 1", |&size| size > 0)?;
        self.0.check_images(images)?;
        let count = images.dim(0)?;
        let batches = (0..count).step_by(batch_size).map(|start| {
            let images = images.narrow(0, start, batch_size.min(count - start))?;
            self.0.representations(&images)
        });
        Ok(Tensor::cat(&batches.collect::<Result<Vec<_>>>()?, 0)?)
    }
}

/// The input's normalisation as tensors `[3]`.
#[derive(Debug, Clone)]
struct Normalization {
    mean: Tensor,
    std: Tensor,
}

impl Normalization {
    fn apply(&self, images: &Tensor) -> Result<Tensor> {
        Ok(images.broadcast_sub(&self.mean)?.broadcast_div(&self.std)?)
    }
}
