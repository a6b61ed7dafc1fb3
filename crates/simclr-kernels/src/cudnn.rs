//! Convolutions by cuDNN, as one op each way, on maps in the order that they have:
//! `[n, h, w, c]`. The composite form is the twin that they are tested against.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::cudnn::sys::{
    cudnnConvolutionBwdDataAlgo_t, cudnnConvolutionBwdFilterAlgo_t, cudnnConvolutionFwdAlgo_t,
    cudnnConvolutionMode_t, cudnnMathType_t, cudnnTensorFormat_t,
};
use candle_core::cuda_backend::cudarc::cudnn::{
    ConvBackwardData, ConvBackwardFilter, ConvDescriptor, ConvForward, Cudnn, CudnnDataType,
    FilterDescriptor, TensorDescriptor,
};
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaView, DeviceRepr};
use candle_core::cuda_backend::{CudaDType, CudaStorageSlice, DeviceId};
use candle_core::{
    CpuStorage, CudaDevice, CudaStorage, CustomOp2, DType, Error as CandleError, Layout,
    Result as CandleResult, Shape, Tensor, WithDType,
};

use crate::Result;
use crate::geometry::{Span, Windows};

/// Maps and kernels are both in this order, a kernel as `[out, h, w, in]`.
const ORDER: cudnnTensorFormat_t = cudnnTensorFormat_t::CUDNN_TENSOR_NHWC;

// Of what computes such maps with and without tensor cores, those that add up in a fixed order:
// the same numbers give the same bits.
const FORWARD: cudnnConvolutionFwdAlgo_t =
    cudnnConvolutionFwdAlgo_t::CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
const INPUT_GRADIENT: cudnnConvolutionBwdDataAlgo_t =
    cudnnConvolutionBwdDataAlgo_t::CUDNN_CONVOLUTION_BWD_DATA_ALGO_1;
const KERNEL_GRADIENT: cudnnConvolutionBwdFilterAlgo_t =
    cudnnConvolutionBwdFilterAlgo_t::CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1;

thread_local! {
    /// A handle belongs to a thread.
    static HANDLES: RefCell<HashMap<DeviceId, Arc<Cudnn>>> = RefCell::default();
}

/// Whether cuDNN convolves these numbers.
pub(crate) fn suits(x: &Tensor) -> bool {
    let types = [DType::F16, DType::BF16, DType::F32];
    x.device().is_cuda() && types.contains(&x.dtype())
}

/// Convolution of a map by a kernel `[h, w, in, out]`, zeros around the map where the padding
/// differs from end to end.
pub(crate) fn conv2d(x: &Tensor, kernel: &Tensor, windows: &Windows) -> Result<Tensor> {
    let (x, rows) = with_even_padding(x, 1, windows.rows)?;
    let (x, columns) = with_even_padding(&x, 2, windows.columns)?;
    let kernel = kernel.permute((3, 0, 1, 2))?.contiguous()?;
    let sizes = Sizes {
        batch: x.dim(0)?,
        inputs: x.dim(3)?,
        outputs: kernel.dim(0)?,
        windows: Windows { rows, columns },
    };
    let op = Convolution {
        pass: Pass::Output,
        sizes,
    };
    Ok(x.contiguous()?.apply_op2(&kernel, op)?)
}

/// The map and its windows along an axis, padded where cuDNN, which pads both ends alike, does not
/// do it.
fn with_even_padding(x: &Tensor, axis: usize, span: Span) -> Result<(Tensor, Span)> {
    if span.before == span.after {
        return Ok((x.clone(), span));
    }
    let padded = x.pad_with_zeros(axis, span.before, span.after)?;
    let span = Span {
        input: padded.dim(axis)?,
        before: 0,
        after: 0,
        ..span
    };
    Ok((padded, span))
}

/// The sizes of a convolution.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    batch: usize,
    inputs: usize,
    outputs: usize,
    windows: Windows,
}

impl Sizes {
    fn input_shape(&self) -> [usize; 4] {
        let Windows { rows, columns } = self.windows;
        [self.batch, rows.input, columns.input, self.inputs]
    }

    fn kernel_shape(&self) -> [usize; 4] {
        let Windows { rows, columns } = self.windows;
        [self.outputs, rows.window, columns.window, self.inputs]
    }

    fn output_shape(&self) -> [usize; 4] {
        let Windows { rows, columns } = self.windows;
        [self.batch, rows.output, columns.output, self.outputs]
    }
}

/// What is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// The output, of input and kernel.
    Output,
    /// The input's gradient, of kernel and output's gradient.
    InputGradient,
    /// The kernel's gradient, of input and output's gradient.
    KernelGradient,
}

/// A pass of a convolution, as an op of two operands.
#[derive(Debug, Clone, Copy)]
struct Convolution {
    pass: Pass,
    sizes: Sizes,
}

impl CustomOp2 for Convolution {
    fn name(&self) -> &'static str {
        "cudnn-conv2d"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> CandleResult<(CpuStorage, Shape)> {
        Err(CandleError::msg(format!("{}: expected a tensor on a GPU", self.name())).bt())
    }

    fn cuda_fwd(
        &self,
        first: &CudaStorage,
        first_layout: &Layout,
        second: &CudaStorage,
        second_layout: &Layout,
    ) -> CandleResult<(CudaStorage, Shape)> {
        use CudaStorageSlice as Numbers;
        let device = first.device();
        let places = [self.places(first_layout)?, self.places(second_layout)?];
        let storage = match (&first.slice, &second.slice) {
            (Numbers::F16(first), Numbers::F16(second)) => {
                self.compute(device, [first, second], places)?
            }
            (Numbers::BF16(first), Numbers::BF16(second)) => {
                self.compute(device, [first, second], places)?
            }
            (Numbers::F32(first), Numbers::F32(second)) => {
                self.compute(device, [first, second], places)?
            }
            _ => {
                let found = (first.dtype(), second.dtype());
                let name = self.name();
                let message = format!("{name}: expected f16, bf16 or f32, found {found:?}");
                return Err(CandleError::msg(message).bt());
            }
        };
        Ok((storage, Shape::from(&self.result_shape())))
    }

    fn bwd(
        &self,
        x: &Tensor,
        kernel: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> CandleResult<(Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        let gradient = |pass, other: &Tensor| {
            let op = Self { pass, ..*self };
            other.apply_op2_no_bwd(&dy, &op)
        };
        let dx = x.track_op().then(|| gradient(Pass::InputGradient, kernel));
        let dkernel = kernel.track_op().then(|| gradient(Pass::KernelGradient, x));
        Ok((dx.transpose()?, dkernel.transpose()?))
    }
}

impl Convolution {
    fn result_shape(&self) -> [usize; 4] {
        match self.pass {
            Pass::Output => self.sizes.output_shape(),
            Pass::InputGradient => self.sizes.input_shape(),
            Pass::KernelGradient => self.sizes.kernel_shape(),
        }
    }

    /// Where a tensor's numbers are in its memory.
    fn places(&self, layout: &Layout) -> CandleResult<Range<usize>> {
        match layout.contiguous_offsets() {
            Some((start, end)) => Ok(start..end),
            None => Err(CandleError::RequiresContiguous { op: self.name() }.bt()),
        }
    }

    fn compute<T>(
        &self,
        device: &CudaDevice,
        [first, second]: [&CudaSlice<T>; 2],
        [first_places, second_places]: [Range<usize>; 2],
    ) -> CandleResult<CudaStorage>
    where
        T: CudaDType + CudnnDataType + DeviceRepr + WithDType,
    {
        let operands = [first.slice(first_places), second.slice(second_places)];
        let described = Described::new(&handle(device)?, &self.sizes)?;
        // SAFETY: every pass writes all of its result.
        let mut result = unsafe { device.alloc::<T>(self.result_shape().iter().product())? };
        described.run(self.pass, device, operands, &mut result)?;
        Ok(CudaStorage::wrap_cuda_slice(result, device.clone()))
    }
}

/// This thread's handle for a device.
fn handle(device: &CudaDevice) -> CandleResult<Arc<Cudnn>> {
    HANDLES.with_borrow_mut(|handles| {
        if let Some(handle) = handles.get(&device.id()) {
            return Ok(Arc::clone(handle));
        }
        let handle = Cudnn::new(device.cuda_stream())?;
        handles.insert(device.id(), Arc::clone(&handle));
        Ok(handle)
    })
}

/// The sizes of a convolution of numbers `T` as cuDNN is told them.
struct Described<T> {
    input: TensorDescriptor<T>,
    kernel: FilterDescriptor<T>,
    output: TensorDescriptor<T>,
    /// Sums are f32 whatever the numbers are.
    convolution: ConvDescriptor<f32>,
}

impl<T: CudnnDataType + DeviceRepr + WithDType> Described<T> {
    fn new(handle: &Arc<Cudnn>, sizes: &Sizes) -> CandleResult<Self> {
        let Windows { rows, columns } = sizes.windows;
        let pair = |of: fn(&Span) -> usize| -> CandleResult<[i32; 2]> {
            Ok([integer(of(&rows))?, integer(of(&columns))?])
        };
        let mut convolution = handle.create_conv2d::<f32>(
            pair(|span| span.before)?,
            pair(|span| span.stride)?,
            [1, 1],
            cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION,
        )?;
        // f32 stays f32: not TF32, whose products have 11 binary digits.
        convolution.set_math_type(match T::DTYPE {
            DType::F32 => cudnnMathType_t::CUDNN_FMA_MATH,
            _ => cudnnMathType_t::CUDNN_TENSOR_OP_MATH,
        })?;
        Ok(Self {
            input: handle.create_4d_tensor(ORDER, channels_second(sizes.input_shape())?)?,
            kernel: handle.create_4d_filter(ORDER, channels_second(sizes.kernel_shape())?)?,
            output: handle.create_4d_tensor(ORDER, channels_second(sizes.output_shape())?)?,
            convolution,
        })
    }

    /// Computes one pass; the operands are those that [`Pass`] says.
    fn run(
        &self,
        pass: Pass,
        device: &CudaDevice,
        [first, second]: [CudaView<'_, T>; 2],
        result: &mut CudaSlice<T>,
    ) -> CandleResult<()> {
        let scale = (T::from_f64(1.0), T::from_f64(0.0));
        let (x, w, y) = (&self.input, &self.kernel, &self.output);
        let conv = &self.convolution;
        // SAFETY (of the three launches): operands and result have the shapes of the descriptors,
        // in their order; all of `result` is written, since what was there counts with a factor
        // of 0; the workspace has the size that cuDNN asks for, and is freed on the same stream.
        match pass {
            Pass::Output => {
                let op = ConvForward { conv, x, w, y };
                let mut workspace = workspace(device, op.get_workspace_size(FORWARD)?)?;
                let workspace = workspace.as_mut();
                unsafe { op.launch(FORWARD, workspace, scale, &first, &second, result)? };
            }
            Pass::InputGradient => {
                let (dx, dy) = (x, y);
                let op = ConvBackwardData { conv, dx, w, dy };
                let mut workspace = workspace(device, op.get_workspace_size(INPUT_GRADIENT)?)?;
                let workspace = workspace.as_mut();
                unsafe { op.launch(INPUT_GRADIENT, workspace, scale, result, &first, &second)? };
            }
            Pass::KernelGradient => {
                let (dw, dy) = (w, y);
                let op = ConvBackwardFilter { conv, x, dw, dy };
                let mut workspace = workspace(device, op.get_workspace_size(KERNEL_GRADIENT)?)?;
                let workspace = workspace.as_mut();
                unsafe { op.launch(KERNEL_GRADIENT, workspace, scale, &first, result, &second)? };
            }
        }
        Ok(())
    }
}

/// Memory for so many bytes, if there are any.
fn workspace(device: &CudaDevice, bytes: usize) -> CandleResult<Option<CudaSlice<u8>>> {
    // SAFETY: cuDNN reads no byte that it has not written.
    (bytes > 0)
        .then(|| unsafe { device.alloc::<u8>(bytes) })
        .transpose()
}

/// A shape as cuDNN counts it, whatever the order in memory.
fn channels_second([n, h, w, c]: [usize; 4]) -> CandleResult<[i32; 4]> {
    Ok([integer(n)?, integer(c)?, integer(h)?, integer(w)?])
}

fn integer(size: usize) -> CandleResult<i32> {
    i32::try_from(size).map_err(CandleError::wrap)
}
