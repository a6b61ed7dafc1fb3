//! The ops on tensors: each makes a feature map and applies the op of [`FeatureMap`].

use candle_core::Tensor;

use crate::activation::Activation;
use crate::backend::Backend;
use crate::geometry::{Conv2dConfig, DivisorRule, Padding};
use crate::map::{BatchNormParameters, BatchStats, FeatureMap, check_dtype};
use crate::{Error, Result, composite};

/// A batch norm in training form.
#[derive(Debug, Clone)]
pub struct BatchNormTraining {
    /// The normalised, activated output, of the input's shape.
    pub output: Tensor,
    /// The batch's mean, `[c]`, detached.
    pub mean: Tensor,
    /// The batch's biased variance, `[c]`, detached.
    pub variance: Tensor,
}

impl Backend {
    /// [`conv2d`](crate::conv2d) in this form.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::DType`] if the tensors do not fit together.
    pub fn conv2d(self, x: &Tensor, kernel: &Tensor, config: Conv2dConfig) -> Result<Tensor> {
        FeatureMap::new(x, self)?
            .conv2d(kernel, config)?
            .into_tensor()
    }

    /// [`batch_norm_training`](crate::batch_norm_training) in this form.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::DType`] if the tensors do not fit together.
    pub fn batch_norm_training(
        self,
        x: &Tensor,
        gamma: &Tensor,
        beta: &Tensor,
        epsilon: f64,
        activation: Activation,
        residual: Option<&Tensor>,
    ) -> Result<BatchNormTraining> {
        let norm = BatchNormParameters {
            gamma,
            beta,
            epsilon,
        };
        let residual = self.residual("batch_norm_training", x, residual)?;
        let map = self.channels_map("batch_norm_training", x)?;
        let (y, BatchStats { mean, variance }) =
            map.batch_norm_training(norm, activation, residual.as_ref())?;
        Ok(BatchNormTraining {
            output: y.into_tensor()?.reshape(x.shape())?,
            mean,
            variance,
        })
    }

    /// [`batch_norm_inference`](crate::batch_norm_inference) in this form.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::DType`] if the tensors do not fit together.
    #[allow(clippy::too_many_arguments)]
    pub fn batch_norm_inference(
        self,
        x: &Tensor,
        gamma: &Tensor,
        beta: &Tensor,
        moving_mean: &Tensor,
        moving_variance: &Tensor,
        epsilon: f64,
        activation: Activation,
        residual: Option<&Tensor>,
    ) -> Result<Tensor> {
        let norm = BatchNormParameters {
            gamma,
            beta,
            epsilon,
        };
        let moving = BatchStats {
            mean: moving_mean.clone(),
            variance: moving_variance.clone(),
        };
        let residual = self.residual("batch_norm_inference", x, residual)?;
        let map = self.channels_map("batch_norm_inference", x)?;
        let y = map.batch_norm_inference(norm, &moving, activation, residual.as_ref())?;
        Ok(y.into_tensor()?.reshape(x.shape())?)
    }

    /// The residual of a batch norm over `x`.
    fn residual(
        self,
        op: &'static str,
        x: &Tensor,
        residual: Option<&Tensor>,
    ) -> Result<Option<FeatureMap>> {
        match residual {
            Some(residual) if residual.dims() != x.dims() => {
                let expected = format!("a residual {:?}", x.dims());
                Err(Error::shape(op, expected, residual.dims()))
            }
            Some(residual) => Ok(Some(self.channels_map(op, residual)?)),
            None => Ok(None),
        }
    }

    /// `[n, c]` or `[n, h, w, c]` as a map.
    fn channels_map(self, op: &'static str, x: &Tensor) -> Result<FeatureMap> {
        match *x.dims() {
            [n, c] if n * c > 0 => FeatureMap::new(&x.reshape((n, 1, 1, c))?, self),
            [_, _, _, _] if x.elem_count() > 0 => FeatureMap::new(x, self),
            _ => {
                let expected = "a non-empty input [n, c] or [n, h, w, c]";
                Err(Error::shape(op, expected, x.dims()))
            }
        }
    }

    /// [`relu`](crate::relu) in this form.
    ///
    /// # Errors
    /// [`Error::DType`] for a type without a fraction.
    pub fn relu(self, x: &Tensor) -> Result<Tensor> {
        self.is_fused("relu", x)?;
        if x.elem_count() == 0 {
            return Ok(x.clone());
        }
        let flat = x.reshape((1, 1, x.elem_count(), 1))?;
        let y = FeatureMap::new(&flat, self)?.relu()?.into_tensor()?;
        Ok(y.reshape(x.shape())?)
    }

    /// [`max_pool2d`](crate::max_pool2d) in this form.
    ///
    /// # Errors
    /// [`Error::Shape`] if the window does not fit.
    pub fn max_pool2d(
        self,
        x: &Tensor,
        window: (usize, usize),
        stride: (usize, usize),
        padding: Padding,
    ) -> Result<Tensor> {
        let map = FeatureMap::new(x, self)?;
        map.max_pool2d(window, stride, padding)?.into_tensor()
    }

    /// [`average_pool2d`](crate::average_pool2d) in this form.
    ///
    /// # Errors
    /// [`Error::Shape`] if the window does not fit.
    pub fn average_pool2d(
        self,
        x: &Tensor,
        window: (usize, usize),
        stride: (usize, usize),
        padding: Padding,
        divisor: DivisorRule,
    ) -> Result<Tensor> {
        let map = FeatureMap::new(x, self)?;
        map.average_pool2d(window, stride, padding, divisor)?
            .into_tensor()
    }

    /// [`global_average_pool`](crate::global_average_pool) in this form.
    ///
    /// # Errors
    /// [`Error::Shape`] if the input is not `[n, h, w, c]`.
    pub fn global_average_pool(self, x: &Tensor) -> Result<Tensor> {
        FeatureMap::new(x, self)?.global_average_pool()
    }

    /// [`dense`](crate::dense) in this form.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::DType`] if the tensors do not fit together.
    pub fn dense(self, x: &Tensor, kernel: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        const OP: &str = "dense";
        let (&[rows, inputs], &[kernel_rows, outputs]) = (x.dims(), kernel.dims()) else {
            let actual = (x.dims(), kernel.dims());
            return Err(Error::shape(OP, "[n, in] x [in, out]", actual));
        };
        if inputs != kernel_rows {
            let expected = format!("a kernel [{inputs}, out]");
            return Err(Error::shape(OP, expected, kernel.dims()));
        }
        if let Some(bias) = bias.filter(|bias| bias.dims() != [outputs]) {
            return Err(Error::shape(OP, format!("a bias [{outputs}]"), bias.dims()));
        }
        let is_fused = self.is_fused(OP, x)?;
        for parameter in [Some(kernel), bias].into_iter().flatten() {
            check_dtype(OP, "a kernel and a bias", parameter, x.dtype())?;
        }
        if !is_fused {
            return composite::dense(x, kernel, bias);
        }
        // A dense layer is a 1x1 convolution of maps with one pixel.
        let map = FeatureMap::new(&x.reshape((rows, 1, 1, inputs))?, self)?;
        let mut y = map.fused_dense(kernel)?;
        if let Some(bias) = bias {
            y = y.affine_channels(&bias.ones_like()?, bias, Activation::Identity, None)?;
        }
        Ok(y.into_tensor()?.reshape((rows, outputs))?)
    }
}

/// Convolution: `y[n, i, j, o] = Σ x[n, i s + a − p, j s + b − p, c] k[a, b, c, o]`.
///
/// `x` is `[n, h, w, c]`, `kernel` `[kernel_h, kernel_w, c, out]`.
///
/// # Errors
/// [`Error::Shape`] or [`Error::DType`] if the tensors do not fit together.
pub fn conv2d(x: &Tensor, kernel: &Tensor, config: Conv2dConfig) -> Result<Tensor> {
    Backend::Auto.conv2d(x, kernel, config)
}

/// Batch norm with the batch's own statistics:
/// `y = act(gamma (x − mean) / sqrt(variance + epsilon) + beta + residual)`.
///
/// `x` is `[n, c]` or `[n, h, w, c]`; the variance is the biased one.
///
/// # Errors
/// [`Error::Shape`] or [`Error::DType`] if the tensors do not fit together.
pub fn batch_norm_training(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    epsilon: f64,
    activation: Activation,
    residual: Option<&Tensor>,
) -> Result<BatchNormTraining> {
    Backend::Auto.batch_norm_training(x, gamma, beta, epsilon, activation, residual)
}

/// Batch norm with given statistics:
/// `y = act(gamma (x − moving_mean) / sqrt(moving_variance + epsilon) + beta + residual)`.
///
/// # Errors
/// [`Error::Shape`] or [`Error::DType`] if the tensors do not fit together.
#[allow(clippy::too_many_arguments)]
pub fn batch_norm_inference(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    moving_mean: &Tensor,
    moving_variance: &Tensor,
    epsilon: f64,
    activation: Activation,
    residual: Option<&Tensor>,
) -> Result<Tensor> {
    Backend::Auto.batch_norm_inference(
        x,
        gamma,
        beta,
        moving_mean,
        moving_variance,
        epsilon,
        activation,
        residual,
    )
}

/// `max(x, 0)`; the gradient at 0 is 0, as in TensorFlow.
///
/// # Errors
/// [`Error::DType`] for a type without a fraction.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    Backend::Auto.relu(x)
}

/// The maximum of each window; padding counts as minus infinity. The gradient goes
/// to the first of several equal maxima.
///
/// # Errors
/// [`Error::Shape`] if the window does not fit, or one would see padding only.
pub fn max_pool2d(
    x: &Tensor,
    window: (usize, usize),
    stride: (usize, usize),
    padding: Padding,
) -> Result<Tensor> {
    Backend::Auto.max_pool2d(x, window, stride, padding)
}

/// The mean of each window.
///
/// # Errors
/// [`Error::Shape`] if the window does not fit, or one would see padding only.
pub fn average_pool2d(
    x: &Tensor,
    window: (usize, usize),
    stride: (usize, usize),
    padding: Padding,
    divisor: DivisorRule,
) -> Result<Tensor> {
    Backend::Auto.average_pool2d(x, window, stride, padding, divisor)
}

/// The mean over each map: `[n, h, w, c]` to `[n, c]`.
///
/// # Errors
/// [`Error::Shape`] if the input is not `[n, h, w, c]`.
pub fn global_average_pool(x: &Tensor) -> Result<Tensor> {
    Backend::Auto.global_average_pool(x)
}

/// `y = x kernel + bias`: `[n, in]` and `[in, out]` to `[n, out]`.
///
/// # Errors
/// [`Error::Shape`] or [`Error::DType`] if the tensors do not fit together.
pub fn dense(x: &Tensor, kernel: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    Backend::Auto.dense(x, kernel, bias)
}
