//! Batch norm: an affine map per channel whose factors follow from the batch itself.

use std::sync::Arc;

use candle_core::{Result as CandleResult, Tensor};

use crate::fused::channels::{self, AffineGradient, Gate, Moments};
use crate::fused::map::{Gradient, Inputs, Kept, Map, MapOp, Values, lend};
use crate::memory::Buffer;
use crate::simd::SimdLevel;
use crate::{Activation, Result};

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
    fn given(scale: &Tensor, shift: &Tensor) -> Result<Self> {
        Ok(Self {
            scale: scale.to_vec1()?,
            shift: shift.to_vec1()?,
            statistics: None,
        })
    }

    /// From gamma, beta and the batch's moments.
    pub(super) fn of_moments(
        gamma: &Tensor,
        beta: &Tensor,
        moments: &Arc<Moments>,
        epsilon: f64,
    ) -> Result<Self> {
        let (gamma, beta): (Vec<f32>, Vec<f32>) = (gamma.to_vec1()?, beta.to_vec1()?);
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
        Ok(Self {
            scale,
            shift,
            statistics: Some(Statistics {
                moments: Arc::clone(moments),
                inverse_deviation,
            }),
        })
    }

    /// The gradients of the two rows of factors (gamma and beta, or scale and shift), and,
    /// in the place of `dy`, what was wanted.
    pub(super) fn backward(
        &self,
        level: SimdLevel,
        x: &[f32],
        mut dy: Buffer,
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
            scale: &self.scale,
            shift: &self.shift,
            centre,
            gate,
        };
        let (sums, weighted) = gradient.sums(level, &dy);
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
        let factors = [self.scale.as_slice(), &b, &c];
        let (dx, dresidual) = match wanted {
            Wanted::Parameters => (None, None),
            Wanted::Input => {
                gradient.input(level, factors, &mut dy);
                (Some(dy), None)
            }
            Wanted::InputAndResidual => {
                let dx = gradient.input_and_residual(level, factors, &mut dy);
                (Some(dx), Some(dy))
            }
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
    pub(super) dx: Option<Buffer>,
    pub(super) dresidual: Option<Buffer>,
    pub(super) packed: Vec<f32>,
}

/// `act(x scale + shift + residual)`.
struct Affine {
    level: SimdLevel,
    activation: Activation,
    factors: Factors,
    x: Kept,
    dx: Gradient,
    /// The result, which tells where the activation was open, and where the residual's
    /// gradient goes.
    residual: Option<(Kept, Gradient)>,
}

impl MapOp for Affine {
    const NAME: &'static str = "batch-norm";

    fn backward(&self, dy: Buffer, wanted: [bool; 3]) -> CandleResult<[Option<Vec<f32>>; 3]> {
        let [input, parameters, residual] = wanted;
        let which = match (residual, input) {
            (true, _) => Wanted::InputAndResidual,
            (false, true) => Wanted::Input,
            (false, false) => Wanted::Parameters,
        };
        let (x, y) = (self.x.get()?, self.residual.as_ref());
        let y = y.map(|(y, _)| y.get()).transpose()?;
        let backward =
            |gate: Gate<'_>| x.lend(|x| self.factors.backward(self.level, x, dy, gate, which));
        let found = match (self.activation, &y) {
            (Activation::Identity, _) => backward(Gate::Open),
            (Activation::Relu, None) => backward(Gate::Input),
            (Activation::Relu, Some(y)) => y.lend(|y| backward(Gate::Output(y)))?,
        }?;
        if let (true, Some(dx)) = (input, found.dx) {
            self.dx.add(self.level, dx);
        }
        if let (Some(dresidual), Some((_, gradient))) = (found.dresidual, &self.residual) {
            gradient.add(self.level, dresidual);
        }
        Ok([None, parameters.then_some(found.packed), None])
    }
}

fn apply(
    x: &Map,
    (first, second): (&Tensor, &Tensor),
    factors: Factors,
    activation: Activation,
    residual: Option<&Map>,
) -> Result<Map> {
    let level = x.level;
    let compute = |residual: Option<&[f32]>| {
        let affine = channels::Affine {
            scale: &factors.scale,
            shift: &factors.shift,
            residual,
            activation,
        };
        x.values.lend(|x| affine.apply(level, x))
    };
    let y = match residual {
        None => compute(None)?,
        Some(residual) => residual.values.lend(|residual| compute(Some(residual)))??,
    };
    let packed = Tensor::stack(&[first, second], 0)?;
    let y = Values::from(y);
    let op = Affine {
        level,
        activation,
        factors,
        x: x.values.clone().into(),
        dx: x.gradient(),
        residual: residual.map(|residual| (y.clone().into(), residual.gradient())),
    };
    let inputs = match residual {
        None => Inputs::Two(x.token(), &packed),
        Some(residual) => Inputs::Three(x.token(), &packed, residual.token()),
    };
    Map::result_of(op, inputs, level, (x.dims, y))
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

/// Also returns the moments of `x`, which are computed unless they are known.
pub(crate) fn batch_norm_training(
    x: &Map,
    gamma: &Tensor,
    beta: &Tensor,
    epsilon: f64,
    activation: Activation,
    residual: Option<&Map>,
) -> Result<(Map, Arc<Moments>)> {
    let moments = moments_of(x)?;
    let factors = Factors::of_moments(gamma, beta, &moments, epsilon)?;
    let y = apply(x, (gamma, beta), factors, activation, residual)?;
    Ok((y, moments))
}

/// The moments of the channels of a map.
pub(super) fn moments_of(x: &Map) -> Result<Arc<Moments>> {
    Ok(match &x.moments {
        Some(moments) => Arc::clone(moments),
        None => {
            let channels = x.dims[3];
            Arc::new(
                x.values
                    .lend(|values| channels::moments(x.level, values, channels))?,
            )
        }
    })
}

/// Scale and shift as slices.
pub(super) fn lend_both<R>(
    first: &Tensor,
    second: &Tensor,
    work: impl FnOnce(&[f32], &[f32]) -> R,
) -> CandleResult<R> {
    lend(first, |first| lend(second, |second| work(first, second)))?
}
