//! The ops on tensors: each makes a feature map and applies the op of [`FeatureMap`] to it.

use candle_core::Tensor;

use crate::activation::Activation;
use crate::backend::Backend;
use crate::batch_norm::{BatchNormParameters, BatchStats};
use crate::geometry::{Conv2dConfig, DivisorRule, Padding};
use crate::map::{FeatureMap, check_dtype};
use crate::{Error, Result, composite};

/// Defines each op twice: as a method of [`Backend`], which names the form, and as a function
/// that leaves the choice to [`Backend::Auto`].
macro_rules! ops {
    ($(
        $(#[$attribute:meta])*
        fn $name:ident($backend:ident, $($argument:ident: $type:ty),+ $(,)?) -> $output:ty $body:block
    )+) => {
        impl Backend {
            $(
                $(#[$attribute])*
                pub fn $name(self, $($argument: $type),+) -> $output {
                    let $backend = self;
                    $body
                }
            )+
        }

        $(
            $(#[$attribute])*
            pub fn $name($($argument: $type),+) -> $output {
                Backend::Auto.$name($($argument),+)
            }
        )+
    };
}

ops! {
    /// Convolution: `y[n, i, j, o] = Σ x[n, i s + a − p, j s + b − p, c] k[a, b, c, o]`.
    ///
    /// `x` is `[n, h, w, c]`, `kernel` `[kernel_h, kernel_w, c, out]`.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::DType`] if the tensors do not fit together.
    fn conv2d(backend, x: &Tensor, kernel: &Tensor, config: Conv2dConfig) -> Result<Tensor> {
        FeatureMap::new(x, backend)?
            .conv2d(kernel, config)?
            .into_tensor()
    }

    /// Batch norm with the batch's own statistics, and these:
    /// `y = act(gamma (x − mean) / sqrt(variance + epsilon) + beta + residual)`.
    ///
    /// `x` is `[n, c]` or `[n, h, w, c]`; the variance is the biased one.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::DType`] if the tensors do not fit together.
    fn batch_norm_training(
        backend,
        x: &Tensor,
        norm: BatchNormParameters<'_>,
        activation: Activation,
        residual: Option<&Tensor>,
    ) -> Result<(Tensor, BatchStats)> {
        const OP: &str = "batch_norm_training";
        let (map, residual) = channel_maps(backend, OP, x, residual)?;
        let (y, stats) = map.batch_norm_training(norm, activation, residual.as_ref())?;
        Ok((y.into_tensor()?.reshape(x.shape())?, stats))
    }

    /// Batch norm with given statistics:
    /// `y = act(gamma (x − mean) / sqrt(variance + epsilon) + beta + residual)`.
    ///
    /// `x` is `[n, c]` or `[n, h, w, c]`.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::DType`] if the tensors do not fit together.
    fn batch_norm_inference(
        backend,
        x: &Tensor,
        norm: BatchNormParameters<'_>,
        stats: &BatchStats,
        activation: Activation,
        residual: Option<&Tensor>,
    ) -> Result<Tensor> {
        const OP: &str = "batch_norm_inference";
        let (map, residual) = channel_maps(backend, OP, x, residual)?;
        let y = map.batch_norm_inference(norm, stats, activation, residual.as_ref())?;
        Ok(y.into_tensor()?.reshape(x.shape())?)
    }

    /// `max(x, 0)`, for a tensor of any shape; the gradient at 0 is 0, as in TensorFlow.
    ///
    /// # Errors
    /// [`Error::DType`] for a type that is not floating-point.
    fn relu(backend, x: &Tensor) -> Result<Tensor> {
        backend.is_fused("relu", x)?;
        if x.elem_count() == 0 {
            return Ok(x.clone());
        }
        let flat = x.reshape((1, 1, x.elem_count(), 1))?;
        let y = FeatureMap::new(&flat, backend)?.relu()?.into_tensor()?;
        Ok(y.reshape(x.shape())?)
    }

    /// The maximum of each window of `[n, h, w, c]`; padding counts as minus infinity. The
    /// gradient goes to the first of several equal maxima. NaN is propagated.
    ///
    /// # Errors
    /// [`Error::Shape`] if the window does not fit, or one would see padding only;
    /// [`Error::DType`] for a type that is not floating-point.
    fn max_pool2d(
        backend,
        x: &Tensor,
        window: (usize, usize),
        stride: (usize, usize),
        padding: Padding,
    ) -> Result<Tensor> {
        FeatureMap::new(x, backend)?
            .max_pool2d(window, stride, padding)?
            .into_tensor()
    }

    /// The mean of each window of `[n, h, w, c]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the window does not fit, or one would see padding only;
    /// [`Error::DType`] for a type that is not floating-point.
    fn average_pool2d(
        backend,
        x: &Tensor,
        window: (usize, usize),
        stride: (usize, usize),
        padding: Padding,
        divisor: DivisorRule,
    ) -> Result<Tensor> {
        FeatureMap::new(x, backend)?
            .average_pool2d(window, stride, padding, divisor)?
            .into_tensor()
    }

    /// The mean over each map: `[n, h, w, c]` to `[n, c]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the input is not `[n, h, w, c]`; [`Error::DType`] for a type that
    /// is not floating-point.
    fn global_average_pool(backend, x: &Tensor) -> Result<Tensor> {
        FeatureMap::new(x, backend)?.global_average_pool()
    }

    /// `y = x kernel + bias`: `[n, in]` and `[in, out]` to `[n, out]`.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::DType`] if the tensors do not fit together.
    fn dense(backend, x: &Tensor, kernel: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        const OP: &str = "dense";
        let (&[rows, inputs], &[kernel_rows, outputs]) = (x.dims(), kernel.dims()) else {
            let found = (x.dims(), kernel.dims());
            return Err(Error::shape(OP, "[n, in] x [in, out]", found));
        };
        if inputs != kernel_rows {
            let expected = format!("a kernel [{inputs}, out]");
            return Err(Error::shape(OP, expected, kernel.dims()));
        }
        if let Some(bias) = bias.filter(|bias| bias.dims() != [outputs]) {
            return Err(Error::shape(OP, format!("a bias [{outputs}]"), bias.dims()));
        }
        let is_fused = backend.is_fused(OP, x)?;
        for parameter in [Some(kernel), bias].into_iter().flatten() {
            check_dtype(OP, "a kernel and a bias", parameter, x.dtype())?;
        }
        let is_empty = x.elem_count() == 0 || outputs == 0;
        if !is_fused || is_empty {
            return composite::dense(x, kernel, bias);
        }
        // A dense layer is a 1x1 convolution of maps with one pixel.
        let map = FeatureMap::new(&x.reshape((rows, 1, 1, inputs))?, backend)?;
        let mut y = map.fused_dense(kernel)?;
        if let Some(bias) = bias {
            y = y.affine_channels(&bias.ones_like()?, bias, Activation::Identity, None)?;
        }
        Ok(y.into_tensor()?.reshape((rows, outputs))?)
    }
}

/// `x` and the residual, both `[n, c]` or `[n, h, w, c]`, as maps.
fn channel_maps(
    backend: Backend,
    op: &'static str,
    x: &Tensor,
    residual: Option<&Tensor>,
) -> Result<(FeatureMap, Option<FeatureMap>)> {
    let map = |x: &Tensor| match *x.dims() {
        [n, c] if n * c > 0 => FeatureMap::new(&x.reshape((n, 1, 1, c))?, backend),
        [_, _, _, _] if x.elem_count() > 0 => FeatureMap::new(x, backend),
        _ => {
            let expected = "a non-empty input [n, c] or [n, h, w, c]";
            Err(Error::shape(op, expected, x.dims()))
        }
    };
    if let Some(residual) = residual.filter(|residual| residual.dims() != x.dims()) {
        let expected = format!("a residual {:?}", x.dims());
        return Err(Error::shape(op, expected, residual.dims()));
    }
    Ok((map(x)?, residual.map(map).transpose()?))
}
