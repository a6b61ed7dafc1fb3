//! The doors between candle's tensors and the kernels on slices.

mod batch_norm;
mod convolution;
mod pooling;
mod relu;

use candle_core::{
    CpuStorage, Device, Error as CandleError, Layout, Result as CandleResult, Shape, Storage,
    Tensor,
};

pub(crate) use batch_norm::{affine_channels, batch_norm_training};
pub(crate) use convolution::{
    batch_norm_relu_conv2d, conv2d, conv2d_affine, conv2d_with_moments, dense,
};
pub(crate) use pooling::{average_pool2d, global_average_pool, max_pool2d};
pub(crate) use relu::relu;

type Gradient = CandleResult<Option<Tensor>>;

/// The elements of a contiguous f32 tensor.
fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> CandleResult<&'a [f32]> {
    let (start, end) = layout
        .contiguous_offsets()
        .ok_or_else(|| CandleError::Msg("fused ops take contiguous tensors".into()))?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}

/// Lends the elements of CPU tensors to `work`.
fn lend<const COUNT: usize, R>(
    tensors: [&Tensor; COUNT],
    work: impl FnOnce([&[f32]; COUNT]) -> R,
) -> CandleResult<R> {
    let tensors: Vec<Tensor> = tensors
        .into_iter()
        .map(Tensor::contiguous)
        .collect::<CandleResult<_>>()?;
    let guards: Vec<_> = tensors.iter().map(Tensor::storage_and_layout).collect();
    let mut slices: [&[f32]; COUNT] = [&[]; COUNT];
    for (slot, (storage, layout)) in slices.iter_mut().zip(&guards) {
        *slot = match &**storage {
            Storage::Cpu(storage) => slice(storage, layout)?,
            _ => return Err(CandleError::Msg("fused ops take CPU tensors".into())),
        };
    }
    Ok(work(slices))
}

fn output(values: Vec<f32>, shape: impl Into<Shape>) -> CandleResult<(CpuStorage, Shape)> {
    Ok((CpuStorage::F32(values), shape.into()))
}

fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> CandleResult<Tensor> {
    Tensor::from_vec(values, shape.into(), &Device::Cpu)
}

/// The gradient of an input, unless nobody needs it.
fn wanted(input: &Tensor, gradient: impl FnOnce() -> CandleResult<Vec<f32>>) -> Gradient {
    if !input.track_op() {
        return Ok(None);
    }
    Ok(Some(tensor(gradient()?, input.shape())?))
}
