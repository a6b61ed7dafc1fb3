//! Encoder and heads together.

use candle_core::{Device, Tensor, Var};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};
use simclr_kernels::Backend;

use crate::builder::Parameter;
use crate::config::ResNetConfig;
use crate::encoder::{Encoder, trainable};
use crate::encoder_output::EncoderOutput;
use crate::error::Result;
use crate::freeze::{Freeze, Mode};
use crate::gradient_checkpointing::GradientCheckpointing;
use crate::parameter::ParameterSpec;
use crate::parameters::Parameters;
use crate::projection_head::{ProjectionHead, ProjectionHeadConfig, ProjectionOutput};
use crate::setters::setters;
use crate::supervised_head::{SupervisedHead, SupervisedHeadConfig};

/// The whole model's form.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SimClrConfig {
    /// The encoder. Default: ResNet-50.
    pub encoder: ResNetConfig,
    /// The projection head. Default: three layers to 128 numbers.
    pub projection_head: ProjectionHeadConfig,
    /// The supervised head. Default: none.
    pub supervised_head: Option<SupervisedHeadConfig>,
}

impl SimClrConfig {
    /// This encoder with the usual projection head and no supervised one.
    pub fn new(encoder: ResNetConfig) -> Self {
        Self {
            encoder,
            ..Self::default()
        }
    }

    setters! {
        with_projection_head, projection_head: ProjectionHeadConfig;
        with_supervised_head, supervised_head: impl Into<Option<SupervisedHeadConfig>>;
    }

    /// Adds a supervised head for this many classes.
    pub fn with_classes(self, num_classes: usize) -> Self {
        self.with_supervised_head(SupervisedHeadConfig::classes(num_classes))
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] names the first field that is out of range.
    pub fn validate(&self) -> Result<()> {
        self.encoder.validate()?;
        self.projection_head.validate()?;
        self.supervised_head
            .iter()
            .try_for_each(|head| head.validate())
    }

    /// All parameters: the encoder's, the projection head's, the supervised head's.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] for an invalid configuration.
    pub fn parameter_specs(&self) -> Result<Vec<ParameterSpec>> {
        let mut specs = self.encoder.parameter_specs()?;
        specs.extend(self.projection_head.parameter_specs(&self.encoder)?);
        if let Some(head) = &self.supervised_head {
            specs.extend(head.parameter_specs(self.supervised_input_size()?)?);
        }
        Ok(specs)
    }

    /// The length of what the supervised head gets.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] for an invalid configuration.
    pub fn supervised_input_size(&self) -> Result<usize> {
        let features = self.encoder.feature_size()?;
        let level = self.projection_head.selected_level()?;
        let sizes = self.projection_head.level_sizes(features);
        Ok(sizes.get(level).copied().unwrap_or(features))
    }
}

/// Encoder, projection head and, if wanted, supervised head.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use simclr_model::{Mode, ResNetConfig, SimClr, SimClrConfig, Stem};
///
/// let encoder = ResNetConfig::depth(18).with_stem(Stem::Cifar);
/// let model = SimClr::initialize(&SimClrConfig::new(encoder).with_classes(10), 42, &Device::Cpu)?;
/// let views = Tensor::zeros((4, 8, 8, 3), DType::F32, &Device::Cpu)?;
/// let output = model.forward(&views, Mode::Train)?;
/// assert_eq!(output.h().dims(), [4, 512]);   // the representation
/// assert_eq!(output.z().dims(), [4, 128]);   // what the contrastive loss compares
/// # Ok::<(), simclr_model::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SimClr {
    config: SimClrConfig,
    encoder: Encoder,
    projection_head: ProjectionHead,
    supervised_head: Option<SupervisedHead>,
}

/// All results of the model.
#[derive(Debug, Clone)]
pub struct SimClrOutput {
    /// The encoder's results; `encoder.final_avg_pool` is the representation h.
    pub encoder: EncoderOutput,
    /// h and the outputs of all layers of the projection head, z last.
    pub levels: Vec<Tensor>,
    /// `[n, output_size]`: z, what the contrastive loss compares.
    pub projection: Tensor,
    /// `[n, num_classes]`: the supervised head's logits, if there is such a head.
    pub logits: Option<Tensor>,
}

impl SimClrOutput {
    /// The representation h, `[n, d]`: what to keep after training.
    pub fn h(&self) -> &Tensor {
        &self.encoder.final_avg_pool
    }

    /// The projection z, `[n, output_size]`: what the contrastive loss compares.
    pub fn z(&self) -> &Tensor {
        &self.projection
    }
}

impl SimClr {
    /// Builds the model on the variables below `encoder.`, `projection_head.` and
    /// `supervised_head.`.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] for an invalid configuration; an error that names the variable
    /// if one is missing or has another shape.
    pub fn new(config: &SimClrConfig, variables: VarBuilder<'_>) -> Result<Self> {
        let supervised_head = match &config.supervised_head {
            Some(head) => {
                let input = config.supervised_input_size()?;
                Some(SupervisedHead::new(head, input, variables.clone())?)
            }
            None => None,
        };
        let projection = &config.projection_head;
        Ok(Self {
            config: config.clone(),
            encoder: Encoder::new(&config.encoder, variables.clone())?,
            projection_head: ProjectionHead::new(projection, &config.encoder, variables)?,
            supervised_head,
        })
    }

    /// An untrained model (f32) with the original's initial values.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] for an invalid configuration.
    pub fn initialize(config: &SimClrConfig, seed: u64, device: &Device) -> Result<Self> {
        let parameters = Parameters::initialize(&config.parameter_specs()?, seed, device)?;
        Self::new(config, parameters.var_builder())
    }

    /// The model's form.
    pub fn config(&self) -> &SimClrConfig {
        &self.config
    }

    /// The encoder.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// The projection head.
    pub fn projection_head(&self) -> &ProjectionHead {
        &self.projection_head
    }

    /// The supervised head, if there is one.
    pub fn supervised_head(&self) -> Option<&SupervisedHead> {
        self.supervised_head.as_ref()
    }

    /// Freezes the encoder's first layers, in this and all later passes.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] if there is no such block group.
    pub fn set_freeze(&mut self, freeze: Freeze) -> Result<()> {
        self.encoder.set_freeze(freeze)
    }

    /// Sets what all later training passes of the encoder save for their backward passes.
    pub fn set_gradient_checkpointing(&mut self, gradient_checkpointing: GradientCheckpointing) {
        self.encoder
            .set_gradient_checkpointing(gradient_checkpointing);
    }

    /// Sets what computes all later passes. Default: [`Backend::Auto`].
    pub fn set_backend(&mut self, backend: Backend) {
        self.encoder.set_backend(backend);
        self.projection_head.set_backend(backend);
        if let Some(head) = &mut self.supervised_head {
            head.set_backend(backend);
        }
    }

    /// Where its parameters are, and so where it computes.
    pub fn device(&self) -> &Device {
        self.encoder.device()
    }

    /// All parameters in the original's order of calls.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        let supervised = self
            .supervised_head
            .iter()
            .flat_map(|head| head.parameters());
        let projection = self.projection_head.parameters();
        self.encoder
            .parameters()
            .iter()
            .chain(projection)
            .chain(supervised)
    }

    /// Names and variables of what is to be trained: neither frozen nor a moving statistic.
    ///
    /// As in the original, the projection head's are all among them, even where
    /// [`FineTuneFrom`](crate::FineTuneFrom) leaves some without a gradient.
    pub fn trainable(&self) -> Vec<(String, Var)> {
        trainable(self.parameters(), self.encoder.freeze())
    }

    /// All variables as a store, for saving and loading. It shares them with the model.
    ///
    /// # Errors
    /// None are known: the names are distinct.
    pub fn store(&self) -> Result<Parameters> {
        Parameters::from_variables(
            self.parameters()
                .map(|p| (p.spec.name.clone(), p.variable.clone())),
        )
    }

    /// Pretraining: the supervised head learns on stopped gradients, so that labels do not
    /// reach the encoder.
    ///
    /// # Errors
    /// As [`Encoder::forward`].
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Result<SimClrOutput> {
        self.run(images, mode, Tensor::detach)
    }

    /// Fine-tuning: the supervised head's gradient flows on into the level of the projection
    /// head that [`FineTuneFrom`](crate::FineTuneFrom) names, and into the encoder.
    ///
    /// # Errors
    /// As [`Encoder::forward`].
    pub fn forward_fine_tuning(&self, images: &Tensor, mode: Mode) -> Result<SimClrOutput> {
        self.run(images, mode, Tensor::clone)
    }

    fn run(
        &self,
        images: &Tensor,
        mode: Mode,
        link: impl FnOnce(&Tensor) -> Tensor,
    ) -> Result<SimClrOutput> {
        let encoder = self.encoder.forward(images, mode)?;
        let ProjectionOutput {
            levels,
            projection,
            selected,
        } = self
            .projection_head
            .forward(&encoder.final_avg_pool, mode)?;
        let logits = match &self.supervised_head {
            Some(head) => Some(head.forward(&link(&selected), mode)?),
            None => None,
        };
        Ok(SimClrOutput {
            encoder,
            levels,
            projection,
            logits,
        })
    }
}
