//! The public surface: sizes are checked here, once, and the form is chosen.

use std::sync::Arc;

use candle_core::{D, DType, Device, Tensor};

use crate::geometry::Windows;
use crate::{Conv2dConfig, Error, Padding, Result, composite, fused};

/// Which implementation of an op runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Backend {
    /// Fused for f32 on the CPU, composite for everything else (default).
    #[default]
    Auto,
    /// Our kernels: f32 on the CPU, an error anywhere else.
    Fused,
    /// Stock candle ops: any device, any float type.
    Composite,
}

/// What follows a batch norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Activation {
    /// Nothing (default).
    #[default]
    Identity,
    /// `max(x, 0)`, with gradient 0 at 0.
    Relu,
}

/// What an average over a window at the border is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DivisorRule {
    /// The size of the window: padding counts as zeros.
    CountPadding,
    /// The number of elements within the map, as TensorFlow's `SAME` does.
    ExcludePadding,
}

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

/// What a batch norm learns, and its guard against division by zero.
#[derive(Debug, Clone, Copy)]
pub struct BatchNormParameters<'a> {
    /// `[c]`: the factor.
    pub gamma: &'a Tensor,
    /// `[c]`: the offset.
    pub beta: &'a Tensor,
    /// Added to the variance.
    pub epsilon: f64,
}

/// A convolution's output that knows the moments of its channels, if the form that
/// computed it took them on the way. Batch norm in training form then need not read the
/// output once more.
#[derive(Debug, Clone)]
pub struct Measured {
    /// `[n, h, w, c]`.
    pub output: Tensor,
    moments: Option<Arc<fused::Moments>>,
}

/// Mean and biased variance of each channel, `[c]`, detached.
#[derive(Debug, Clone)]
pub struct Moments {
    /// The mean.
    pub mean: Tensor,
    /// The biased variance.
    pub variance: Tensor,
}

impl Moments {
    fn of(moments: &fused::Moments) -> Result<Self> {
        let vector = |values: &[f32]| Tensor::new(values, &Device::Cpu);
        Ok(Self {
            mean: vector(&moments.mean)?,
            variance: vector(&moments.variance)?,
        })
    }
}

impl From<Tensor> for Measured {
    fn from(output: Tensor) -> Self {
        Self {
            output,
            moments: None,
        }
    }
}

impl Backend {
    /// Whether the fused form runs on these inputs.
    fn is_fused(self, op: &'static str, x: &Tensor) -> Result<bool> {
        let suits = x.dtype() == DType::F32 && x.device().is_cpu();
        match self {
            Self::Auto => Ok(suits),
            Self::Composite => Ok(false),
            Self::Fused if suits => Ok(true),
            Self::Fused => {
                let actual = (x.dtype(), x.device().location());
                Err(Error::shape(
                    op,
                    "f32 on the CPU for the fused form",
                    actual,
                ))
            }
        }
    }

    /// [`conv2d`](crate::conv2d) in this form.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes do not fit together.
    pub fn conv2d(self, x: &Tensor, kernel: &Tensor, config: Conv2dConfig) -> Result<Tensor> {
        const OP: &str = "conv2d";
        let windows = convolution_windows(OP, x, kernel, config)?;
        match self.is_fused(OP, x)? {
            true => fused::conv2d(x, kernel, &windows),
            false => composite::conv2d(x, kernel, &windows),
        }
    }

    /// [`conv2d`](crate::conv2d) whose output a batch norm in training form will follow:
    /// the fused form takes the moments of each channel while the output is in cache.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes do not fit together.
    pub fn conv2d_measured(
        self,
        x: &Tensor,
        kernel: &Tensor,
        config: Conv2dConfig,
    ) -> Result<Measured> {
        const OP: &str = "conv2d";
        let windows = convolution_windows(OP, x, kernel, config)?;
        if !self.is_fused(OP, x)? {
            return Ok(composite::conv2d(x, kernel, &windows)?.into());
        }
        let (output, moments) = fused::conv2d_with_moments(x, kernel, &windows)?;
        Ok(Measured { output, moments })
    }

    /// `conv2d(relu(bn(x)))` with the batch's own moments, as one op: the fused form keeps
    /// `x` for the backward pass and nothing else, and computes the normalised values
    /// again where it needs them. Also returns the mean and the biased variance of `x`,
    /// `[c]`, detached.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes do not fit together.
    pub fn batch_norm_relu_conv2d(
        self,
        x: &Measured,
        norm: BatchNormParameters<'_>,
        kernel: &Tensor,
        config: Conv2dConfig,
    ) -> Result<(Measured, Moments)> {
        const OP: &str = "batch_norm_relu_conv2d";
        let windows = convolution_windows(OP, &x.output, kernel, config)?;
        per_channel(OP, &x.output, &[norm.gamma, norm.beta], None)?;
        let Some(moments) = x.moments.as_ref().filter(|_| self != Self::Composite) else {
            let normal = self.batch_norm_training_measured(x, norm, Activation::Relu, None)?;
            let output = self.conv2d_measured(&normal.output, kernel, config)?;
            let (mean, variance) = (normal.mean, normal.variance);
            return Ok((output, Moments { mean, variance }));
        };
        let (output, measured) = fused::batch_norm_relu_conv2d(
            (&x.output, moments),
            (norm.gamma, norm.beta),
            norm.epsilon,
            kernel,
            &windows,
        )?;
        let output = Measured {
            output,
            moments: measured,
        };
        Ok((output, Moments::of(moments)?))
    }

    /// `act(conv2d(x) scale + shift + residual)` with a batch norm in inference form folded
    /// into scale and shift. The fused form does it in one pass where no gradient is
    /// wanted.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes do not fit together.
    #[allow(clippy::too_many_arguments)]
    pub fn conv2d_batch_norm_inference(
        self,
        x: &Tensor,
        kernel: &Tensor,
        config: Conv2dConfig,
        norm: BatchNormParameters<'_>,
        (moving_mean, moving_variance): (&Tensor, &Tensor),
        activation: Activation,
        residual: Option<&Tensor>,
    ) -> Result<Tensor> {
        const OP: &str = "conv2d_batch_norm_inference";
        let windows = convolution_windows(OP, x, kernel, config)?;
        let BatchNormParameters {
            gamma,
            beta,
            epsilon,
        } = norm;
        let tracked = [x, kernel, gamma, beta, moving_mean, moving_variance]
            .into_iter()
            .chain(residual)
            .any(Tensor::track_op);
        if tracked || !self.is_fused(OP, x)? {
            let y = self.conv2d(x, kernel, config)?;
            return self.batch_norm_inference(
                &y,
                gamma,
                beta,
                moving_mean,
                moving_variance,
                epsilon,
                activation,
                residual,
            );
        }
        let outputs = kernel.dim(3)?;
        for vector in [gamma, beta, moving_mean, moving_variance] {
            if vector.dims() != [outputs] {
                return Err(Error::shape(
                    OP,
                    format!("vectors [{outputs}]"),
                    vector.dims(),
                ));
            }
        }
        let expected = [
            x.dim(0)?,
            windows.rows.output,
            windows.columns.output,
            outputs,
        ];
        if let Some(residual) = residual.filter(|residual| residual.dims() != expected) {
            return Err(Error::shape(
                OP,
                format!("a residual {expected:?}"),
                residual.dims(),
            ));
        }
        let (scale, shift) = inference_factors(norm, moving_mean, moving_variance)?;
        let factors = (&scale, &shift);
        fused::conv2d_affine(x, kernel, &windows, factors, activation, residual)
    }

    /// [`batch_norm_training`](crate::batch_norm_training) in this form.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes do not fit together.
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
        self.batch_norm_training_measured(&x.clone().into(), norm, activation, residual)
    }

    /// [`batch_norm_training`](crate::batch_norm_training) of an output whose moments may be
    /// known already, in this form.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes do not fit together.
    pub fn batch_norm_training_measured(
        self,
        x: &Measured,
        norm: BatchNormParameters<'_>,
        activation: Activation,
        residual: Option<&Tensor>,
    ) -> Result<BatchNormTraining> {
        const OP: &str = "batch_norm_training";
        let BatchNormParameters {
            gamma,
            beta,
            epsilon,
        } = norm;
        let Measured { output: x, moments } = x;
        per_channel(OP, x, &[gamma, beta], residual)?;
        match self.is_fused(OP, x)? {
            true => {
                let moments = moments.as_ref();
                let factors = (gamma, beta);
                fused::batch_norm_training(x, moments, factors, epsilon, activation, residual)
            }
            false => composite::batch_norm_training(x, gamma, beta, epsilon, activation, residual),
        }
    }

    /// [`batch_norm_inference`](crate::batch_norm_inference) in this form.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes do not fit together.
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
        const OP: &str = "batch_norm_inference";
        per_channel(
            OP,
            x,
            &[gamma, beta, moving_mean, moving_variance],
            residual,
        )?;
        let norm = BatchNormParameters {
            gamma,
            beta,
            epsilon,
        };
        let (scale, shift) = inference_factors(norm, moving_mean, moving_variance)?;
        match self.is_fused(OP, x)? {
            true => fused::affine_channels(x, &scale, &shift, activation, residual),
            false => composite::affine_channels(x, &scale, &shift, activation, residual),
        }
    }

    /// [`relu`](crate::relu) in this form.
    ///
    /// # Errors
    /// None of its own.
    pub fn relu(self, x: &Tensor) -> Result<Tensor> {
        match self.is_fused("relu", x)? {
            true => fused::relu(x),
            false => composite::relu(x),
        }
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
        const OP: &str = "max_pool2d";
        let (_, h, w, _) = rank4(OP, x)?;
        let windows = Windows::new(OP, (h, w), window, stride, padding)?;
        windows.check_not_all_padding(OP)?;
        match self.is_fused(OP, x)? {
            true => fused::max_pool2d(x, &windows),
            false => composite::max_pool2d(x, &windows),
        }
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
        const OP: &str = "average_pool2d";
        let (_, h, w, _) = rank4(OP, x)?;
        let windows = Windows::new(OP, (h, w), window, stride, padding)?;
        windows.check_not_all_padding(OP)?;
        match self.is_fused(OP, x)? {
            true => fused::average_pool2d(x, &windows, divisor),
            false => composite::average_pool2d(x, &windows, divisor),
        }
    }

    /// [`global_average_pool`](crate::global_average_pool) in this form.
    ///
    /// # Errors
    /// [`Error::Shape`] if the input is not `[n, h, w, c]`.
    pub fn global_average_pool(self, x: &Tensor) -> Result<Tensor> {
        const OP: &str = "global_average_pool";
        rank4(OP, x)?;
        match self.is_fused(OP, x)? {
            true => fused::global_average_pool(x),
            false => composite::global_average_pool(x),
        }
    }

    /// [`dense`](crate::dense) in this form.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shapes do not fit together.
    pub fn dense(self, x: &Tensor, kernel: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        const OP: &str = "dense";
        let (&[_, inputs], &[rows, outputs]) = (x.dims(), kernel.dims()) else {
            return Err(Error::shape(
                OP,
                "[n, in] x [in, out]",
                (x.dims(), kernel.dims()),
            ));
        };
        if inputs != rows {
            return Err(Error::shape(
                OP,
                format!("a kernel [{inputs}, out]"),
                kernel.dims(),
            ));
        }
        if let Some(bias) = bias.filter(|bias| bias.dims() != [outputs]) {
            return Err(Error::shape(OP, format!("a bias [{outputs}]"), bias.dims()));
        }
        match self.is_fused(OP, x)? {
            true => fused::dense(x, kernel, bias),
            false => composite::dense(x, kernel, bias),
        }
    }
}

/// Scale and shift of a batch norm with given moments.
fn inference_factors(
    norm: BatchNormParameters<'_>,
    moving_mean: &Tensor,
    moving_variance: &Tensor,
) -> Result<(Tensor, Tensor)> {
    let scale = (norm.gamma / (moving_variance + norm.epsilon)?.sqrt()?)?;
    let shift = (norm.beta - (moving_mean * &scale)?)?;
    Ok((scale, shift))
}

fn convolution_windows(
    op: &'static str,
    x: &Tensor,
    kernel: &Tensor,
    config: Conv2dConfig,
) -> Result<Windows> {
    let (_, h, w, c) = rank4(op, x)?;
    let (kh, kw, inputs, _) = rank4(op, kernel)?;
    if inputs != c {
        let expected = format!("a kernel [h, w, {c}, out] for an input of {c} channels");
        return Err(Error::shape(op, expected, kernel.dims()));
    }
    Windows::new(op, (h, w), (kh, kw), config.stride, config.padding)
}

fn rank4(op: &'static str, x: &Tensor) -> Result<(usize, usize, usize, usize)> {
    match x.dims() {
        &[a, b, c, d] if x.elem_count() > 0 => Ok((a, b, c, d)),
        other => Err(Error::shape(op, "a non-empty tensor of rank 4", other)),
    }
}

fn per_channel(
    op: &'static str,
    x: &Tensor,
    vectors: &[&Tensor],
    residual: Option<&Tensor>,
) -> Result<()> {
    if x.rank() < 2 || x.elem_count() == 0 {
        return Err(Error::shape(
            op,
            "a non-empty input [n, c] or [n, h, w, c]",
            x.dims(),
        ));
    }
    let channels = x.dim(D::Minus1)?;
    if let Some(vector) = vectors.iter().find(|vector| vector.dims() != [channels]) {
        return Err(Error::shape(
            op,
            format!("vectors [{channels}]"),
            vector.dims(),
        ));
    }
    match residual {
        Some(residual) if residual.dims() != x.dims() => Err(Error::shape(
            op,
            format!("a residual {:?}", x.dims()),
            residual.dims(),
        )),
        _ => Ok(()),
    }
}

/// Convolution: `y[n, i, j, o] = Σ x[n, i s + a − p, j s + b − p, c] k[a, b, c, o]`.
///
/// `x` is `[n, h, w, c]`, `kernel` `[kernel_h, kernel_w, c, out]`.
///
/// # Errors
/// [`Error::Shape`] if the shapes do not fit together.
pub fn conv2d(x: &Tensor, kernel: &Tensor, config: Conv2dConfig) -> Result<Tensor> {
    Backend::Auto.conv2d(x, kernel, config)
}

/// Batch norm with the batch's own moments:
/// `y = act(gamma (x − mean) / sqrt(variance + epsilon) + beta + residual)`.
///
/// `x` is `[n, c]` or `[n, h, w, c]`; the variance is the biased one.
///
/// # Errors
/// [`Error::Shape`] if the shapes do not fit together.
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

/// Batch norm with given moments:
/// `y = act(gamma (x − moving_mean) / sqrt(moving_variance + epsilon) + beta + residual)`.
///
/// # Errors
/// [`Error::Shape`] if the shapes do not fit together.
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
/// None of its own.
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
/// [`Error::Shape`] if the shapes do not fit together.
pub fn dense(x: &Tensor, kernel: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    Backend::Auto.dense(x, kernel, bias)
}
