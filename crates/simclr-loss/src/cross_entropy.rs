//! Softmax cross-entropy with class labels.

use candle_core::{CpuStorage, CustomOp1, D, DType, Layout, Shape, Tensor};

use crate::{Error, Result};

const OPERATION: &str = "cross-entropy";

/// The mean over the batch of `-ln softmax(logits)[label]`.
///
/// `logits` is `[n, classes]`, `labels` `[n]` of an integer type; the result is a
/// scalar, differentiable with respect to the logits. For the classifier trained
/// beside the contrastive loss, detach what its logits are computed from.
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let logits = Tensor::new(&[[2f32, 0., 0.]], &Device::Cpu)?;
/// let loss = simclr_loss::cross_entropy(&logits, &Tensor::new(&[0u32], &Device::Cpu)?)?;
/// let expected = -(2f32.exp() / (2f32.exp() + 2.0)).ln();
/// assert!((loss.to_scalar::<f32>()? - expected).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Shapes that do not fit, an empty batch, a label that names no class.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let (rows, classes) = match *logits.dims() {
        [rows, classes] if rows > 0 && classes > 0 => (rows, classes),
        _ => {
            return Err(shape_error(
                "logits [samples, classes], both at least 1",
                logits,
            ));
        }
    };
    if labels.dims() != [rows] {
        return Err(shape_error(&format!("{rows} labels"), labels));
    }
    let labels: Vec<u32> = labels.to_dtype(DType::U32)?.to_vec1()?;
    if let Some(sample) = labels.iter().position(|&label| label as usize >= classes) {
        return Err(Error::Label {
            operation: OPERATION,
            sample,
            label: labels[sample],
            classes,
        });
    }
    if logits.dtype() == DType::F32 && logits.device().is_cpu() {
        return Ok(logits.contiguous()?.apply_op1(Fused { labels })?);
    }
    composite(logits, labels)
}

fn shape_error(expected: &str, got: &Tensor) -> Error {
    Error::Shape {
        operation: OPERATION,
        expected: expected.to_owned(),
        shape: got.dims().to_vec(),
    }
}

fn composite(logits: &Tensor, labels: Vec<u32>) -> Result<Tensor> {
    let labels = Tensor::new(labels, logits.device())?.unsqueeze(1)?;
    let target = log_softmax(logits)?.gather(&labels, 1)?;
    Ok(target.mean_all()?.neg()?)
}

/// `ln softmax(logits)` over the last dimension.
pub(crate) fn log_softmax(logits: &Tensor) -> candle_core::Result<Tensor> {
    let highest = logits.max_keepdim(D::Minus1)?.detach();
    let shifted = logits.broadcast_sub(&highest)?;
    let log_sum = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
    shifted.broadcast_sub(&log_sum)
}

struct Fused {
    labels: Vec<u32>,
}

impl CustomOp1 for Fused {
    fn name(&self) -> &'static str {
        OPERATION
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let logits = contiguous(storage, layout)?;
        let (rows, classes) = layout.shape().dims2()?;
        let losses = logits.chunks_exact(classes).zip(&self.labels);
        let sum: f64 = losses
            .map(|(row, &label)| {
                let (highest, sum) = softmax_sum(row);
                sum.ln() - f64::from(row[label as usize] - highest)
            })
            .sum();
        let mean = (sum / rows as f64) as f32;
        Ok((CpuStorage::F32(vec![mean]), Shape::from(())))
    }

    fn bwd(
        &self,
        logits: &Tensor,
        _loss: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        let scale = gradient.to_scalar::<f32>()? / logits.dim(0)? as f32;
        let labels = self.labels.clone();
        let gradient = logits
            .detach()
            .apply_op1_no_bwd(&FusedGradient { labels, scale })?;
        Ok(Some(gradient))
    }
}

/// `scale * (softmax(logits) - one_hot(label))`.
struct FusedGradient {
    labels: Vec<u32>,
    scale: f32,
}

impl CustomOp1 for FusedGradient {
    fn name(&self) -> &'static str {
        "cross-entropy-gradient"
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (_, classes) = layout.shape().dims2()?;
        let mut gradient = contiguous(storage, layout)?.to_vec();
        for (row, &label) in gradient.chunks_exact_mut(classes).zip(&self.labels) {
            let (highest, sum) = softmax_sum(row);
            let weight = (f64::from(self.scale) / sum) as f32;
            for value in row.iter_mut() {
                *value = (*value - highest).exp() * weight;
            }
            row[label as usize] -= self.scale;
        }
        Ok((CpuStorage::F32(gradient), layout.shape().clone()))
    }
}

/// The highest logit of a row, and the sum of `exp(logit - highest)`.
fn softmax_sum(row: &[f32]) -> (f32, f64) {
    let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum = row.iter().map(|&value| f64::from((value - highest).exp()));
    (highest, sum.sum())
}

fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    let (start, end) = layout
        .contiguous_offsets()
        .ok_or_else(|| candle_core::Error::RequiresContiguous { op: OPERATION }.bt())?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}
