//! NT-Xent of stock candle operations.

use candle_core::{D, DType, Result as CandleResult, Tensor};

use super::mask::NegativeMask;
use super::output::NtXentOutput;
use super::similarity::{ENTROPY_OFFSET, SQUARED_LENGTH_FLOOR, Similarity};
use crate::Result;

/// What the original subtracts from the similarity of a view with itself, and what is subtracted
/// from that of views that are no negatives.
const SELF_MASK: f64 = 1e9;

/// The loss of `local` `[2m, d]` among `all` `[2n, d]`; local image `i` is image `offset + i` of all,
/// whose views a mask is about.
pub(super) fn forward(
    similarity: Similarity,
    local: &Tensor,
    all: &Tensor,
    offset: usize,
    negatives: Option<&NegativeMask>,
) -> Result<NtXentOutput> {
    let (a, b) = views(similarity, local)?;
    let (all_a, all_b) = views(similarity, all)?;
    let (rows, images) = (a.dim(0)?, all_a.dim(0)?);
    let own = own_columns(&a, images, offset)?;
    let mask = (&own * SELF_MASK)?;
    let mut ab = similarities(similarity, &a, &all_b)?;
    let mut ba = similarities(similarity, &b, &all_a)?;
    let mut aa = (similarities(similarity, &a, &all_a)? - &mask)?;
    let mut bb = (similarities(similarity, &b, &all_b)? - &mask)?;
    if let Some(negatives) = negatives {
        for (first, to_a, to_b) in [
            (offset, &mut aa, &mut ab),
            (images + offset, &mut ba, &mut bb),
        ] {
            let masked =
                negatives.to_tensor(first..first + rows, SELF_MASK, a.dtype(), a.device())?;
            *to_a = (&*to_a - masked.narrow(1, 0, images)?)?;
            *to_b = (&*to_b - masked.narrow(1, images, images)?)?;
        }
    }
    let loss_a = cross_entropy(&ab, &aa, &own)?;
    let loss_b = cross_entropy(&ba, &bb, &own)?;
    Ok(NtXentOutput {
        loss: (loss_a + loss_b)?.mean_all()?,
        accuracy: accuracy(&ab.detach(), offset)?,
        entropy: entropy(&ab.detach())?,
    })
}

pub(super) fn contrast_logits(similarity: Similarity, embeddings: &Tensor) -> CandleResult<Tensor> {
    let (a, b) = views(similarity, embeddings)?;
    similarities(similarity, &a, &b)
}

/// First and second views, scaled to unit length if so configured.
fn views(similarity: Similarity, embeddings: &Tensor) -> CandleResult<(Tensor, Tensor)> {
    let embeddings = if similarity.normalize {
        let squared = embeddings.sqr()?.sum_keepdim(1)?;
        let length = squared.maximum(SQUARED_LENGTH_FLOOR)?.sqrt()?;
        embeddings.broadcast_div(&length)?
    } else {
        embeddings.clone()
    };
    let images = embeddings.dim(0)? / 2;
    Ok((
        embeddings.narrow(0, 0, images)?,
        embeddings.narrow(0, images, images)?,
    ))
}

fn similarities(similarity: Similarity, x: &Tensor, y: &Tensor) -> CandleResult<Tensor> {
    x.contiguous()?.matmul(&y.contiguous()?.t()?)? / similarity.temperature
}

/// `[m, n]`, 1 where the column is the row's own image.
fn own_columns(local: &Tensor, images: usize, offset: usize) -> CandleResult<Tensor> {
    let rows = local.dim(0)?;
    let device = local.device();
    let row = Tensor::arange(offset as u32, (offset + rows) as u32, device)?.unsqueeze(1)?;
    let column = Tensor::arange(0u32, images as u32, device)?.unsqueeze(0)?;
    row.broadcast_eq(&column)?.to_dtype(local.dtype())
}

/// Per row, the cross-entropy of the softmax over `[other | same]` with the own
/// column of `other` as the target.
fn cross_entropy(other: &Tensor, same: &Tensor, own: &Tensor) -> CandleResult<Tensor> {
    let logits = Tensor::cat(&[other, same], 1)?;
    let highest = logits.max_keepdim(1)?.detach();
    let log_sum = logits.broadcast_sub(&highest)?.exp()?.sum(1)?.log()?;
    let target = (other.broadcast_sub(&highest)? * own)?.sum(1)?;
    log_sum - target
}

fn accuracy(ab: &Tensor, offset: usize) -> CandleResult<Tensor> {
    let rows = ab.dim(0)?;
    let own = Tensor::arange(offset as u32, (offset + rows) as u32, ab.device())?;
    let hits = ab.argmax(D::Minus1)?.eq(&own)?;
    hits.to_dtype(DType::F32)?.mean_all()?.to_dtype(ab.dtype())
}

fn entropy(ab: &Tensor) -> CandleResult<Tensor> {
    let highest = ab.max_keepdim(1)?;
    let exp = ab.broadcast_sub(&highest)?.exp()?;
    let p = exp.broadcast_div(&exp.sum_keepdim(1)?)?;
    (&p * (&p + ENTROPY_OFFSET)?.log()?)?
        .sum(1)?
        .mean_all()?
        .neg()
}
