//! Batch norm: an affine map per channel whose factors follow from the batch itself.

use std::sync::Arc;

use candle_core::{Error as CandleError, Result as CandleResult, Tensor};
use simclr_collective::Collective;

use crate::Result;
use crate::activation::Activation;
use crate::batch_norm::BatchNormParameters;
use crate::fused::affine_gradient::{AffineGradient, Gate};
use crate::fused::map::{Gradient, Map, MapOp, TensorGradients};
use crate::fused::map_buffer::MapBuffer;
use crate::fused::saved::{AffineFormula, BatchNormResult, Saved, SavedForBackward};
use crate::fused::stats::{ChannelStats, stats};
use crate::fused::values::Values;
use crate::global_batch_norm::ranks_in_force;
use crate::simd::{Numbers, SimdLevel};

/// The factors of `y = act(x scale + shift)`, and where they come from.
#[derive(Debug, Clone)]
pub(super) struct Factors {
    pub(super) scale: Vec<f32>,
    pub(super) shift: Vec<f32>,
    /// The channel's mean, or zero: sums are taken about it.
    centre: Vec<f32>,
    /// If the factors follow from the batch's own statistics.
    batch: Option<Batch>,
}

/// Whose statistics the factors follow from.
#[derive(Debug, Clone)]
struct Batch {
    /// `1 / sqrt(variance + epsilon)`.
    inverse_deviation: Vec<f32>,
    /// The number of pixels, those of other ranks included.
    rows: usize,
    /// Those whose batches count, if there are others.
    ranks: Option<Arc<dyn Collective>>,
}

/// Statistics that a batch norm uses, over the batches of all ranks where it is global.
pub(super) struct NormStats {
    pub(super) channels: Arc<ChannelStats>,
    rows: usize,
    ranks: Option<Arc<dyn Collective>>,
}

impl NormStats {
    pub(super) fn of(x: &Map) -> Result<Self> {
        let own = stats_of(x)?;
        let rows = x.dims[..3].iter().product();
        let Some(ranks) = ranks_in_force() else {
            return Ok(Self {
                channels: own,
                rows,
                ranks: None,
            });
        };
        let (channels, rows) = own.over_ranks(rows, ranks.as_ref())?;
        Ok(Self {
            channels: Arc::new(channels),
            rows,
            ranks: Some(ranks),
        })
    }
}

impl Factors {
    /// Scale and shift as they are.
    fn given(scale: &Tensor, shift: &Tensor) -> Result<Self> {
        let scale: Vec<f32> = scale.to_vec1()?;
        Ok(Self {
            centre: vec![0.0; scale.len()],
            scale,
            shift: shift.to_vec1()?,
            batch: None,
        })
    }

    /// From gamma, beta and the batch's statistics.
    pub(super) fn of_stats(norm: BatchNormParameters<'_>, norm_stats: &NormStats) -> Result<Self> {
        let stats = &norm_stats.channels;
        let (gamma, beta): (Vec<f32>, Vec<f32>) = (norm.gamma.to_vec1()?, norm.beta.to_vec1()?);
        let inverse = |&v: &f32| (1.0 / (f64::from(v) + norm.epsilon).sqrt()) as f32;
        let inverse_deviation: Vec<f32> = stats.variance.iter().map(inverse).collect();
        let scale: Vec<f32> = gamma
            .iter()
            .zip(&inverse_deviation)
            .map(|(g, i)| g * i)
            .collect();
        // In f64: far from zero, beta and mean x scale nearly cancel.
        let shift = beta
            .iter()
            .zip(stats.mean.iter().zip(&scale))
            .map(|(&b, (&m, &s))| (f64::from(b) - f64::from(m) * f64::from(s)) as f32)
            .collect();
        Ok(Self {
            scale,
            shift,
            centre: stats.mean.clone(),
            batch: Some(Batch {
                inverse_deviation,
                rows: norm_stats.rows,
                ranks: norm_stats.ranks.clone(),
            }),
        })
    }

    /// The gradients of the two rows of factors (gamma and beta, or scale and shift), and,
    /// in the place of `dy`, what was asked for.
    pub(super) fn backward(
        &self,
        level: SimdLevel,
        x: Numbers<'_>,
        mut dy: MapBuffer,
        gate: Gate<Numbers<'_>>,
        required: Required,
    ) -> CandleResult<FactorGradients> {
        let channels = self.scale.len();
        let gradient = AffineGradient {
            x,
            scale: &self.scale,
            shift: &self.shift,
            centre: &self.centre,
            gate,
        };
        let (mut sums, mut weighted) = gradient.sums(level, dy.numbers());
        let (mut b, mut c) = (vec![0.0; channels], vec![0.0; channels]);
        // Of this rank's batch alone: the gradients of parameters are added up later.
        let mut packed: Vec<f32> = weighted.iter().map(|&w| w as f32).collect();
        packed.extend(sums.iter().map(|&s| s as f32));
        if let Some(batch) = &self.batch {
            for (packed, (weighted, &inverse)) in packed
                .iter_mut()
                .zip(weighted.iter().zip(&batch.inverse_deviation))
            {
                *packed = (weighted * f64::from(inverse)) as f32;
            }
            if let Some(ranks) = &batch.ranks {
                sums.append(&mut weighted);
                ranks.all_reduce(&mut sums).map_err(CandleError::wrap)?;
                weighted = sums.split_off(channels);
            }
            let rows = batch.rows as f64;
            for i in 0..channels {
                let scale = f64::from(self.scale[i]);
                let inverse = f64::from(batch.inverse_deviation[i]);
                b[i] = (-scale * inverse * inverse * weighted[i] / rows) as f32;
                c[i] = (-scale * sums[i] / rows) as f32;
            }
        }
        let factors = [self.scale.as_slice(), &b, &c];
        let (dx, dresidual) = match required {
            Required::Parameters => (None, None),
            Required::Input => {
                gradient.input(level, factors, &mut dy);
                (Some(dy), None)
            }
            Required::InputAndResidual => {
                let dx = gradient.input_and_residual(level, factors, &mut dy);
                (Some(dx), Some(dy))
            }
        };
        Ok(FactorGradients {
            dx,
            dresidual,
            packed,
        })
    }
}

/// Which gradients are required.
#[derive(Debug, Clone, Copy)]
pub(super) enum Required {
    Parameters,
    Input,
    InputAndResidual,
}

pub(super) struct FactorGradients {
    pub(super) dx: Option<MapBuffer>,
    pub(super) dresidual: Option<MapBuffer>,
    pub(super) packed: Vec<f32>,
}

/// `act(x scale + shift + residual)`.
struct AffineOp {
    activation: Activation,
    factors: Factors,
    x: SavedForBackward,
    dx: Gradient,
    dresidual: Option<Gradient>,
    /// The result, which tells where the activation was open, if the input alone does not.
    y: Option<SavedForBackward>,
}

impl MapOp for AffineOp {
    const NAME: &'static str = "batch-norm";

    fn backward(&self, dy: MapBuffer, requires_grad: [bool; 3]) -> CandleResult<TensorGradients> {
        let [input, parameters, residual] = requires_grad;
        let required = match (residual, input) {
            (true, _) => Required::InputAndResidual,
            (false, true) => Required::Input,
            (false, false) => Required::Parameters,
        };
        let x = self.x.get()?;
        let y = self.y.as_ref().map(SavedForBackward::get).transpose()?;
        let backward = |gate: Gate<Numbers<'_>>| {
            x.lend(|x| self.factors.backward(self.dx.level, x, dy, gate, required))?
        };
        let gradients = match (self.activation, &y) {
            (Activation::Identity, _) => backward(Gate::Open),
            (Activation::Relu, None) => backward(Gate::Input),
            (Activation::Relu, Some(y)) => y.lend(|y| backward(Gate::Output(y)))?,
        }?;
        if let (true, Some(dx)) = (input, gradients.dx) {
            self.dx.add(dx);
        }
        if let (Some(dresidual), Some(gradient)) = (gradients.dresidual, &self.dresidual) {
            gradient.add(dresidual);
        }
        Ok([None, parameters.then_some(gradients.packed), None])
    }
}

fn apply(
    x: &Map,
    (first, second): (&Tensor, &Tensor),
    factors: Factors,
    activation: Activation,
    residual: Option<&Map>,
) -> Result<Map> {
    let formula = AffineFormula {
        level: x.options.level,
        format: x.format(),
        scale: factors.scale.clone(),
        shift: factors.shift.clone(),
        activation,
    };
    let y = formula.apply(&x.values, residual.map(|residual| &residual.values))?;
    let y = Arc::new(y);
    let result = BatchNormResult::new(&y, formula, x.saved(), residual.map(Map::saved));
    let result = Arc::new(result);
    let is_gated_by_result = activation == Activation::Relu && residual.is_some();
    let packed = Tensor::stack(&[first, second], 0)?;
    let op = AffineOp {
        activation,
        factors,
        x: x.saved().into(),
        dx: x.gradient(),
        dresidual: residual.map(Map::gradient),
        y: is_gated_by_result.then(|| Saved::BatchNorm(Arc::clone(&result)).into()),
    };
    let y = Values::Buffer(y);
    let y = match residual {
        None => x.result_of(op, &[&packed], x.dims, y),
        Some(residual) => x.result_of(op, &[&packed, residual.graph_node()], x.dims, y),
    }?;
    Ok(y.with_batch_norm(result))
}

pub(crate) fn affine_channels(
    x: &Map,
    scale: &Tensor,
    shift: &Tensor,
    activation: Activation,
    residual: Option<&Map>,
) -> Result<Map> {
    let factors = Factors::given(scale, shift)?;
    apply(x, (scale, shift), factors, activation, residual)
}

/// Also returns the statistics of `x`, which are computed unless they are known.
pub(crate) fn batch_norm_training(
    x: &Map,
    norm: BatchNormParameters<'_>,
    activation: Activation,
    residual: Option<&Map>,
) -> Result<(Map, Arc<ChannelStats>)> {
    let stats = NormStats::of(x)?;
    let factors = Factors::of_stats(norm, &stats)?;
    let y = apply(x, (norm.gamma, norm.beta), factors, activation, residual)?;
    Ok((y, stats.channels))
}

/// The statistics of the channels of a map.
fn stats_of(x: &Map) -> Result<Arc<ChannelStats>> {
    if let Some(stats) = &x.stats {
        return Ok(Arc::clone(stats));
    }
    let stats = x
        .values
        .lend(|values| stats(x.options.level, values, x.dims[3]))?;
    Ok(Arc::new(stats))
}
