//! Softmax cross-entropy with class labels.

use candle_core::{CpuStorage, CustomOp1, D, DType, Layout, Shape, Tensor};

use crate::tensors::{as_f32_slice, is_fused, to_full_precision};
use crate::{Error, Result};

const LOSS: &str = "cross-entropy";

/// The mean over the batch of `-ln softmax(logits)[label]`.
///
/// `logits` is `[n, classes]` of a floating-point type, `labels` `[n]` of an integer type; the
/// result is a scalar, differentiable with respect to the logits: f64 for logits in f64 and f32
/// otherwise. For a classifier trained beside the contrastive loss, detach what its logits are
/// computed from.
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
/// Shapes and element types that do not fit, an empty batch, a label that names no class.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let (rows, classes) = match *logits.dims() {
        [rows, classes] if rows > 0 && classes > 0 => (rows, classes),
        _ => return shape_error("logits [samples, classes], both at least 1", logits),
    };
    if labels.dims() != [rows] {
        return shape_error(&format!("{rows} labels"), labels);
    }
    let logits = to_full_precision(LOSS, logits)?;
    if !labels.dtype().is_int() {
        return Err(Error::DType {
            loss: LOSS,
            expected: "labels of an integer type".to_owned(),
            found: labels.dtype(),
        });
    }
    let class = |(sample, label): (usize, i64)| match u32::try_from(label) {
        Ok(class) if (class as usize) < classes => Ok(class),
        _ => Err(Error::Label {
            loss: LOSS,
            sample,
            label,
            classes,
        }),
    };
    let labels = labels.to_dtype(DType::I64)?.to_vec1()?;
    let labels = labels.into_iter().enumerate().map(class);
    let labels = labels.collect::<Result<Vec<u32>>>()?;
    if is_fused(&logits) {
        return Ok(logits.contiguous()?.apply_op1(Fused { labels })?);
    }
    let labels = Tensor::new(labels, logits.device())?.unsqueeze(1)?;
    let target = log_softmax(&logits)?.gather(&labels, 1)?;
    Ok(target.mean_all()?.neg()?)
}

fn shape_error<T>(expected: &str, tensor: &Tensor) -> Result<T> {
    Err(Error::Shape {
        loss: LOSS,
        expected: expected.to_owned(),
        found: tensor.dims().to_vec(),
    })
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
        LOSS
    }

    fn cpu_fwd(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let logits = as_f32_slice(LOSS, storage, layout)?;
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
        let mut gradient = as_f32_slice(self.name(), storage, layout)?.to_vec();
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
