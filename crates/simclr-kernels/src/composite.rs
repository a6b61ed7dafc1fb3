//! Every op made of stock candle ops: any device; f16, bf16, f32 or f64.
//!
//! Only stock ops whose gradients agree with TensorFlow's are used. candle's max-pool (wrong
//! gradient), its ReLU (gradient 1 at zero) and its batch norm (unbiased moving variance) are
//! not among them. Means, variances and averages of half types are computed in f32.

use candle_core::{DType, Tensor};

use crate::Result;
use crate::activation::Activation;
use crate::batch_norm::{BatchNormParameters, BatchStats, widened};
use crate::geometry::{DivisorRule, Span, Windows};
use crate::global_batch_norm::{mean_over_ranks, ranks_in_force};
use crate::precision::Precision;

/// A feature map in the composite form.
#[derive(Debug, Clone)]
pub(crate) struct Map {
    /// In mixed precision bf16, where the map is a result of an op.
    pub(crate) numbers: Tensor,
    /// The type of the tensors that it comes from and becomes.
    pub(crate) dtype: DType,
    /// Of maps of f32 tensors; others are computed in the type that they have.
    precision: Precision,
}

impl Map {
    /// The map that a tensor is.
    pub(crate) fn new(tensor: &Tensor) -> Result<Self> {
        let dtype = tensor.dtype();
        let precision = match dtype {
            DType::F32 => Precision::in_force()?,
            _ => Precision::Single,
        };
        let numbers = tensor.clone();
        Ok(Self {
            numbers,
            dtype,
            precision,
        })
    }

    /// A map of other numbers.
    pub(crate) fn with(&self, numbers: Tensor) -> Self {
        Self { numbers, ..*self }
    }

    /// The map as a tensor of the type that it comes from.
    pub(crate) fn tensor(&self) -> Result<Tensor> {
        Ok(self.numbers.to_dtype(self.dtype)?)
    }

    /// Convolution, with the factors and results that the precision stands for.
    pub(crate) fn conv2d(&self, kernel: &Tensor, windows: &Windows) -> Result<Self> {
        let (inputs, outputs) = (kernel.dim(2)?, kernel.dim(3)?);
        let stride = windows.columns.stride;
        let number = |is_rounded| if is_rounded { DType::BF16 } else { self.dtype };
        let factors = number(self.precision.has_bfloat16_factors(inputs, outputs, stride));
        let result = number(self.precision.has_bfloat16_results(outputs));
        let (x, kernel) = (self.numbers.to_dtype(factors)?, kernel.to_dtype(factors)?);
        // In f32 rounded factors are what they were, and the result is not rounded.
        let y = if result == DType::BF16 {
            conv2d(&x, &kernel, windows)?
        } else {
            conv2d(&x.to_dtype(result)?, &kernel.to_dtype(result)?, windows)?
        };
        Ok(self.with(y.to_dtype(result)?))
    }
}

/// Convolution of factors of one type, which the result has, too.
fn conv2d(x: &Tensor, kernel: &Tensor, windows: &Windows) -> Result<Tensor> {
    #[cfg(feature = "cudnn")]
    if crate::cudnn::suits(x) {
        return crate::cudnn::conv2d(x, kernel, windows);
    }
    let (inputs, outputs) = (kernel.dim(2)?, kernel.dim(3)?);
    let padded = pad_with_zeros(x, windows)?;
    let taps = taps(&padded, windows)?;
    let columns = if taps.len() == 1 {
        taps[0].clone()
    } else {
        Tensor::cat(&taps, 3)?
    };
    let (n, h, w, depth) = columns.dims4()?;
    let kernel = kernel.reshape((taps.len() * inputs, outputs))?;
    let columns = columns.contiguous()?.reshape((n * h * w, depth))?;
    let y = product(&columns, &kernel)?;
    Ok(y.reshape((n, h, w, outputs))?)
}

/// The matrix product of factors of one type, which the result has, too.
fn product(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    // On the CPU candle multiplies no bf16. As f32 these are the same factors, and sums are f32
    // everywhere.
    if x.dtype() == DType::BF16 && x.device().is_cpu() {
        let product = widened(x)?.matmul(&widened(y)?)?;
        return Ok(product.to_dtype(DType::BF16)?);
    }
    Ok(x.matmul(y)?)
}

/// The output, and the statistics of the channels.
pub(crate) fn batch_norm_training(
    x: &Tensor,
    norm: BatchNormParameters<'_>,
    activation: Activation,
    residual: Option<&Tensor>,
) -> Result<(Tensor, BatchStats)> {
    let wide = widened(x)?;
    let mean = over_ranks(channel_mean(&wide)?, &wide)?;
    let centred = wide.broadcast_sub(&mean)?;
    let variance = over_ranks(channel_mean(&centred.sqr()?)?, &wide)?;
    let scale = (widened(norm.gamma)? / (&variance + norm.epsilon)?.sqrt()?)?;
    let y = centred
        .broadcast_mul(&scale)?
        .broadcast_add(&widened(norm.beta)?)?;
    let output = activate(y, activation, residual)?.to_dtype(x.dtype())?;
    let stats = BatchStats {
        mean: mean.detach(),
        variance: variance.detach(),
    };
    Ok((output, stats))
}

/// The mean over all axes but the last, one axis after the other: short sums lose less to
/// rounding than a long one, and pre-activations near zero keep their sign.
fn channel_mean(x: &Tensor) -> Result<Tensor> {
    let mut mean = x.clone();
    while mean.rank() > 1 {
        mean = mean.mean(mean.rank() - 2)?;
    }
    Ok(mean)
}

/// The mean of the means of all ranks, where batch norm is global, from that of the pixels of `x`.
fn over_ranks(mean: Tensor, x: &Tensor) -> Result<Tensor> {
    match ranks_in_force() {
        None => Ok(mean),
        Some(ranks) => mean_over_ranks(&mean, x.elem_count() / mean.elem_count(), ranks),
    }
}

pub(crate) fn affine_channels(
    x: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    activation: Activation,
    residual: Option<&Tensor>,
) -> Result<Tensor> {
    let y = widened(x)?
        .broadcast_mul(&widened(scale)?)?
        .broadcast_add(&widened(shift)?)?;
    Ok(activate(y, activation, residual)?.to_dtype(x.dtype())?)
}

/// `act(y + residual)`, for a `y` in a wide type.
fn activate(y: Tensor, activation: Activation, residual: Option<&Tensor>) -> Result<Tensor> {
    let y = match residual {
        Some(residual) => (y + widened(residual)?)?,
        None => y,
    };
    match activation {
        Activation::Identity => Ok(y),
        Activation::Relu => relu(&y),
    }
}

pub(crate) fn relu(x: &Tensor) -> Result<Tensor> {
    let zeros = x.zeros_like()?;
    let passes = (x.gt(&zeros)? + is_nan(x)?)?;
    Ok(passes.where_cond(x, &zeros)?)
}

fn is_nan(x: &Tensor) -> Result<Tensor> {
    Ok(x.ne(x)?)
}

pub(crate) fn max_pool2d(x: &Tensor, windows: &Windows) -> Result<Tensor> {
    // Padding never wins, and outputs are inputs bit for bit. `where` sends the gradient to
    // the first of several equal maxima, as TensorFlow does.
    let Windows { rows, columns } = windows;
    let padded = pad_with_lowest(x, 1, rows.before, rows.after)?;
    let padded = pad_with_lowest(&padded, 2, columns.before, columns.after)?;
    let mut taps = taps(&padded, windows)?.into_iter();
    let mut highest = match taps.next() {
        Some(first) => first,
        None => return Ok(x.clone()),
    };
    for tap in taps {
        let (tap, best) = (tap.contiguous()?, highest.contiguous()?);
        let wins = (tap.gt(&best)? + is_nan(&tap)?)?;
        highest = wins.where_cond(&tap, &best)?;
    }
    Ok(highest)
}

/// Minus infinity at both ends of an axis.
fn pad_with_lowest(x: &Tensor, axis: usize, before: usize, after: usize) -> Result<Tensor> {
    let padding = |count: usize| {
        let mut shape = x.dims().to_vec();
        shape[axis] = count;
        Tensor::full(f32::NEG_INFINITY, shape, x.device())?.to_dtype(x.dtype())
    };
    Ok(match (before, after) {
        (0, 0) => x.clone(),
        (0, after) => Tensor::cat(&[x, &padding(after)?], axis)?,
        (before, 0) => Tensor::cat(&[&padding(before)?, x], axis)?,
        (before, after) => Tensor::cat(&[&padding(before)?, x, &padding(after)?], axis)?,
    })
}

pub(crate) fn average_pool2d(
    x: &Tensor,
    windows: &Windows,
    divisor: DivisorRule,
) -> Result<Tensor> {
    let wide = widened(x)?;
    let sum = window_sum(&wide, windows)?;
    let mean = match divisor {
        DivisorRule::CountPadding => {
            let area = windows.rows.window * windows.columns.window;
            (sum / area as f64)?
        }
        DivisorRule::ExcludePadding => {
            let (_, h, w, _) = x.dims4()?;
            let ones = Tensor::ones((1, h, w, 1), wide.dtype(), x.device())?;
            sum.broadcast_div(&window_sum(&ones, windows)?)?
        }
    };
    Ok(mean.to_dtype(x.dtype())?)
}

pub(crate) fn global_average_pool(x: &Tensor) -> Result<Tensor> {
    Ok(widened(x)?.mean((1, 2))?.to_dtype(x.dtype())?)
}

pub(crate) fn dense(x: &Tensor, kernel: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let y = product(x, kernel)?;
    match bias {
        Some(bias) => Ok(y.broadcast_add(bias)?),
        None => Ok(y),
    }
}

fn window_sum(x: &Tensor, windows: &Windows) -> Result<Tensor> {
    let taps = taps(&pad_with_zeros(x, windows)?, windows)?;
    Ok(Tensor::stack(&taps, 0)?.sum(0)?)
}

fn pad_with_zeros(x: &Tensor, windows: &Windows) -> Result<Tensor> {
    let x = x.pad_with_zeros(1, windows.rows.before, windows.rows.after)?;
    Ok(x.pad_with_zeros(2, windows.columns.before, windows.columns.after)?)
}

/// One strided view of the padded map per position in the window, row by row.
fn taps(padded: &Tensor, windows: &Windows) -> Result<Vec<Tensor>> {
    let mut taps = Vec::with_capacity(windows.rows.window * windows.columns.window);
    for row in 0..windows.rows.window {
        let rows = strided(padded, 1, row, &windows.rows)?;
        for column in 0..windows.columns.window {
            taps.push(strided(&rows, 2, column, &windows.columns)?);
        }
    }
    Ok(taps)
}

fn strided(x: &Tensor, axis: usize, offset: usize, span: &Span) -> Result<Tensor> {
    if span.stride == 1 {
        return Ok(x.narrow(axis, offset, span.output)?);
    }
    let positions: Vec<u32> = (0..span.output)
        .map(|i| (offset + i * span.stride) as u32)
        .collect();
    Ok(x.contiguous()?
        .index_select(&Tensor::new(positions, x.device())?, axis)?)
}
