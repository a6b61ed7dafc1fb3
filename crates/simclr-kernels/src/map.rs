//! Feature maps that pass from op to op.

use candle_core::{DType, Tensor, Var};

use crate::activation::Activation;
use crate::backend::Backend;
use crate::batch_norm::{BatchNormParameters, BatchStats};
use crate::geometry::{Conv2dConfig, DivisorRule, Padding, Windows};
use crate::{Error, Result, composite, fused};

/// A feature map `[n, h, w, c]` within a network.
///
/// Chains of ops on feature maps are faster than the same ops on tensors and need less
/// memory: in the fused form neither the maps nor their gradients pass through candle,
/// which would allocate, clear and add up every gradient anew. At both ends there are
/// tensors, [`FeatureMap::new`] and [`FeatureMap::tensor`], and gradients flow through the
/// whole as if there were nothing else in between.
///
/// ```
/// use candle_core::{Device, Tensor, Var};
/// use simclr_kernels::{Backend, Conv2dConfig, FeatureMap};
///
/// let images = Tensor::rand(0f32, 1f32, (2, 8, 8, 3), &Device::Cpu)?;
/// let first = Var::rand(-0.3f32, 0.3f32, (3, 3, 3, 16), &Device::Cpu)?;
/// let second = Var::rand(-0.3f32, 0.3f32, (1, 1, 16, 4), &Device::Cpu)?;
///
/// let map = FeatureMap::new(&images, Backend::Auto)?;
/// let map = map.conv2d(&first, Conv2dConfig::original(3, 2))?.relu()?;
/// let features = map.conv2d(&second, Conv2dConfig::same())?.global_average_pool()?;
/// let gradients = features.sqr()?.sum_all()?.backward()?;
/// assert!(gradients.get(&first).is_some() && gradients.get(&second).is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct FeatureMap(Form);

#[derive(Debug, Clone)]
enum Form {
    Fused(fused::Map),
    Composite(composite::Map),
}

fn not_fused(map: &composite::Map) -> Error {
    let expected = "all maps in the fused form, f32 on the CPU";
    let found = (map.dtype, map.numbers.device().location());
    Error::shape("feature map", expected, found)
}

impl FeatureMap {
    /// The map that a tensor `[n, h, w, c]` is.
    ///
    /// # Errors
    /// [`Error::Shape`] for another or an empty shape; [`Error::DType`] for a tensor that the
    /// backend cannot compute with; [`Error::Setting`] as
    /// [`KernelOptions::validate`](crate::KernelOptions::validate).
    pub fn new(x: &Tensor, backend: Backend) -> Result<Self> {
        const OP: &str = "feature map";
        let &[n, h, w, c] = x.dims() else {
            return Err(Error::shape(OP, "a tensor of rank 4", x.dims()));
        };
        if x.elem_count() == 0 {
            return Err(Error::shape(OP, "a non-empty tensor", x.dims()));
        }
        Ok(Self(if backend.is_fused(OP, x)? {
            Form::Fused(fused::Map::of_tensor(x, [n, h, w, c])?)
        } else {
            Form::Composite(composite::Map::new(x)?)
        }))
    }

    /// The element type of the tensors that it comes from and becomes.
    pub fn dtype(&self) -> DType {
        match &self.0 {
            Form::Fused(_) => DType::F32,
            Form::Composite(map) => map.dtype,
        }
    }

    /// Batch, height, width, channels.
    pub fn dims(&self) -> [usize; 4] {
        match &self.0 {
            Form::Fused(map) => map.dims,
            Form::Composite(map) => match *map.numbers.dims() {
                [n, h, w, c] => [n, h, w, c],
                _ => [0; 4],
            },
        }
    }

    /// The map as a tensor, through which gradients flow; in the fused form a copy.
    ///
    /// # Errors
    /// None of its own.
    pub fn tensor(&self) -> Result<Tensor> {
        self.clone().into_tensor()
    }

    /// As [`tensor`](Self::tensor), without a copy if nobody else needs the numbers.
    ///
    /// # Errors
    /// None of its own.
    pub fn into_tensor(self) -> Result<Tensor> {
        match self.0 {
            Form::Fused(map) => {
                let [n, h, w, c] = map.dims;
                map.into_tensor((n, h, w, c))
            }
            Form::Composite(map) => map.tensor(),
        }
    }

    /// The same numbers, through which no gradient flows.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self(match &self.0 {
            Form::Fused(map) => Form::Fused(map.detach()),
            Form::Composite(map) => Form::Composite(map.with(map.numbers.detach())),
        })
    }

    /// Whether a gradient can flow through the map.
    pub fn is_tracked(&self) -> bool {
        match &self.0 {
            Form::Fused(map) => map.graph_node().track_op(),
            Form::Composite(map) => map.numbers.track_op(),
        }
    }

    /// See [`conv2d`](crate::conv2d).
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::DType`] if the inputs do not fit together.
    pub fn conv2d(&self, kernel: &Tensor, config: Conv2dConfig) -> Result<Self> {
        self.convolve(kernel, config, false)
    }

    /// A [`conv2d`](Self::conv2d) that a batch norm in training form will follow: the fused
    /// form takes the statistics of each channel while the output is in cache.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::DType`] if the inputs do not fit together.
    pub fn conv2d_with_stats(&self, kernel: &Tensor, config: Conv2dConfig) -> Result<Self> {
        self.convolve(kernel, config, true)
    }

    fn convolve(&self, kernel: &Tensor, config: Conv2dConfig, with_stats: bool) -> Result<Self> {
        let windows = self.convolution_windows("conv2d", kernel, config)?;
        Ok(Self(match &self.0 {
            Form::Fused(map) => Form::Fused(fused::conv2d(map, kernel, &windows, with_stats)?),
            Form::Composite(map) => Form::Composite(map.conv2d(kernel, &windows)?),
        }))
    }

    /// Applies an op that keeps the type of a map's numbers in the map's form.
    fn apply(
        &self,
        fused: impl FnOnce(&fused::Map) -> Result<fused::Map>,
        composite: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<Self> {
        Ok(Self(match &self.0 {
            Form::Fused(map) => Form::Fused(fused(map)?),
            Form::Composite(map) => Form::Composite(map.with(composite(&map.numbers)?)),
        }))
    }

    /// The product of a map with one pixel, in the fused form, and a kernel `[c, out]` as it
    /// is: a kernel in another shape would be another tensor, with a gradient of its own.
    pub(crate) fn fused_dense(&self, kernel: &Tensor) -> Result<Self> {
        const OP: &str = "dense";
        let windows = Windows::new(OP, (1, 1), (1, 1), (1, 1), Padding::Same)?;
        let map = fused::conv2d(self.fused()?, kernel, &windows, false)?;
        Ok(Self(Form::Fused(map)))
    }

    /// `act(bn(x) + residual)` with the batch's own statistics, and these statistics. See
    /// [`batch_norm_training`](crate::batch_norm_training).
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::DType`] if the inputs do not fit together.
    pub fn batch_norm_training(
        &self,
        norm: BatchNormParameters<'_>,
        activation: Activation,
        residual: Option<&Self>,
    ) -> Result<(Self, BatchStats)> {
        const OP: &str = "batch_norm_training";
        self.check_channels(OP, &[norm.gamma, norm.beta])?;
        self.check_residual(OP, self.dims(), residual)?;
        match &self.0 {
            Form::Fused(map) => {
                let residual = residual.map(Self::fused).transpose()?;
                let (y, stats) = fused::batch_norm_training(map, norm, activation, residual)?;
                Ok((Self(Form::Fused(y)), stats.to_tensors()?))
            }
            Form::Composite(map) => {
                let residual = residual.map(Self::tensor).transpose()?;
                let (x, residual) = (&map.numbers, residual.as_ref());
                let (y, stats) = composite::batch_norm_training(x, norm, activation, residual)?;
                Ok((Self(Form::Composite(map.with(y))), stats))
            }
        }
    }

    /// `conv2d(relu(bn(x)))` with the batch's own statistics, as one op: the fused form keeps
    /// `x` for the backward pass and nothing else, and computes the normalised values
    /// again where it needs them. The result is a [`conv2d_with_stats`](Self::conv2d_with_stats). Also
    /// returns the statistics of `x`.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::DType`] if the inputs do not fit together.
    pub fn batch_norm_relu_conv2d(
        &self,
        norm: BatchNormParameters<'_>,
        kernel: &Tensor,
        config: Conv2dConfig,
    ) -> Result<(Self, BatchStats)> {
        const OP: &str = "batch_norm_relu_conv2d";
        let windows = self.convolution_windows(OP, kernel, config)?;
        self.check_channels(OP, &[norm.gamma, norm.beta])?;
        let Form::Fused(map) = &self.0 else {
            let (y, stats) = self.batch_norm_training(norm, Activation::Relu, None)?;
            return Ok((y.conv2d_with_stats(kernel, config)?, stats));
        };
        let (y, stats) = fused::batch_norm_relu_conv2d(map, norm, kernel, &windows)?;
        Ok((Self(Form::Fused(y)), stats.to_tensors()?))
    }

    /// `act(bn(x) + residual)` with given statistics. See
    /// [`batch_norm_inference`](crate::batch_norm_inference).
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::DType`] if the inputs do not fit together.
    pub fn batch_norm_inference(
        &self,
        norm: BatchNormParameters<'_>,
        moving: &BatchStats,
        activation: Activation,
        residual: Option<&Self>,
    ) -> Result<Self> {
        const OP: &str = "batch_norm_inference";
        let vectors = [norm.gamma, norm.beta, &moving.mean, &moving.variance];
        self.check_channels(OP, &vectors)?;
        self.check_residual(OP, self.dims(), residual)?;
        let (scale, shift) = norm.scale_and_shift(moving)?;
        self.affine_channels(&scale, &shift, activation, residual)
    }

    /// `act(x scale + shift + residual)`, a scale and a shift per channel.
    pub(crate) fn affine_channels(
        &self,
        scale: &Tensor,
        shift: &Tensor,
        activation: Activation,
        residual: Option<&Self>,
    ) -> Result<Self> {
        self.apply(
            |map| {
                let residual = residual.map(Self::fused).transpose()?;
                fused::affine_channels(map, scale, shift, activation, residual)
            },
            |x| {
                let residual = residual.map(Self::tensor).transpose()?;
                composite::affine_channels(x, scale, shift, activation, residual.as_ref())
            },
        )
    }

    /// `act(bn(conv2d(x)) + residual)` with given statistics; in the fused form in one pass,
    /// if no input requires a gradient.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::DType`] if the inputs do not fit together.
    pub fn conv2d_batch_norm_inference(
        &self,
        kernel: &Tensor,
        config: Conv2dConfig,
        norm: BatchNormParameters<'_>,
        moving: &BatchStats,
        activation: Activation,
        residual: Option<&Self>,
    ) -> Result<Self> {
        const OP: &str = "conv2d_batch_norm_inference";
        let vectors = [norm.gamma, norm.beta, &moving.mean, &moving.variance];
        let tracked = self.is_tracked()
            || residual.is_some_and(Self::is_tracked)
            || vectors.iter().any(|vector| vector.track_op())
            || kernel.track_op();
        let map = match &self.0 {
            Form::Fused(map) if !tracked => map,
            _ => {
                let y = self.conv2d(kernel, config)?;
                return y.batch_norm_inference(norm, moving, activation, residual);
            }
        };
        let windows = self.convolution_windows(OP, kernel, config)?;
        let outputs = kernel.dim(3)?;
        check_vectors(OP, outputs, self.dtype(), &vectors)?;
        let (rows, columns) = (windows.rows.output, windows.columns.output);
        self.check_residual(OP, [map.dims[0], rows, columns, outputs], residual)?;
        let (scale, shift) = norm.scale_and_shift(moving)?;
        let residual = residual.map(Self::fused).transpose()?;
        let factors = (&scale, &shift);
        let y = fused::conv2d_affine(map, kernel, &windows, factors, activation, residual)?;
        Ok(Self(Form::Fused(y)))
    }

    /// Gradient checkpointing: this map, which was computed from `x` without a graph, as if it
    /// had one. Of all that lies between, only `x` is kept, and `forward` computes the rest
    /// again, with the same [`KernelOptions`](crate::KernelOptions), when
    /// [`backward`](crate::backward) comes to it. `variables` are those that it depends on, as
    /// far as they are to be trained.
    ///
    /// # Errors
    /// [`Error::Shape`] if one of the maps is not in the fused form. The backward pass fails
    /// if it is candle's own.
    pub fn checkpoint<E>(
        self,
        x: &Self,
        variables: &[Var],
        forward: impl Fn(&Self) -> Result<Self, E> + Send + Sync + 'static,
    ) -> Result<Self>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let forward = move |x: fused::Map| match forward(&Self(Form::Fused(x))) {
            Ok(y) => y.into_fused(),
            Err(error) => Err(candle_core::Error::wrap(error).into()),
        };
        let output = self.into_fused()?;
        let map = fused::checkpoint(output, x.fused()?, variables, Box::new(forward))?;
        Ok(Self(Form::Fused(map)))
    }

    /// See [`relu`](crate::relu).
    ///
    /// # Errors
    /// None of its own.
    pub fn relu(&self) -> Result<Self> {
        self.apply(fused::relu, composite::relu)
    }

    /// See [`max_pool2d`](crate::max_pool2d).
    ///
    /// # Errors
    /// [`Error::Shape`] if the window does not fit.
    pub fn max_pool2d(
        &self,
        window: (usize, usize),
        stride: (usize, usize),
        padding: Padding,
    ) -> Result<Self> {
        let windows = self.pooling_windows("max_pool2d", window, stride, padding)?;
        self.apply(
            |map| fused::max_pool2d(map, &windows),
            |x| composite::max_pool2d(x, &windows),
        )
    }

    /// See [`average_pool2d`](crate::average_pool2d).
    ///
    /// # Errors
    /// [`Error::Shape`] if the window does not fit.
    pub fn average_pool2d(
        &self,
        window: (usize, usize),
        stride: (usize, usize),
        padding: Padding,
        divisor: DivisorRule,
    ) -> Result<Self> {
        let windows = self.pooling_windows("average_pool2d", window, stride, padding)?;
        self.apply(
            |map| fused::average_pool2d(map, &windows, divisor),
            |x| composite::average_pool2d(x, &windows, divisor),
        )
    }

    /// The mean over each map, `[n, c]`.
    ///
    /// # Errors
    /// None of its own.
    pub fn global_average_pool(&self) -> Result<Tensor> {
        match &self.0 {
            Form::Fused(map) => fused::global_average_pool(map),
            Form::Composite(map) => composite::global_average_pool(&map.tensor()?),
        }
    }

    fn into_fused(self) -> Result<fused::Map> {
        match self.0 {
            Form::Fused(map) => Ok(map),
            Form::Composite(map) => Err(not_fused(&map)),
        }
    }

    fn fused(&self) -> Result<&fused::Map> {
        match &self.0 {
            Form::Fused(map) => Ok(map),
            Form::Composite(map) => Err(not_fused(map)),
        }
    }

    fn convolution_windows(
        &self,
        op: &'static str,
        kernel: &Tensor,
        config: Conv2dConfig,
    ) -> Result<Windows> {
        let [_, h, w, c] = self.dims();
        let &[kh, kw, inputs, outputs] = kernel.dims() else {
            return Err(Error::shape(op, "a kernel of rank 4", kernel.dims()));
        };
        if inputs != c || outputs == 0 {
            let expected = format!("a kernel [h, w, {c}, out] for an input of {c} channels");
            return Err(Error::shape(op, expected, kernel.dims()));
        }
        check_dtype(op, "a kernel", kernel, self.dtype())?;
        Windows::new(op, (h, w), (kh, kw), config.stride, config.padding)
    }

    fn pooling_windows(
        &self,
        op: &'static str,
        window: (usize, usize),
        stride: (usize, usize),
        padding: Padding,
    ) -> Result<Windows> {
        let [_, h, w, _] = self.dims();
        let windows = Windows::new(op, (h, w), window, stride, padding)?;
        windows.check_not_all_padding(op)?;
        Ok(windows)
    }

    fn check_channels(&self, op: &'static str, vectors: &[&Tensor]) -> Result<()> {
        check_vectors(op, self.dims()[3], self.dtype(), vectors)
    }

    fn check_residual(
        &self,
        op: &'static str,
        expected: [usize; 4],
        residual: Option<&Self>,
    ) -> Result<()> {
        let Some(residual) = residual else {
            return Ok(());
        };
        if residual.dims() != expected {
            let expected = format!("a residual {expected:?}");
            return Err(Error::shape(op, expected, residual.dims()));
        }
        if residual.dtype() != self.dtype() {
            let expected = format!("a residual of {}", self.dtype().as_str());
            return Err(Error::dtype(op, expected, residual.dtype()));
        }
        Ok(())
    }
}

/// Refuses a tensor of another type than the map's.
pub(crate) fn check_dtype(
    op: &'static str,
    what: &str,
    tensor: &Tensor,
    expected: DType,
) -> Result<()> {
    if tensor.dtype() == expected {
        return Ok(());
    }
    let expected = format!("{what} of {}", expected.as_str());
    Err(Error::dtype(op, expected, tensor.dtype()))
}

/// Vectors of a batch norm over a map of so many channels: of the map's type, or f32.
fn check_vectors(
    op: &'static str,
    channels: usize,
    dtype: DType,
    vectors: &[&Tensor],
) -> Result<()> {
    for vector in vectors {
        if vector.dims() != [channels] {
            let expected = format!("vectors [{channels}]");
            return Err(Error::shape(op, expected, vector.dims()));
        }
        let is_half = matches!(dtype, DType::F16 | DType::BF16);
        if !(is_half && vector.dtype() == DType::F32) {
            check_dtype(op, "vectors", vector, dtype)?;
        }
    }
    Ok(())
}
