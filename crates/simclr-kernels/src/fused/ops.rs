//! The doors between candle's tensors and the kernels on slices.

use std::sync::{Arc, OnceLock};

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, D, Device, Error as CandleError, Layout,
    Result as CandleResult, Shape, Storage, Tensor,
};

use super::channels::{self, Moments};
use super::convolution::Convolution;
use super::pooling::{self, Pooling};
use crate::geometry::{Span, Windows};
use crate::{Activation, BatchNormTraining, DivisorRule, Result};

type Gradient = CandleResult<Option<Tensor>>;

/// The elements of a contiguous f32 tensor.
fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> CandleResult<&'a [f32]> {
    let (start, end) = layout
        .contiguous_offsets()
        .ok_or_else(|| CandleError::Msg("fused ops take contiguous tensors".into()))?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}

/// Lends the elements of a CPU tensor to `work`.
fn lend<R>(tensor: &Tensor, work: impl FnOnce(&[f32]) -> CandleResult<R>) -> CandleResult<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => work(slice(storage, layout)?),
        _ => Err(CandleError::Msg("fused ops take CPU tensors".into())),
    }
}

fn output(values: Vec<f32>, shape: impl Into<Shape>) -> CandleResult<(CpuStorage, Shape)> {
    Ok((CpuStorage::F32(values), shape.into()))
}

fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> CandleResult<Tensor> {
    Tensor::from_vec(values, shape.into(), &Device::Cpu)
}

/// Convolution.
struct Conv2d(Convolution);

impl CustomOp2 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        kernel: &CpuStorage,
        kernel_layout: &Layout,
    ) -> CandleResult<(CpuStorage, Shape)> {
        let Convolution {
            batch,
            windows,
            outputs,
            ..
        } = self.0;
        let mut y = vec![0.0; self.0.output_pixels() * outputs];
        self.0
            .forward(slice(x, x_layout)?, slice(kernel, kernel_layout)?, &mut y);
        output(
            y,
            (batch, windows.rows.output, windows.columns.output, outputs),
        )
    }

    fn bwd(
        &self,
        x: &Tensor,
        kernel: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> CandleResult<(Option<Tensor>, Option<Tensor>)> {
        let dx = || {
            let mut dx = vec![0.0; x.elem_count()];
            lend(kernel, |kernel| {
                lend(dy, |dy| {
                    self.0.backward_input(kernel, dy, &mut dx);
                    Ok(())
                })
            })?;
            tensor(dx, x.shape())
        };
        let dkernel = || {
            let mut dkernel = vec![0.0; kernel.elem_count()];
            lend(x, |x| {
                lend(dy, |dy| {
                    self.0.backward_kernel(x, dy, &mut dkernel);
                    Ok(())
                })
            })?;
            tensor(dkernel, kernel.shape())
        };
        Ok((
            if x.track_op() { Some(dx()?) } else { None },
            if kernel.track_op() {
                Some(dkernel()?)
            } else {
                None
            },
        ))
    }
}

pub(crate) fn conv2d(x: &Tensor, kernel: &Tensor, windows: &Windows) -> Result<Tensor> {
    let (_, _, inputs, outputs) = kernel.dims4()?;
    let op = Conv2d(Convolution {
        batch: x.dim(0)?,
        windows: *windows,
        inputs,
        outputs,
    });
    Ok(x.contiguous()?.apply_op2(&kernel.contiguous()?, op)?)
}

/// `act(x scale + shift + residual)`; in training, scale and shift follow from
/// gamma, beta and the batch's own moments.
struct Affine {
    activation: Activation,
    statistics: Option<Statistics>,
}

#[derive(Clone)]
struct Statistics {
    epsilon: f64,
    moments: Arc<OnceLock<Moments>>,
}

impl Statistics {
    fn inverse_deviation(&self, moments: &Moments) -> Vec<f32> {
        let inverse = |&v: &f32| (1.0 / (f64::from(v) + self.epsilon).sqrt()) as f32;
        moments.variance.iter().map(inverse).collect()
    }
}

impl Affine {
    fn forward(&self, x: &[f32], packed: &[f32], residual: Option<&[f32]>) -> Vec<f32> {
        let (first, second) = packed.split_at(packed.len() / 2);
        let mut y = vec![0.0; x.len()];
        match &self.statistics {
            None => channels::affine(x, first, second, residual, self.activation, &mut y),
            Some(statistics) => {
                let moments = statistics
                    .moments
                    .get_or_init(|| channels::moments(x, first.len()));
                let inverse = statistics.inverse_deviation(moments);
                let scale: Vec<f32> = first.iter().zip(&inverse).map(|(g, i)| g * i).collect();
                let shifts = second.iter().zip(&moments.mean).zip(&scale);
                // In f64: far from zero, beta and mean x scale nearly cancel.
                let shift: Vec<f32> = shifts
                    .map(|((&b, &m), &s)| (f64::from(b) - f64::from(m) * f64::from(s)) as f32)
                    .collect();
                channels::affine(x, &scale, &shift, residual, self.activation, &mut y);
            }
        }
        y
    }

    /// Gradients of x, of the two packed rows and of the residual.
    fn backward(
        &self,
        [x, packed, y, dy]: [&Tensor; 4],
        residual: Option<&Tensor>,
    ) -> CandleResult<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let channels = packed.dim(D::Minus1)?;
        let [x_values, y_values, dy_values] = [x, y, dy].map(Tensor::contiguous);
        let (x_values, y_values, dy_values) = (x_values?, y_values?, dy_values?);
        let packed_values = packed.flatten_all()?.to_vec1::<f32>()?;
        let (first, _) = packed_values.split_at(channels);
        let residual = residual.filter(|residual| residual.track_op());
        let mut dx = if x.track_op() || residual.is_some() {
            vec![0.0; x.elem_count()]
        } else {
            Vec::new()
        };
        let mut dresidual = residual.map(|residual| vec![0.0; residual.elem_count()]);
        let mut dpacked = Vec::new();
        lend(&x_values, |x| {
            lend(&y_values, |y| {
                lend(&dy_values, |dy| {
                    let moments = match &self.statistics {
                        Some(statistics) => statistics.moments.get().cloned().unwrap_or_default(),
                        None => Moments {
                            mean: vec![0.0; channels],
                            variance: Vec::new(),
                        },
                    };
                    let (sums, weighted) =
                        channels::gradient_sums(x, &moments.mean, y, dy, self.activation);
                    let rows = (x.len() / channels) as f64;
                    let (mut a, mut b, mut c) =
                        (first.to_vec(), vec![0.0; channels], vec![0.0; channels]);
                    let mut dscale: Vec<f32> = weighted.iter().map(|&w| w as f32).collect();
                    if let Some(statistics) = &self.statistics {
                        let inverse = statistics.inverse_deviation(&moments);
                        for i in 0..channels {
                            let (scale, inverse) = (
                                f64::from(first[i]) * f64::from(inverse[i]),
                                f64::from(inverse[i]),
                            );
                            a[i] = scale as f32;
                            b[i] = (-scale * inverse * inverse * weighted[i] / rows) as f32;
                            c[i] = (-scale * sums[i] / rows) as f32;
                            dscale[i] = (weighted[i] * inverse) as f32;
                        }
                    }
                    dpacked.extend_from_slice(&dscale);
                    dpacked.extend(sums.iter().map(|&s| s as f32));
                    if !dx.is_empty() {
                        let coefficients = [a.as_slice(), &b, &c, &moments.mean];
                        channels::input_gradient(
                            x,
                            y,
                            dy,
                            self.activation,
                            coefficients,
                            &mut dx,
                            dresidual.as_deref_mut(),
                        );
                    }
                    Ok(())
                })
            })
        })?;
        Ok((
            if x.track_op() {
                Some(tensor(dx, x.shape())?)
            } else {
                None
            },
            if packed.track_op() {
                Some(tensor(dpacked, packed.shape())?)
            } else {
                None
            },
            match (dresidual, residual) {
                (Some(values), Some(residual)) => Some(tensor(values, residual.shape())?),
                _ => None,
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
        let y = self.forward(
            slice(x, x_layout)?,
            slice(packed, packed_layout)?,
            Some(residual),
        );
        output(y, x_layout.shape())
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

fn apply_affine(
    x: &Tensor,
    first: &Tensor,
    second: &Tensor,
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
    apply_affine(
        x,
        scale,
        shift,
        residual,
        Affine {
            activation,
            statistics: None,
        },
    )
}

pub(crate) fn batch_norm_training(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    epsilon: f64,
    activation: Activation,
    residual: Option<&Tensor>,
) -> Result<BatchNormTraining> {
    let statistics = Statistics {
        epsilon,
        moments: Arc::default(),
    };
    let op = Affine {
        activation,
        statistics: Some(statistics.clone()),
    };
    let result = apply_affine(x, gamma, beta, residual, op)?;
    let moments = statistics.moments.get().cloned().unwrap_or_default();
    let channels = gamma.elem_count();
    Ok(BatchNormTraining {
        output: result,
        mean: tensor(moments.mean, channels)?,
        variance: tensor(moments.variance, channels)?,
    })
}

/// `max(x, 0)` with gradient 0 at 0.
struct Relu;

impl CustomOp1 for Relu {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> CandleResult<(CpuStorage, Shape)> {
        let x = slice(x, layout)?;
        let mut y = vec![0.0; x.len()];
        channels::rectify(x, &mut y);
        output(y, layout.shape())
    }

    fn bwd(&self, _x: &Tensor, y: &Tensor, dy: &Tensor) -> Gradient {
        let mut dx = vec![0.0; y.elem_count()];
        lend(y, |y| {
            lend(dy, |dy| {
                channels::rectify_backward(y, dy, &mut dx);
                Ok(())
            })
        })?;
        Ok(Some(tensor(dx, y.shape())?))
    }
}

pub(crate) fn relu(x: &Tensor) -> Result<Tensor> {
    Ok(x.contiguous()?.apply_op1(Relu)?)
}

/// The maximum of each window.
struct MaxPool2d(Pooling);

impl CustomOp1 for MaxPool2d {
    fn name(&self) -> &'static str {
        "max-pool2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> CandleResult<(CpuStorage, Shape)> {
        let shape = pooled_shape(&self.0, layout.dims()[0]);
        let mut y = vec![0.0; shape.elem_count()];
        self.0.max_forward(slice(x, layout)?, &mut y);
        output(y, shape)
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, dy: &Tensor) -> Gradient {
        let mut dx = vec![0.0; x.elem_count()];
        lend(x, |x| {
            lend(y, |y| {
                lend(dy, |dy| {
                    self.0.max_backward(x, y, dy, &mut dx);
                    Ok(())
                })
            })
        })?;
        Ok(Some(tensor(dx, x.shape())?))
    }
}

fn pooled_shape(pooling: &Pooling, batch: usize) -> Shape {
    let Windows { rows, columns } = &pooling.windows;
    (batch, rows.output, columns.output, pooling.channels).into()
}

fn pooling(x: &Tensor, windows: &Windows) -> Result<Pooling> {
    Ok(Pooling {
        windows: *windows,
        channels: x.dim(3)?,
    })
}

pub(crate) fn max_pool2d(x: &Tensor, windows: &Windows) -> Result<Tensor> {
    Ok(x.contiguous()?.apply_op1(MaxPool2d(pooling(x, windows)?))?)
}

/// The mean of each window.
struct AveragePool2d {
    pooling: Pooling,
    weights: Vec<f32>,
}

impl CustomOp1 for AveragePool2d {
    fn name(&self) -> &'static str {
        "average-pool2d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> CandleResult<(CpuStorage, Shape)> {
        let shape = pooled_shape(&self.pooling, layout.dims()[0]);
        let mut y = vec![0.0; shape.elem_count()];
        self.pooling
            .average_forward(slice(x, layout)?, &self.weights, &mut y);
        output(y, shape)
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Gradient {
        let mut dx = vec![0.0; x.elem_count()];
        lend(dy, |dy| {
            self.pooling.average_backward(&self.weights, dy, &mut dx);
            Ok(())
        })?;
        Ok(Some(tensor(dx, x.shape())?))
    }
}

pub(crate) fn average_pool2d(
    x: &Tensor,
    windows: &Windows,
    divisor: DivisorRule,
) -> Result<Tensor> {
    let pooling = pooling(x, windows)?;
    let weights = pooling.average_weights(divisor == DivisorRule::CountPadding);
    Ok(x.contiguous()?
        .apply_op1(AveragePool2d { pooling, weights })?)
}

/// The mean over each map.
struct GlobalAveragePool;

impl CustomOp1 for GlobalAveragePool {
    fn name(&self) -> &'static str {
        "global-average-pool"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> CandleResult<(CpuStorage, Shape)> {
        let (batch, height, width, channels) = layout.shape().dims4()?;
        let mut y = vec![0.0; batch * channels];
        pooling::global_average(slice(x, layout)?, height * width, channels, &mut y);
        output(y, (batch, channels))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Gradient {
        let (_, height, width, channels) = x.dims4()?;
        let mut dx = vec![0.0; x.elem_count()];
        let pixels = height * width;
        lend(dy, |dy| {
            pooling::global_average_backward(dy, pixels, channels, &mut dx);
            Ok(())
        })?;
        Ok(Some(tensor(dx, x.shape())?))
    }
}

pub(crate) fn global_average_pool(x: &Tensor) -> Result<Tensor> {
    Ok(x.contiguous()?.apply_op1(GlobalAveragePool)?)
}

/// A dense layer is a 1x1 convolution of maps with one pixel.
pub(crate) fn dense(x: &Tensor, kernel: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (rows, inputs) = x.dims2()?;
    let outputs = kernel.dim(1)?;
    let one = Span {
        input: 1,
        window: 1,
        stride: 1,
        before: 0,
        after: 0,
        output: 1,
    };
    let windows = Windows {
        rows: one,
        columns: one,
    };
    let op = Conv2d(Convolution {
        batch: rows,
        windows,
        inputs,
        outputs,
    });
    let y = x
        .contiguous()?
        .apply_op2(&kernel.contiguous()?, op)?
        .reshape((rows, outputs))?;
    match bias {
        None => Ok(y),
        Some(bias) => affine_channels(&y, &bias.ones_like()?, bias, Activation::Identity, None),
    }
}
