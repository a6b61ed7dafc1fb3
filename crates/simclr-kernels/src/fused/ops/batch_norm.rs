//! Batch norm: an affine map per channel whose factors follow from the batch itself.

use std::sync::Arc;

use candle_core::{
    CpuStorage, CustomOp2, CustomOp3, D, Layout, Result as CandleResult, Shape, Tensor,
};

use super::{lend, output, slice, tensor};
use crate::fused::channels::{self, AffineGradient, Gate, Moments};
use crate::simd::SimdLevel;
use crate::{Activation, BatchNormTraining, Result};

/// The factors of `y = act(x scale + shift)`, and where they come from.
#[derive(Debug, Clone)]
pub(super) struct Factors {
    pub(super) scale: Vec<f32>,
    pub(super) shift: Vec<f32>,
    statistics: Option<Statistics>,
}

/// The batch's own moments, and what follows from them.
#[derive(Debug, Clone)]
struct Statistics {
    moments: Arc<Moments>,
    inverse_deviation: Vec<f32>,
}

impl Factors {
    /// Scale and shift as they are.
    fn given(packed: &[f32]) -> Self {
        let (scale, shift) = packed.split_at(packed.len() / 2);
        Self {
            scale: scale.to_vec(),
            shift: shift.to_vec(),
            statistics: None,
        }
    }

    /// From gamma, beta and the batch's moments.
    pub(super) fn of_moments(packed: &[f32], moments: &Arc<Moments>, epsilon: f64) -> Self {
        let (gamma, beta) = packed.split_at(packed.len() / 2);
        let inverse = |&v: &f32| (1.0 / (f64::from(v) + epsilon).sqrt()) as f32;
        let inverse_deviation: Vec<f32> = moments.variance.iter().map(inverse).collect();
        let scale: Vec<f32> = gamma
            .iter()
            .zip(&inverse_deviation)
            .map(|(g, i)| g * i)
            .collect();
        // In f64: far from zero, beta and mean x scale nearly cancel.
        let shift = |((&b, &m), &s): ((&f32, &f32), &f32)| {
            (f64::from(b) - f64::from(m) * f64::from(s)) as f32
        };
        let shift = beta
            .iter()
            .zip(&moments.mean)
            .zip(&scale)
            .map(shift)
            .collect();
        Self {
            scale,
            shift,
            statistics: Some(Statistics {
                moments: Arc::clone(moments),
                inverse_deviation,
            }),
        }
    }

    /// Gradients of x (and of the residual), and of the two packed rows.
    pub(super) fn backward(
        &self,
        level: SimdLevel,
        [x, dy]: [&[f32]; 2],
        gate: Gate<'_>,
        wanted: Wanted,
    ) -> FactorGradients {
        let channels = self.scale.len();
        let zeros;
        let centre = match &self.statistics {
            Some(statistics) => &statistics.moments.mean,
            None => {
                zeros = vec![0.0; channels];
                &zeros
            }
        };
        let gradient = AffineGradient {
            x,
            dy,
            scale: &self.scale,
            shift: &self.shift,
            centre,
            gate,
        };
        let (sums, weighted) = gradient.sums(level);
        let (mut b, mut c) = (vec![0.0; channels], vec![0.0; channels]);
        let mut packed: Vec<f32> = weighted.iter().map(|&w| w as f32).collect();
        if let Some(statistics) = &self.statistics {
            let rows = (x.len() / channels) as f64;
            for i in 0..channels {
                let scale = f64::from(self.scale[i]);
                let inverse = f64::from(statistics.inverse_deviation[i]);
                b[i] = (-scale * inverse * inverse * weighted[i] / rows) as f32;
                c[i] = (-scale * sums[i] / rows) as f32;
                packed[i] = (weighted[i] * inverse) as f32;
            }
        }
        packed.extend(sums.iter().map(|&s| s as f32));
        let (dx, dresidual) = match wanted {
            Wanted::Parameters => (Vec::new(), None),
            Wanted::Input => gradient.input(level, [&self.scale, &b, &c], false),
            Wanted::InputAndResidual => gradient.input(level, [&self.scale, &b, &c], true),
        };
        FactorGradients {
            dx,
            dresidual,
            packed,
        }
    }
}

/// Which gradients somebody needs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    Parameters,
    Input,
    InputAndResidual,
}

pub(super) struct FactorGradients {
    pub(super) dx: Vec<f32>,
    pub(super) dresidual: Option<Vec<f32>>,
    pub(super) packed: Vec<f32>,
}

/// `act(x scale + shift + residual)`; in training, scale and shift follow from
/// gamma, beta and the batch's own moments.
struct Affine {
    level: SimdLevel,
    activation: Activation,
    statistics: Option<(Arc<Moments>, f64)>,
}

impl Affine {
    fn factors(&self, packed: &[f32]) -> Factors {
        match &self.statistics {
            Some((moments, epsilon)) => Factors::of_moments(packed, moments, *epsilon),
            None => Factors::given(packed),
        }
    }

    fn forward(&self, x: &[f32], packed: &[f32], residual: Option<&[f32]>) -> Vec<f32> {
        let factors = self.factors(packed);
        let affine = channels::Affine {
            scale: &factors.scale,
            shift: &factors.shift,
            residual,
            activation: self.activation,
        };
        affine.apply(self.level, x)
    }

    /// Gradients of x, of the two packed rows and of the residual.
    fn backward(
        &self,
        [x, packed, y, dy]: [&Tensor; 4],
        residual: Option<&Tensor>,
    ) -> CandleResult<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let needs_residual = residual.is_some_and(Tensor::track_op);
        let wanted = match (needs_residual, x.track_op()) {
            (true, _) => Wanted::InputAndResidual,
            (false, true) => Wanted::Input,
            (false, false) => Wanted::Parameters,
        };
        let found = lend([x, packed, y, dy], |[x, packed, y, dy]| {
            let gate = match (self.activation, residual) {
                (Activation::Identity, _) => Gate::Open,
                (Activation::Relu, None) => Gate::Input,
                (Activation::Relu, Some(_)) => Gate::Output(y),
            };
            self.factors(packed)
                .backward(self.level, [x, dy], gate, wanted)
        })?;
        Ok((
            if x.track_op() {
                Some(tensor(found.dx, x.shape())?)
            } else {
                None
            },
            if packed.track_op() {
                Some(tensor(found.packed, packed.shape())?)
            } else {
                None
            },
            match found.dresidual {
                Some(values) => Some(tensor(values, x.shape())?),
                None => None,
            },
        ))
    }
}

impl CustomOp2 for Affine {
    fn name(&self) -> &'static str {
        "batch-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        packed: &CpuStorage,
        packed_layout: &Layout,
    ) -> CandleResult<(CpuStorage, Shape)> {
        let y = self.forward(slice(x, x_layout)?, slice(packed, packed_layout)?, None);
        output(y, x_layout.shape())
    }

    fn bwd(
        &self,
        x: &Tensor,
        packed: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> CandleResult<(Option<Tensor>, Option<Tensor>)> {
        let (dx, dpacked, _) = self.backward([x, packed, y, dy], None)?;
        Ok((dx, dpacked))
    }
}

impl CustomOp3 for Affine {
    fn name(&self) -> &'static str {
        "batch-norm-residual"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        packed: &CpuStorage,
        packed_layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
    ) -> CandleResult<(CpuStorage, Shape)> {
        let residual = slice(residual, residual_layout)?;
        let (x, packed) = (slice(x, x_layout)?, slice(packed, packed_layout)?);
        output(self.forward(x, packed, Some(residual)), x_layout.shape())
    }

    fn bwd(
        &self,
        x: &Tensor,
        packed: &Tensor,
        residual: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> CandleResult<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        self.backward([x, packed, y, dy], Some(residual))
    }
}

fn apply(
    x: &Tensor,
    (first, second): (&Tensor, &Tensor),
    residual: Option<&Tensor>,
    op: Affine,
) -> Result<Tensor> {
    let packed = Tensor::stack(&[first, second], 0)?;
    let x = x.contiguous()?;
    Ok(match residual {
        Some(residual) => x.apply_op3(&packed, &residual.contiguous()?, op)?,
        None => x.apply_op2(&packed, op)?,
    })
}

pub(crate) fn affine_channels(
    x: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    activation: Activation,
    residual: Option<&Tensor>,
) -> Result<Tensor> {
    let op = Affine {
        level: SimdLevel::current()?,
        activation,
        statistics: None,
    };
    apply(x, (scale, shift), residual, op)
}

/// `moments` are those of `x`, if somebody computed them already.
pub(crate) fn batch_norm_training(
    x: &Tensor,
    moments: Option<&Arc<Moments>>,
    (gamma, beta): (&Tensor, &Tensor),
    epsilon: f64,
    activation: Activation,
    residual: Option<&Tensor>,
) -> Result<BatchNormTraining> {
    let level = SimdLevel::current()?;
    let channels = x.dim(D::Minus1)?;
    let moments = match moments {
        Some(moments) => Arc::clone(moments),
        None => Arc::new(lend([x], |[x]| channels::moments(level, x, channels))?),
    };
    let op = Affine {
        level,
        activation,
        statistics: Some((Arc::clone(&moments), epsilon)),
    };
    Ok(BatchNormTraining {
        output: apply(x, (gamma, beta), residual, op)?,
        mean: tensor(moments.mean.clone(), channels)?,
        variance: tensor(moments.variance.clone(), channels)?,
    })
}
