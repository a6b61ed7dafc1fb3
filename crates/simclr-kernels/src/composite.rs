//! Every op made of stock candle ops: any device, any float type.
//!
//! Only stock ops whose gradients agree with TensorFlow's are used. candle's
//! max-pool (wrong gradient), its ReLU (gradient 1 at zero) and its batch norm
//! (unbiased moving variance) are not among them.

use candle_core::{DType, Tensor};

use crate::geometry::{Span, Windows};
use crate::{Activation, DivisorRule, Result};

pub(crate) fn conv2d(x: &Tensor, kernel: &Tensor, windows: &Windows) -> Result<Tensor> {
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
    let y = columns
        .contiguous()?
        .reshape((n * h * w, depth))?
        .matmul(&kernel)?;
    Ok(y.reshape((n, h, w, outputs))?)
}

/// The output, and the mean and biased variance of each channel.
pub(crate) fn batch_norm_training(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    epsilon: f64,
    activation: Activation,
    residual: Option<&Tensor>,
) -> Result<(Tensor, Tensor, Tensor)> {
    let mean = channel_mean(x)?;
    let centred = x.broadcast_sub(&mean)?;
    let variance = channel_mean(&centred.sqr()?)?;
    let scale = (gamma / (&variance + epsilon)?.sqrt()?)?;
    let y = centred.broadcast_mul(&scale)?.broadcast_add(beta)?;
    let output = activate(y, activation, residual)?;
    Ok((output, mean.detach(), variance.detach()))
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

pub(crate) fn affine_channels(
    x: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    activation: Activation,
    residual: Option<&Tensor>,
) -> Result<Tensor> {
    activate(
        x.broadcast_mul(scale)?.broadcast_add(shift)?,
        activation,
        residual,
    )
}

fn activate(y: Tensor, activation: Activation, residual: Option<&Tensor>) -> Result<Tensor> {
    let y = match residual {
        Some(residual) => (y + residual)?,
        None => y,
    };
    match activation {
        Activation::Identity => Ok(y),
        Activation::Relu => relu(&y),
    }
}

pub(crate) fn relu(x: &Tensor) -> Result<Tensor> {
    let positive = x.gt(&x.zeros_like()?)?;
    Ok(positive.where_cond(x, &x.zeros_like()?)?)
}

pub(crate) fn max_pool2d(x: &Tensor, windows: &Windows) -> Result<Tensor> {
    // Padding never wins: it is lower than anything in the map. `where` sends the
    // gradient to the first of several equal maxima, as TensorFlow does.
    let floor = x
        .detach()
        .flatten_all()?
        .min(0)?
        .to_dtype(DType::F64)?
        .to_scalar::<f64>()?
        - 1.0;
    let padded = (pad_with_zeros(&(x - floor)?, windows)? + floor)?;
    let mut taps = taps(&padded, windows)?.into_iter();
    let mut highest = match taps.next() {
        Some(first) => first,
        None => return Ok(x.clone()),
    };
    for tap in taps {
        let (tap, best) = (tap.contiguous()?, highest.contiguous()?);
        highest = tap.gt(&best)?.where_cond(&tap, &best)?;
    }
    Ok(highest)
}

pub(crate) fn average_pool2d(
    x: &Tensor,
    windows: &Windows,
    divisor: DivisorRule,
) -> Result<Tensor> {
    let area = (windows.rows.window * windows.columns.window) as f64;
    let sum = window_sum(x, windows)?;
    match divisor {
        DivisorRule::CountPadding => Ok((sum / area)?),
        DivisorRule::ExcludePadding => {
            let (_, h, w, _) = x.dims4()?;
            let ones = Tensor::ones((1, h, w, 1), x.dtype(), x.device())?;
            Ok(sum.broadcast_div(&window_sum(&ones, windows)?)?)
        }
    }
}

pub(crate) fn global_average_pool(x: &Tensor) -> Result<Tensor> {
    Ok(x.mean((1, 2))?)
}

pub(crate) fn dense(x: &Tensor, kernel: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let y = x.matmul(kernel)?;
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
