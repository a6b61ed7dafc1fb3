//! Batch norm whose statistics are those of the batches of several ranks.

use std::cell::RefCell;
use std::sync::Arc;

use candle_core::{
    CpuStorage, CustomOp1, Device, Error as CandleError, Layout, Result as CandleResult, Shape,
    Tensor,
};
use simclr_collective::Collective;

use crate::Result;

thread_local! {
    static RANKS: RefCell<Option<Arc<dyn Collective>>> = const { RefCell::new(None) };
}

/// Puts the enclosing scope's ranks back, also after a panic.
struct Restore(Option<Arc<dyn Collective>>);

impl Drop for Restore {
    fn drop(&mut self) {
        RANKS.set(self.0.take());
    }
}

/// Runs `work`, in which the statistics of batch norms in training form are those of the batches
/// of all ranks together, as if one rank had all of it: the original's `global_bn`.
///
/// All ranks compute the same ops in the same order, in the backward pass too, wherever that
/// runs. Gradients of gamma and beta are those of a rank's own batch: as those of other
/// parameters, they remain to be added up over ranks. Sums are formed in rank order.
///
/// ```
/// use simclr_collective::run_threads;
/// use simclr_kernels::candle_core::{DType, Device, Result, Tensor};
/// use simclr_kernels::{Activation, BatchNormParameters, batch_norm_training, with_global_batch_norm};
///
/// let means = run_threads(2, |ranks| -> Result<Vec<f32>> {
///     let x = Tensor::full(ranks.rank() as f32, (2, 3), &Device::Cpu)?;
///     let (gamma, beta) = (Tensor::ones(3, DType::F32, &Device::Cpu)?, x.get(0)?.zeros_like()?);
///     let norm = BatchNormParameters { gamma: &gamma, beta: &beta, epsilon: 1e-5 };
///     let (_, stats) = with_global_batch_norm(ranks, || {
///         batch_norm_training(&x, norm, Activation::Identity, None).unwrap()
///     });
///     stats.mean.to_vec1()
/// });
/// assert!(means.into_iter().all(|mean| mean.unwrap() == [0.5; 3]));
/// ```
pub fn with_global_batch_norm<R>(ranks: Arc<dyn Collective>, work: impl FnOnce() -> R) -> R {
    as_in_force((ranks.size() > 1).then_some(ranks), work)
}

/// Runs `work` with the ranks that were in force elsewhere.
pub(crate) fn as_in_force<R>(ranks: Option<Arc<dyn Collective>>, work: impl FnOnce() -> R) -> R {
    let _restore = Restore(RANKS.replace(ranks));
    work()
}

/// The ranks whose batches count for batch norms on this thread, if there are several.
pub(crate) fn ranks_in_force() -> Option<Arc<dyn Collective>> {
    RANKS.with_borrow(Clone::clone)
}

/// The mean over the rows of all ranks, from the mean `[c]` over `rows` of this rank.
pub(crate) fn mean_over_ranks(
    mean: &Tensor,
    rows: usize,
    ranks: Arc<dyn Collective>,
) -> Result<Tensor> {
    let counts = ranks.all_gather(&[rows as f64])?;
    let share = rows as f64 / counts.iter().sum::<f64>();
    let op = MeanOverRanks { share, ranks };
    let mean_of_all = mean.to_device(&Device::Cpu)?.contiguous()?.apply_op1(op)?;
    Ok(mean_of_all.to_device(mean.device())?)
}

/// The sum over ranks of each one's share of the rows times its vector; f32 or f64 on the CPU.
struct MeanOverRanks {
    share: f64,
    ranks: Arc<dyn Collective>,
}

impl MeanOverRanks {
    fn sum(&self, mut terms: Vec<f64>) -> CandleResult<Vec<f64>> {
        self.ranks
            .all_reduce(&mut terms)
            .map_err(CandleError::wrap)?;
        Ok(terms)
    }
}

impl CustomOp1 for MeanOverRanks {
    fn name(&self) -> &'static str {
        "mean-over-ranks"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> CandleResult<(CpuStorage, Shape)> {
        let own = layout.start_offset()..layout.start_offset() + layout.shape().elem_count();
        let sum = match storage {
            CpuStorage::F32(values) => {
                let terms = values[own]
                    .iter()
                    .map(|&value| f64::from(value) * self.share);
                let sum = self.sum(terms.collect())?;
                CpuStorage::F32(sum.into_iter().map(|value| value as f32).collect())
            }
            CpuStorage::F64(values) => {
                let terms = values[own].iter().map(|value| value * self.share);
                CpuStorage::F64(self.sum(terms.collect())?)
            }
            _ => return Err(CandleError::msg("means of f32 or f64 are expected")),
        };
        Ok((sum, layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, dy: &Tensor) -> CandleResult<Option<Tensor>> {
        let of_all = self.sum(dy.to_dtype(candle_core::DType::F64)?.to_vec1()?)?;
        let gradient = (Tensor::new(of_all, &Device::Cpu)? * self.share)?;
        Ok(Some(gradient.to_dtype(x.dtype())?))
    }
}
