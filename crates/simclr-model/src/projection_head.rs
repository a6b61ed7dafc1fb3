//! The projection head g: representations h to the z that the contrastive loss compares.

use candle_core::Tensor;
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};
use simclr_kernels::{Activation, Backend};

use crate::builder::{Builder, Parameter};
use crate::config::{check_count, check_features};
use crate::layers::{BatchNorm, BatchNormOptions, BatchNormSettings, Dense, Pass};
use crate::{Error, Freeze, Initializer, Mode, ParameterSpec, Part, ResNetConfig, Result};

/// Standard deviation of the initial kernels of all dense layers.
pub(crate) const DENSE_STANDARD_DEVIATION: f64 = 0.01;

/// Bounds that keep a broken file's sizes from overflowing.
const MAXIMUM_LAYERS: usize = 64;
const MAXIMUM_OUTPUT_SIZE: usize = 1 << 20;

/// The form of the projection head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProjectionHeadConfig {
    /// Kind of head. Default: [`ProjectionKind::Nonlinear`].
    pub kind: ProjectionKind,
    /// Number of layers of the nonlinear head, 1 to 64. Default: 3.
    pub layers: usize,
    /// Length of z, 1 to 2^20. Default: 128.
    pub output_size: usize,
    /// Which of the head's levels the supervised head gets: 0 is the representation h itself,
    /// k the output of layer k (with its ReLU), -1 the last level, z. Default: 0.
    pub ft_proj_selector: i64,
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
            ft_proj_selector: 0,
        }
    }
}

impl ProjectionHeadConfig {
    /// No head.
    pub fn none() -> Self {
        Self {
            kind: ProjectionKind::None,
            ..Self::default()
        }
    }

    /// A head of one layer.
    pub fn linear() -> Self {
        Self {
            kind: ProjectionKind::Linear,
            ..Self::default()
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Config`] names the first field that is out of range.
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

    /// [`Self::ft_proj_selector`] as a level between 0 (h) and the number of layers (z).
    ///
    /// # Errors
    /// [`Error::Config`] if there is no such level.
    pub fn selected_level(&self) -> Result<usize> {
        let levels = self.depth() + 1;
        let selector = self.ft_proj_selector;
        let level = if selector < 0 {
            levels.checked_add_signed(isize::try_from(selector).unwrap_or(isize::MIN))
        } else {
            usize::try_from(selector)
                .ok()
                .filter(|&level| level < levels)
        };
        level.ok_or_else(|| Error::Config {
            field: "ft_proj_selector",
            value: selector.to_string(),
            expected: format!("-{levels} to {}", levels - 1),
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
    /// [`Error::Config`] for an invalid configuration.
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
    /// The level that `ft_proj_selector` chooses as the supervised head's input.
    pub selected: Tensor,
}

impl ProjectionHead {
    /// Builds the head on the variables that `variables` has below `projection_head.`. Decay
    /// and epsilon of its batch norms are the encoder's.
    ///
    /// # Errors
    /// [`Error::Config`] for an invalid configuration; an error that names the variable if one
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
        builder.enter(Part::ProjectionHead);
        let sizes = config.level_sizes(encoder.feature_size()?);
        let settings = BatchNormSettings::of(encoder);
        let prefix = match config.kind {
            ProjectionKind::Nonlinear => "nl",
            ProjectionKind::None | ProjectionKind::Linear => "l",
        };
        let last = config.depth().saturating_sub(1);
        let pairs = sizes.iter().zip(sizes.iter().skip(1)).enumerate();
        pairs
            .map(|(index, (&input, &output))| {
                let path = format!("projection_head.layer{index}");
                let original = format!("head_contrastive/{prefix}_{index}");
                Layer::new(
                    builder,
                    (&path, &original),
                    (input, output),
                    settings,
                    index == last,
                )
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
    /// [`Error::Input`] if d is not the encoder's feature size.
    pub fn forward(&self, representation: &Tensor, mode: Mode) -> Result<ProjectionOutput> {
        check_features("projection head", representation, self.feature_size)?;
        let pass = Pass::new(mode, Freeze::None, Part::ProjectionHead, self.backend);
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
        names: (&str, &str),
        shape: (usize, usize),
        settings: BatchNormSettings,
        is_last: bool,
    ) -> Result<Self> {
        let (path, original) = names;
        let initializer = Initializer::Normal {
            standard_deviation: DENSE_STANDARD_DEVIATION,
        };
        let dense_names = (format!("{path}.dense"), format!("{original}/dense"));
        let dense_names = (dense_names.0.as_str(), dense_names.1.as_str());
        let dense = Dense::new(builder, dense_names, shape, false, initializer)?;
        let norm_names = (
            format!("{path}.batch_norm"),
            format!("{original}/batch_normalization"),
        );
        let norm_names = (norm_names.0.as_str(), norm_names.1.as_str());
        let options = BatchNormOptions {
            without_beta: is_last,
            ..Default::default()
        };
        let norm = BatchNorm::named(builder, norm_names, shape.1, settings, options)?;
        let activation = if is_last {
            Activation::Identity
        } else {
            Activation::Relu
        };
        Ok(Self {
            dense,
            norm,
            activation,
        })
    }

    fn forward(&self, x: &Tensor, pass: Pass) -> Result<Tensor> {
        let y = self.dense.forward(x, pass)?;
        self.norm.forward_rows(&y, pass, self.activation)
    }
}
