//! The encoder f: images to representations h.

use candle_core::{Device, Tensor, Var};
use candle_nn::VarBuilder;
use simclr_kernels::{Backend, FeatureMap};

use crate::builder::{Builder, Checkpointable, Parameter};
use crate::config::{InputNormalization, ResNetConfig};
use crate::encoder_output::EncoderOutput;
use crate::error::{Error, Result};
use crate::freeze::{Freeze, Mode};
use crate::gradient_checkpointing::GradientCheckpointing;
use crate::layers::block::{Block, BlockShape};
use crate::layers::pass::Pass;
use crate::layers::stem::{IMAGE_CHANNELS, Stem, StemOutput};
use crate::parameter::{ModelStage, ParameterSpec};
use crate::parameters::Parameters;

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
    stem: Checkpointable<Stem>,
    groups: [Vec<Checkpointable<Block>>; 4],
    parameters: Vec<Parameter>,
    freeze: Freeze,
    gradient_checkpointing: GradientCheckpointing,
    backend: Backend,
}

impl ResNetConfig {
    /// The encoder's parameters, in the original's order of calls: the shortcut of a block
    /// before its body.
    ///
    /// # Errors
    /// [`Error::Setting`] for an invalid configuration.
    pub fn parameter_specs(&self) -> Result<Vec<ParameterSpec>> {
        Builder::specs_of(|builder| Encoder::layers(builder, self))
    }
}

impl Encoder {
    /// Builds the encoder on the variables that `variables` has below `encoder.`.
    ///
    /// # Errors
    /// [`Error::Setting`] for an invalid configuration; an error that names the variable if one
    /// is missing or has another shape.
    pub fn new(config: &ResNetConfig, variables: VarBuilder<'_>) -> Result<Self> {
        let mut builder = Builder::new(variables);
        let (stem, groups) = Self::layers(&mut builder, config)?;
        Ok(Self {
            config: config.clone(),
            stem,
            groups,
            parameters: builder.into_parameters(),
            freeze: Freeze::None,
            gradient_checkpointing: GradientCheckpointing::None,
            backend: Backend::Auto,
        })
    }

    /// An untrained encoder (f32) with the original's initial values.
    ///
    /// # Errors
    /// [`Error::Setting`] for an invalid configuration.
    pub fn initialize(config: &ResNetConfig, seed: u64, device: &Device) -> Result<Self> {
        let parameters = Parameters::initialize(&config.parameter_specs()?, seed, device)?;
        Self::new(config, parameters.var_builder())
    }

    fn layers(builder: &mut Builder<'_>, config: &ResNetConfig) -> Result<Layers> {
        config.validate()?;
        builder.batch_norm = config.batch_norm();
        builder.enter(ModelStage::Stem);
        let stem = builder.checkpointable(|builder| Stem::new(builder, config))?;
        let mut groups = [const { Vec::new() }; 4];
        for ((group, blocks), shapes) in (1..).zip(&mut groups).zip(BlockShape::all(config)?) {
            builder.enter(ModelStage::BlockGroup(group));
            for (index, shape) in shapes.into_iter().enumerate() {
                let path = format!("encoder.block_group{group}.block{index}");
                let block = |builder: &mut Builder<'_>| Block::new(builder, &path, shape, config);
                blocks.push(builder.checkpointable(block)?);
            }
        }
        Ok((stem, groups))
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

    /// Where its parameters are, and so where it computes.
    pub fn device(&self) -> &Device {
        static CPU: Device = Device::Cpu;
        let first = self.parameters.first();
        first.map_or(&CPU, |parameter| parameter.variable.device())
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
    /// [`Error::Setting`] if there is no such block group.
    pub fn set_freeze(&mut self, freeze: Freeze) -> Result<()> {
        freeze.validate()?;
        self.freeze = freeze;
        Ok(())
    }

    /// What training passes save for their backward passes.
    pub fn gradient_checkpointing(&self) -> GradientCheckpointing {
        self.gradient_checkpointing
    }

    /// Sets what all later training passes save for their backward passes.
    pub fn set_gradient_checkpointing(&mut self, gradient_checkpointing: GradientCheckpointing) {
        self.gradient_checkpointing = gradient_checkpointing;
    }

    /// Sets what computes all later passes. Default: [`Backend::Auto`].
    pub fn set_backend(&mut self, backend: Backend) {
        self.backend = backend;
    }

    /// Computes all results for images `[n, height, width, 3]` in [0, 1].
    ///
    /// # Errors
    /// [`Error::Input`] for another shape, [`Error::ImageTooSmall`] if the image would vanish
    /// on the way.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Result<EncoderOutput> {
        self.check_images(images)?;
        let stem = self.stem_forward(&self.normalized(images)?, mode)?;
        let initial_max_pool = self.stop_if_frozen(stem.initial_max_pool, ModelStage::Stem);
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
        let Some(InputNormalization { mean, std }) = &self.config.input_normalization else {
            return Ok(images.clone());
        };
        let constant =
            |values: &[f64; 3]| Tensor::new(values, images.device())?.to_dtype(images.dtype());
        let centered = images.broadcast_sub(&constant(mean)?)?;
        Ok(centered.broadcast_div(&constant(std)?)?)
    }

    /// Only the representations, by moving statistics; no other result is kept.
    pub(crate) fn representations(&self, images: &Tensor) -> Result<Tensor> {
        self.check_images(images)?;
        let pass = self.pass(Mode::Infer, ModelStage::Stem);
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
        let pass = self.pass(mode, ModelStage::Stem);
        let map = |x: &Tensor| FeatureMap::new(x, pass.backend);
        let Checkpointable { layer, variables } = &self.stem;
        if !self.is_checkpointed(pass) {
            return layer.forward(&map(x)?, pass);
        }
        let x = map(x)?;
        let output = layer.forward(&x.detach(), pass.without_grad())?;
        let layer = layer.clone();
        let again = move |x: &FeatureMap| {
            let output = layer.forward(x, pass.recomputation())?;
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
        (number, blocks): (usize, &[Checkpointable<Block>]),
        x: &FeatureMap,
        mode: Mode,
    ) -> Result<FeatureMap> {
        let stage = ModelStage::BlockGroup(number);
        let pass = self.pass(mode, stage);
        let mut x = x.clone();
        for block in blocks {
            x = if self.is_checkpointed(pass) {
                checkpointed_block(block, &x, pass)?
            } else {
                block.layer.forward(&x, pass)?
            };
        }
        Ok(self.stop_if_frozen(x, stage))
    }

    fn pass(&self, mode: Mode, stage: ModelStage) -> Pass {
        Pass::new(mode, self.freeze, stage, self.backend)
    }

    fn is_checkpointed(&self, pass: Pass) -> bool {
        pass.requires_grad && self.gradient_checkpointing == GradientCheckpointing::PerBlock
    }

    /// No gradient passes from the trained layers into the frozen ones.
    fn stop_if_frozen(&self, x: FeatureMap, stage: ModelStage) -> FeatureMap {
        if self.freeze.ends_after(stage) {
            x.detach()
        } else {
            x
        }
    }

    pub(crate) fn check_images(&self, images: &Tensor) -> Result<()> {
        match images.dims() {
            &[batch, height, width, IMAGE_CHANNELS] if batch > 0 => {
                self.config.check_image_size(height, width)
            }
            dims => Err(Error::Input {
                layer: "encoder",
                expected: "[n, height, width, 3] with n at least 1".into(),
                found: dims.to_vec(),
            }),
        }
    }
}

/// A block of which only the input is saved for the backward pass.
fn checkpointed_block(
    block: &Checkpointable<Block>,
    x: &FeatureMap,
    pass: Pass,
) -> Result<FeatureMap> {
    let Checkpointable { layer, variables } = block;
    let output = layer.forward(&x.detach(), pass.without_grad())?;
    let layer = layer.clone();
    let again = move |x: &FeatureMap| layer.forward(x, pass.recomputation());
    Ok(output.checkpoint(x, variables, again)?)
}

type Layers = (Checkpointable<Stem>, [Vec<Checkpointable<Block>>; 4]);

/// Names and variables that the policy leaves to train.
pub(crate) fn trainable<'a>(
    parameters: impl IntoIterator<Item = &'a Parameter>,
    freeze: Freeze,
) -> Vec<(String, Var)> {
    parameters
        .into_iter()
        .filter(|p| p.spec.role.is_trainable() && !freeze.freezes(p.spec.stage))
        .map(|p| (p.spec.name.clone(), p.variable.clone()))
        .collect()
}
