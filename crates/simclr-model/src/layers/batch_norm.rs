//! Batch norm with its moving statistics.

use candle_core::{Tensor, Var};
use simclr_kernels::{Activation, BatchNormParameters, BatchStats, FeatureMap};

use super::{Conv, Pass};
use crate::builder::Builder;
use crate::{Initializer, ResNetConfig, Result, Role};

/// What all batch norms of a network share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchNormSettings {
    pub(crate) decay: f64,
    pub(crate) epsilon: f64,
}

impl BatchNormSettings {
    pub(crate) fn of(config: &ResNetConfig) -> Self {
        Self {
            decay: config.batch_norm_decay,
            epsilon: config.batch_norm_epsilon,
        }
    }
}

/// `gamma * (x - mean) / sqrt(variance + epsilon) + beta` over the last axis.
#[derive(Debug, Clone)]
pub(crate) struct BatchNorm {
    gamma: Var,
    beta: Offset,
    moving_mean: Var,
    moving_variance: Var,
    settings: BatchNormSettings,
}

/// The last layer of the projection head has no beta.
#[derive(Debug, Clone)]
enum Offset {
    Learned(Var),
    Zero(Tensor),
}

/// How a batch norm differs from the usual one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BatchNormOptions {
    /// Gamma starts at zero.
    pub(crate) zero_gamma: bool,
    /// There is no beta.
    pub(crate) without_beta: bool,
}

impl BatchNorm {
    /// A batch norm of the encoder, named by the encoder's counter.
    pub(crate) fn new(
        builder: &mut Builder<'_>,
        path: &str,
        channels: usize,
        settings: BatchNormSettings,
        options: BatchNormOptions,
    ) -> Result<Self> {
        let original = builder.next_batch_norm();
        Self::named(builder, (path, &original), channels, settings, options)
    }

    /// A batch norm with both names given.
    pub(crate) fn named(
        builder: &mut Builder<'_>,
        names: (&str, &str),
        channels: usize,
        settings: BatchNormSettings,
        options: BatchNormOptions,
    ) -> Result<Self> {
        let mut variable = |leaf, role, value| {
            builder.variable(names, leaf, &[channels], role, Initializer::Constant(value))
        };
        let start = if options.zero_gamma { 0.0 } else { 1.0 };
        let gamma = variable("gamma", Role::Gamma, start)?;
        let beta = if options.without_beta {
            None
        } else {
            Some(variable("beta", Role::Beta, 0.0)?)
        };
        let moving_mean = variable("moving_mean", Role::MovingMean, 0.0)?;
        let moving_variance = variable("moving_variance", Role::MovingVariance, 1.0)?;
        let beta = match beta {
            Some(beta) => Offset::Learned(beta),
            None => Offset::Zero(builder.constant(&vec![0.0; channels])?),
        };
        Ok(Self {
            gamma,
            beta,
            moving_mean,
            moving_variance,
            settings,
        })
    }

    /// `activation(bn(x) + residual)`.
    pub(crate) fn forward(
        &self,
        x: &FeatureMap,
        pass: Pass,
        activation: Activation,
        residual: Option<&FeatureMap>,
    ) -> Result<FeatureMap> {
        let (gamma, beta) = self.learned(pass);
        let norm = self.parameters(&gamma, &beta);
        if !pass.batch_statistics {
            return Ok(x.batch_norm_inference(norm, &self.moving(), activation, residual)?);
        }
        let (y, stats) = x.batch_norm_training(norm, activation, residual)?;
        self.move_statistics(pass, &stats)?;
        Ok(y)
    }

    /// `activation(bn(x))` for rows `[n, c]`.
    pub(crate) fn forward_rows(
        &self,
        x: &Tensor,
        pass: Pass,
        activation: Activation,
    ) -> Result<Tensor> {
        let (rows, channels) = x.dims2()?;
        let map = FeatureMap::new(&x.reshape((rows, 1, 1, channels))?, pass.backend)?;
        let y = self.forward(&map, pass, activation, None)?;
        Ok(y.into_tensor()?.reshape((rows, channels))?)
    }

    /// `activation(bn(conv(x)) + residual)` with the moving statistics.
    pub(crate) fn after_convolution(
        &self,
        conv: &Conv,
        x: &FeatureMap,
        pass: Pass,
        activation: Activation,
        residual: Option<&FeatureMap>,
    ) -> Result<FeatureMap> {
        let (gamma, beta) = self.learned(pass);
        Ok(x.conv2d_batch_norm_inference(
            &conv.kernel(pass),
            conv.config(),
            self.parameters(&gamma, &beta),
            &self.moving(),
            activation,
            residual,
        )?)
    }

    /// `conv(relu(bn(x)))` with the batch's statistics.
    pub(crate) fn before_convolution(
        &self,
        x: &FeatureMap,
        conv: &Conv,
        pass: Pass,
    ) -> Result<FeatureMap> {
        let (gamma, beta) = self.learned(pass);
        let norm = self.parameters(&gamma, &beta);
        let (y, stats) = x.batch_norm_relu_conv2d(norm, &conv.kernel(pass), conv.config())?;
        self.move_statistics(pass, &stats)?;
        Ok(y)
    }

    fn learned(&self, pass: Pass) -> (Tensor, Tensor) {
        let beta = match &self.beta {
            Offset::Learned(beta) => pass.parameter(beta),
            Offset::Zero(zero) => zero.clone(),
        };
        (pass.parameter(&self.gamma), beta)
    }

    fn parameters<'a>(&self, gamma: &'a Tensor, beta: &'a Tensor) -> BatchNormParameters<'a> {
        let epsilon = self.settings.epsilon;
        BatchNormParameters {
            gamma,
            beta,
            epsilon,
        }
    }

    fn moving(&self) -> BatchStats {
        BatchStats {
            mean: self.moving_mean.as_detached_tensor(),
            variance: self.moving_variance.as_detached_tensor(),
        }
    }

    fn move_statistics(&self, pass: Pass, stats: &BatchStats) -> Result<()> {
        if pass.moves_statistics {
            self.move_towards(&self.moving_mean, &stats.mean)?;
            self.move_towards(&self.moving_variance, &stats.variance)?;
        }
        Ok(())
    }

    /// `old - (1 - decay) * (old - batch)`, in the original's order of operations.
    fn move_towards(&self, moving: &Var, batch: &Tensor) -> Result<()> {
        let old = moving.as_detached_tensor();
        let step = ((&old - batch)? * (1.0 - self.settings.decay))?;
        Ok(moving.set(&(old - step)?)?)
    }
}
