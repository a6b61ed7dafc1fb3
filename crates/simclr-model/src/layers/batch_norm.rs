//! Batch norm with its moving statistics.

use candle_core::{Tensor, Var};
use simclr_kernels::{Activation, BatchNormParameters, BatchStats, FeatureMap};

use super::conv::Conv;
use super::pass::Pass;
use crate::builder::Builder;
use crate::config::BatchNormSettings;
use crate::error::Result;
use crate::parameter::{Initializer, Role};

/// `gamma * (x - mean) / sqrt(variance + epsilon) + beta` over the last axis.
#[derive(Debug, Clone)]
pub(crate) struct BatchNorm {
    gamma: Var,
    beta: Beta,
    moving_mean: Var,
    moving_variance: Var,
    settings: BatchNormSettings,
}

/// The last layer of the projection head has no beta.
#[derive(Debug, Clone)]
enum Beta {
    Learned(Var),
    Zero(Tensor),
}

impl BatchNorm {
    /// A batch norm of the encoder, named by the encoder's counter.
    pub(crate) fn new(
        builder: &mut Builder<'_>,
        path: &str,
        channels: usize,
        gamma: f64,
    ) -> Result<Self> {
        let original = builder.next_batch_norm();
        Self::named(builder, (path, &original), channels, gamma, true)
    }

    /// A batch norm with both names given.
    pub(crate) fn named(
        builder: &mut Builder<'_>,
        names: (&str, &str),
        channels: usize,
        gamma: f64,
        with_beta: bool,
    ) -> Result<Self> {
        let settings = builder.batch_norm;
        let mut variable = |leaf, role, value| {
            builder.variable(names, leaf, &[channels], role, Initializer::Constant(value))
        };
        let gamma = variable("gamma", Role::Gamma, gamma)?;
        let beta = if with_beta {
            Beta::Learned(variable("beta", Role::Beta, 0.0)?)
        } else {
            Beta::Zero(gamma.zeros_like()?)
        };
        Ok(Self {
            gamma,
            beta,
            moving_mean: variable("moving_mean", Role::MovingMean, 0.0)?,
            moving_variance: variable("moving_variance", Role::MovingVariance, 1.0)?,
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
        self.update_statistics(pass, &stats)?;
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
        self.update_statistics(pass, &stats)?;
        Ok(y)
    }

    fn learned(&self, pass: Pass) -> (Tensor, Tensor) {
        let beta = match &self.beta {
            Beta::Learned(beta) => pass.parameter(beta),
            Beta::Zero(zero) => zero.clone(),
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

    fn update_statistics(&self, pass: Pass, stats: &BatchStats) -> Result<()> {
        if pass.updates_statistics {
            self.update_moving(&self.moving_mean, &stats.mean)?;
            self.update_moving(&self.moving_variance, &stats.variance)?;
        }
        Ok(())
    }

    /// `old - (1 - decay) * (old - batch)`, in the original's order of operations and the type of
    /// the batch's statistics, which is f32 for a network in a half type.
    fn update_moving(&self, moving: &Var, batch: &Tensor) -> Result<()> {
        let old = moving.as_detached_tensor().to_dtype(batch.dtype())?;
        let step = ((&old - batch)? * (1.0 - self.settings.decay))?;
        Ok(moving.set(&(old - step)?.to_dtype(moving.dtype())?)?)
    }
}
