//! Mean and variance of each channel.

use std::ops::Range;

use candle_core::{Device, Result as CandleResult, Tensor};
use rayon::prelude::*;
use simclr_collective::Collective;

use super::chunks::{SHORT_SUM, chunk_len, move_into};
use crate::batch_norm::BatchStats;
use crate::simd::{Numbers, SimdLevel, fn_per_level};

/// Statistics of some channels over the pixels of a block.
#[derive(Debug, Clone)]
pub(super) struct PartialStats<T = f32> {
    pub(super) channels: Range<usize>,
    /// The number of pixels.
    pub(super) count: usize,
    /// Their mean.
    pub(super) mean: Vec<T>,
    /// The sum of the squared distances from that mean.
    pub(super) squares: Vec<T>,
}

impl PartialStats {
    /// To be filled, a panel of channels after the other.
    pub(super) fn new(channels: Range<usize>, count: usize) -> Self {
        Self {
            channels,
            count,
            mean: Vec::new(),
            squares: Vec::new(),
        }
    }
}

/// Mean and biased variance of each channel.
#[derive(Debug, Clone, Default)]
pub(crate) struct ChannelStats {
    pub(crate) mean: Vec<f32>,
    pub(crate) variance: Vec<f32>,
}

impl ChannelStats {
    /// As tensors.
    pub(crate) fn to_tensors(&self) -> CandleResult<BatchStats> {
        Ok(BatchStats {
            mean: Tensor::new(self.mean.as_slice(), &Device::Cpu)?,
            variance: Tensor::new(self.variance.as_slice(), &Device::Cpu)?,
        })
    }

    /// Combines the statistics of parts in f64 (Chan, Golub and LeVeque 1983).
    pub(super) fn combine<T: Into<f64> + Copy>(
        partials: &[PartialStats<T>],
        channels: usize,
    ) -> Self {
        let mut count = vec![0f64; channels];
        let mut mean = vec![0f64; channels];
        let mut squares = vec![0f64; channels];
        for part in partials {
            let added = part.count as f64;
            for (c, (&part_mean, &part_squares)) in part
                .channels
                .clone()
                .zip(part.mean.iter().zip(&part.squares))
            {
                let total = count[c] + added;
                let delta = part_mean.into() - mean[c];
                mean[c] += delta * added / total;
                squares[c] += part_squares.into() + delta * delta * count[c] * added / total;
                count[c] = total;
            }
        }
        Self {
            mean: mean.iter().map(|&m| m as f32).collect(),
            variance: squares
                .iter()
                .zip(&count)
                .map(|(&s, &n)| (s / n) as f32)
                .collect(),
        }
    }

    /// Of the batches of all ranks, in rank order, from those of `count` pixels of this rank; and
    /// the number of pixels of all.
    pub(super) fn over_ranks(
        &self,
        count: usize,
        ranks: &dyn Collective,
    ) -> Result<(Self, usize), simclr_collective::Error> {
        let channels = self.mean.len();
        let wide = |values: &[f32]| values.iter().copied().map(f64::from).collect::<Vec<_>>();
        let mut own = wide(&self.mean);
        own.extend(wide(&self.variance).iter().map(|v| v * count as f64));
        own.push(count as f64);
        let all = ranks.all_gather(&own)?;
        let partials = all.chunks_exact(own.len()).map(|part| PartialStats {
            channels: 0..channels,
            count: part[2 * channels] as usize,
            mean: part[..channels].to_vec(),
            squares: part[channels..2 * channels].to_vec(),
        });
        let partials: Vec<_> = partials.collect();
        let count = partials.iter().map(|part| part.count).sum();
        Ok((Self::combine(&partials, channels), count))
    }
}

/// Each chunk is centred on its own mean while it is in cache. So data far from zero
/// lose no digits, unlike with E[x²] − E[x]².
pub(super) fn stats(level: SimdLevel, x: Numbers<'_>, channels: usize) -> ChannelStats {
    let size = chunk_len(channels);
    let partials: Vec<PartialStats> = (0..x.len().div_ceil(size))
        .into_par_iter()
        .map(|chunk| {
            let numbers = chunk * size..x.len().min((chunk + 1) * size);
            chunk_stats(level, x.slice(numbers), channels)
        })
        .collect();
    ChannelStats::combine(&partials, channels)
}

fn_per_level! {
    fn chunk_stats<'a>(chunk: Numbers<'a>, channels: usize) -> PartialStats {
        let mut stage = Vec::new();
        let chunk = chunk.read(&mut stage);
        let count = chunk.len() / channels;
        let mut mean = vec![0.0; channels];
        let mut squares = vec![0.0; channels];
        // Sums of distances from the first row: small numbers, whatever the mean.
        let origin = &chunk[..channels];
        let mut few = vec![0.0; channels];
        for rows in chunk.chunks(SHORT_SUM * channels) {
            for row in rows.chunks_exact(channels) {
                for ((sum, &origin), &value) in few.iter_mut().zip(origin).zip(row) {
                    *sum += value - origin;
                }
            }
            move_into(&mut few, &mut mean);
        }
        for (sum, &origin) in mean.iter_mut().zip(origin) {
            *sum = origin + *sum / count as f32;
        }
        for rows in chunk.chunks(SHORT_SUM * channels) {
            for row in rows.chunks_exact(channels) {
                for ((sum, &mean), &value) in few.iter_mut().zip(&mean).zip(row) {
                    *sum += (value - mean) * (value - mean);
                }
            }
            move_into(&mut few, &mut squares);
        }
        PartialStats {
            channels: 0..channels,
            count,
            mean,
            squares,
        }
    }
}
