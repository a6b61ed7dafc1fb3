//! The public surface: sizes are checked here, once, and the form is chosen.

use candle_core::{D, DType, Tensor};

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
        let (_, h, w, c) = rank4(OP, x)?;
        let (kh, kw, inputs, _) = rank4(OP, kernel)?;
        if inputs != c {
            let expected = format!("a kernel [h, w, {c}, out] for an input of {c} channels");
            return Err(Error::shape(OP, expected, kernel.dims()));
        }
        let windows = Windows::new(OP, (h, w), (kh, kw), config.stride, config.padding)?;
        match self.is_fused(OP, x)? {
            true => fused::conv2d(x, kernel, &windows),
            false => composite::conv2d(x, kernel, &windows),
        }
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
        const OP: &str = "batch_norm_training";
        per_channel(OP, x, &[gamma, beta], residual)?;
        match self.is_fused(OP, x)? {
            true => fused::batch_norm_training(x, gamma, beta, epsilon, activation, residual),
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
        let scale = (gamma / (moving_variance + epsilon)?.sqrt()?)?;
        let shift = (beta - (moving_mean * &scale)?)?;
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
