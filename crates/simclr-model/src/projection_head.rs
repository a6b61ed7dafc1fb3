//! The projection head g: representations h to the z that the contrastive loss compares.

use candle_core::Tensor;
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};
use simclr_kernels::{Activation, Backend};

use crate::builder::{Builder, Parameter};
use crate::checks::{check_count, check_features, setting_error};
use crate::config::ResNetConfig;
use crate::error::Result;
use crate::freeze::{Freeze, Mode};
use crate::layers::batch_norm::BatchNorm;
use crate::layers::dense::Dense;
use crate::layers::pass::Pass;
use crate::parameter::{Initializer, ModelStage, ParameterSpec};
use crate::setters::setters;

/// Bounds that keep a broken file's sizes from overflowing.
const MAXIMUM_LAYERS: usize = 64;
const MAXIMUM_OUTPUT_SIZE: usize = 1 << 20;

/// The form of the projection head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ProjectionHeadConfig {
    /// Kind of head. Default: [`ProjectionKind::Nonlinear`].
    pub kind: ProjectionKind,
    /// Number of layers of the nonlinear head, 1 to 64. Default: 3.
    pub layers: usize,
    /// Length of z, 1 to 2^20. Default: 128.
    pub output_size: usize,
    /// What the supervised head gets. Default: [`FineTuneFrom::Encoder`]. Files have it under
    /// the original's name and as its number, `ft_proj_selector`.
    #[serde(rename = "ft_proj_selector", alias = "fine_tune_from")]
    pub fine_tune_from: FineTuneFrom,
}

/// The level of the projection head that the supervised head stands on: the original's
/// `ft_proj_selector`, from whose numbers it is made.
///
/// ```
/// use simclr_model::FineTuneFrom;
///
/// assert_eq!(FineTuneFrom::from(0), FineTuneFrom::Encoder);
/// assert_eq!(FineTuneFrom::from(1), FineTuneFrom::ProjectionLayer(1));
/// assert_eq!(FineTuneFrom::from(-1), FineTuneFrom::FromEnd(0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "i64", into = "i64")]
pub enum FineTuneFrom {
    /// The representation h: the projection head is dropped. The original's 0.
    #[default]
    Encoder,
    /// The output of projection layer k (with its ReLU), counted from 1. The original's k;
    /// SimCLRv2 fine-tunes from layer 1.
    ProjectionLayer(usize),
    /// The level that has k others after it: 0 is z itself. The original's -1 - k.
    FromEnd(usize),
}

impl From<i64> for FineTuneFrom {
    fn from(ft_proj_selector: i64) -> Self {
        let count = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
        match ft_proj_selector {
            0 => Self::Encoder,
            1.. => Self::ProjectionLayer(count(ft_proj_selector)),
            _ => Self::FromEnd(count(-(ft_proj_selector + 1))),
        }
    }
}

/// The original's `ft_proj_selector`.
impl From<FineTuneFrom> for i64 {
    fn from(level: FineTuneFrom) -> Self {
        let number = |count: usize| Self::try_from(count).unwrap_or(Self::MAX);
        match level {
            FineTuneFrom::Encoder => 0,
            FineTuneFrom::ProjectionLayer(k) => number(k),
            FineTuneFrom::FromEnd(k) => -1 - number(k),
        }
    }
}

/// Kind of projection head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProjectionKind {
    /// No head: z is h.
    None,
    /// One dense layer with batch norm.
    Linear,
    /// Dense layers with batch norm, each as wide as h and followed by ReLU, except for the
    /// last one.
    Nonlinear,
}

impl Default for ProjectionHeadConfig {
    fn default() -> Self {
        Self {
            kind: ProjectionKind::Nonlinear,
            layers: 3,
            output_size: 128,
            fine_tune_from: FineTuneFrom::Encoder,
        }
    }
}

impl ProjectionHeadConfig {
    /// No head.
    pub fn none() -> Self {
        Self::default().with_kind(ProjectionKind::None)
    }

    /// A head of one layer.
    pub fn linear() -> Self {
        Self::default().with_kind(ProjectionKind::Linear)
    }

    setters! {
        with_kind, kind: ProjectionKind;
        with_layers, layers: usize;
        with_output_size, output_size: usize;
        with_fine_tune_from, fine_tune_from: impl Into<FineTuneFrom>;
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] names the first field that is out of range.
    pub fn validate(&self) -> Result<()> {
        check_count("projection_head.layers", self.layers, MAXIMUM_LAYERS)?;
        check_count(
            "projection_head.output_size",
            self.output_size,
            MAXIMUM_OUTPUT_SIZE,
        )?;
        self.selected_level().map(|_| ())
    }

    /// The number of layers that the kind really has.
    pub fn depth(&self) -> usize {
        match self.kind {
            ProjectionKind::None => 0,
            ProjectionKind::Linear => 1,
            ProjectionKind::Nonlinear => self.layers,
        }
    }

    /// [`Self::fine_tune_from`] as a level between 0 (h) and the number of layers (z).
    ///
    /// # Errors
    /// [`crate::Error::Setting`] if there is no such level.
    pub fn selected_level(&self) -> Result<usize> {
        let depth = self.depth();
        let level = match self.fine_tune_from {
            FineTuneFrom::Encoder => Some(0),
            FineTuneFrom::ProjectionLayer(k) => Some(k).filter(|&k| k <= depth),
            FineTuneFrom::FromEnd(k) => depth.checked_sub(k),
        };
        level.ok_or_else(|| {
            let expected = format!("-{} to {depth}", depth + 1);
            setting_error(
                "ft_proj_selector",
                i64::from(self.fine_tune_from),
                &expected,
            )
        })
    }

    /// The lengths of all levels for representations of length `feature_size`: h first, z last.
    pub fn level_sizes(&self, feature_size: usize) -> Vec<usize> {
        let mut sizes = vec![feature_size; self.depth() + 1];
        if self.depth() > 0
            && let Some(last) = sizes.last_mut()
        {
            *last = self.output_size;
        }
        sizes
    }

    /// The head's parameters behind this encoder.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] for an invalid configuration.
    pub fn parameter_specs(&self, encoder: &ResNetConfig) -> Result<Vec<ParameterSpec>> {
        Builder::specs_of(|builder| ProjectionHead::layers(builder, self, encoder))
    }
}

/// The projection head.
#[derive(Debug, Clone)]
pub struct ProjectionHead {
    config: ProjectionHeadConfig,
    feature_size: usize,
    layers: Vec<Layer>,
    parameters: Vec<Parameter>,
    backend: Backend,
}

/// Dense layer, batch norm and perhaps ReLU.
#[derive(Debug, Clone)]
struct Layer {
    dense: Dense,
    norm: BatchNorm,
    activation: Activation,
}

/// What the projection head makes of representations.
#[derive(Debug, Clone)]
pub struct ProjectionOutput {
    /// h and the outputs of all layers: `levels[0]` is h, the last one z.
    pub levels: Vec<Tensor>,
    /// `[n, output_size]`: z.
    pub projection: Tensor,
    /// The level that [`FineTuneFrom`] chooses as the supervised head's input.
    pub selected: Tensor,
}

impl ProjectionHead {
    /// Builds the head on the variables that `variables` has below `projection_head.`. Decay
    /// and epsilon of its batch norms are the encoder's.
    ///
    /// # Errors
    /// [`crate::Error::Setting`] for an invalid configuration; an error that names the variable if one
    /// is missing or has another shape.
    pub fn new(
        config: &ProjectionHeadConfig,
        encoder: &ResNetConfig,
        variables: VarBuilder<'_>,
    ) -> Result<Self> {
        let mut builder = Builder::new(variables);
        let layers = Self::layers(&mut builder, config, encoder)?;
        Ok(Self {
            config: config.clone(),
            feature_size: encoder.feature_size()?,
            layers,
            parameters: builder.into_parameters(),
            backend: Backend::Auto,
        })
    }

    fn layers(
        builder: &mut Builder<'_>,
        config: &ProjectionHeadConfig,
        encoder: &ResNetConfig,
    ) -> Result<Vec<Layer>> {
        config.validate()?;
        builder.enter(ModelStage::ProjectionHead);
        builder.batch_norm = encoder.batch_norm();
        let sizes = config.level_sizes(encoder.feature_size()?);
        let prefix = match config.kind {
            ProjectionKind::Nonlinear => "nl",
            ProjectionKind::None | ProjectionKind::Linear => "l",
        };
        (0..config.depth())
            .zip(sizes.windows(2))
            .map(|(index, sizes)| {
                let names = (
                    format!("projection_head.layer{index}"),
                    format!("head_contrastive/{prefix}_{index}"),
                );
                let is_last = index + 1 == config.depth();
                Layer::new(builder, names, (sizes[0], sizes[1]), is_last)
            })
            .collect()
    }

    /// The form of the head.
    pub fn config(&self) -> &ProjectionHeadConfig {
        &self.config
    }

    /// Sets what computes all later passes. Default: [`Backend::Auto`].
    pub fn set_backend(&mut self, backend: Backend) {
        self.backend = backend;
    }

    /// The parameters, in the original's order of calls.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Computes all levels from representations `[n, d]`.
    ///
    /// # Errors
    /// [`crate::Error::Input`] if d is not the encoder's feature size.
    pub fn forward(&self, representation: &Tensor, mode: Mode) -> Result<ProjectionOutput> {
        check_features("projection head", representation, self.feature_size)?;
        let pass = Pass::new(mode, Freeze::None, ModelStage::ProjectionHead, self.backend);
        let mut projection = representation.clone();
        let mut levels = vec![projection.clone()];
        for layer in &self.layers {
            projection = layer.forward(&projection, pass)?;
            levels.push(projection.clone());
        }
        let selected = levels.get(self.config.selected_level()?);
        Ok(ProjectionOutput {
            selected: selected.unwrap_or(&projection).clone(),
            levels,
            projection,
        })
    }
}

impl Layer {
    fn new(
        builder: &mut Builder<'_>,
        (path, original): (String, String),
        shape: (usize, usize),
        is_last: bool,
    ) -> Result<Self> {
        let dense = (format!("{path}.dense"), format!("{original}/dense"));
        let norm = (
            format!("{path}.batch_norm"),
            format!("{original}/batch_normalization"),
        );
        Ok(Self {
            dense: Dense::new(
                builder,
                (&dense.0, &dense.1),
                shape,
                false,
                Initializer::DENSE,
            )?,
            norm: BatchNorm::named(builder, (&norm.0, &norm.1), shape.1, 1.0, !is_last)?,
            activation: if is_last {
                Activation::Identity
            } else {
                Activation::Relu
            },
        })
    }

    fn forward(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        let y = self.dense.forward(x, pass)?;
        self.norm.forward_rows(&y, pass, self.activation)
    }
}
