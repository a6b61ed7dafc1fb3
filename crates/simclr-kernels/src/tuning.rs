//! What is fast on this processor.

use std::hint::black_box;
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor, Var};
use pulp::{Simd, WithSimd};

use crate::bfloat16_kernel::BFloat16Kernel;
use crate::operations::convolution_operations;
use crate::options::{KernelOptions, ResolvedOptions};
use crate::precision::Precision;
use crate::simd::{BlockMut, Operands, RowTable, SimdLevel, multiply};
use crate::{Backend, Conv2dConfig, FeatureMap, Result, backward};

/// A precision, what multiplies its numbers, and its speed; see [`measure_precisions`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct MeasuredPrecision {
    /// The precision, the instruction set and the kernel for bfloat16.
    pub options: KernelOptions,
    /// Floating-point operations of convolutions and their gradients per second, in thousand
    /// millions.
    pub gflops: f64,
}

/// Measures single precision, and mixed precision and split numbers with everything on this processor
/// that multiplies them, at the instruction set in force, the fastest first: convolutions of 3x3 and
/// of 1x1 after one another with their gradients, on all threads of the current pool. Takes seconds;
/// other work on the machine at the same time blurs it.
///
/// ```no_run
/// let fastest = simclr_kernels::measure_precisions()?[0];
/// println!("{:?} at {:.0} GFLOP/s", fastest.options.precision, fastest.gflops);
/// # Ok::<(), simclr_kernels::Error>(())
/// ```
///
/// # Errors
/// As [`KernelOptions::validate`].
pub fn measure_precisions() -> Result<Vec<MeasuredPrecision>> {
    let current = KernelOptions::current()?;
    let kernels = [
        BFloat16Kernel::Amx,
        BFloat16Kernel::Avx512Bf16,
        BFloat16Kernel::Portable,
    ];
    let precisions = [
        Precision::Mixed,
        Precision::BFloat16x3,
        Precision::BFloat16x6,
    ];
    let all = precisions.into_iter().flat_map(|precision| {
        kernels.map(|kernel| {
            let options = current.with_precision(precision);
            options.with_bfloat16_kernel(kernel)
        })
    });
    let available = all.filter(|options| options.validate().is_ok());
    let mut measured = [current.with_precision(Precision::Single)]
        .into_iter()
        .chain(available)
        .map(|options| {
            let gflops = options.scope(convolution_gflops)?;
            Ok(MeasuredPrecision { options, gflops })
        })
        .collect::<Result<Vec<_>>>()?;
    measured.sort_by(|a, b| b.gflops.total_cmp(&a.gflops));
    Ok(measured)
}

/// The speed of convolutions with the options in force: the best of three, after one that is
/// not measured.
fn convolution_gflops() -> Result<f64> {
    let random = |shape: [usize; 4]| Tensor::rand(-1f32, 1f32, shape.as_slice(), &Device::Cpu);
    let variable = |shape| Var::from_tensor(&random(shape)?);
    let mut cases = Vec::new();
    for (side, size, channels) in [(28, 3, 64), (14, 1, 256)] {
        let x = random([4, side, side, channels])?;
        let shape = [size, size, channels, channels];
        let kernels = [variable(shape)?, variable(shape)?, variable(shape)?];
        cases.push((x, kernels));
    }
    let mut best = 0f64;
    for repetition in 0..4 {
        let (operations, began) = (convolution_operations(), Instant::now());
        for (x, kernels) in &cases {
            let mut map = FeatureMap::new(x, Backend::Fused)?;
            for kernel in kernels {
                map = map.conv2d(kernel, Conv2dConfig::same())?;
            }
            black_box(backward(&map.global_average_pool()?.sum_all()?)?);
        }
        let operations = (convolution_operations() - operations) as f64;
        if repetition > 0 {
            best = best.max(operations / began.elapsed().as_secs_f64() / 1e9);
        }
    }
    Ok(best)
}

/// What the inner loops of matrix products do with the options in force on all threads of the
/// current pool, with operands in the second-level cache: close to the peak of the
/// instructions, in thousand millions of operations per second. Takes a fifth of a second.
///
/// # Errors
/// As [`KernelOptions::validate`].
pub fn microkernel_gflops() -> Result<f64> {
    let ResolvedOptions {
        level, operands, ..
    } = ResolvedOptions::current()?;
    let threads = rayon::broadcast(|_| level.run(InnerLoop { level, operands }));
    Ok(threads.iter().sum())
}

/// One thread of [`microkernel_gflops`].
struct InnerLoop {
    level: SimdLevel,
    operands: Operands,
}

impl WithSimd for InnerLoop {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        const ROWS: usize = 96;
        const DEPTH: usize = 384;
        const COLUMNS: usize = 256;
        const TIME: Duration = Duration::from_millis(200);
        let places = self.operands.places(DEPTH);
        let parts = self.operands.parts().len();
        let (left, right) = (vec![0f32; ROWS * places], vec![0f32; places * COLUMNS]);
        let mut product = vec![0f32; ROWS * COLUMNS];
        let mut table = RowTable::new(self.level, self.operands, parts, places / parts);
        table.extend_adjacent(&left);
        let mut epilogues = vec![(); COLUMNS / self.operands.tile(self.level).columns];
        let began = Instant::now();
        let mut count = 0;
        while began.elapsed() < TIME {
            let mut block = BlockMut::of(&mut product, ROWS, COLUMNS);
            multiply(simd, &table, black_box(&right), &mut block, &mut epilogues);
            // Somebody looks at it, so it has to be computed.
            black_box(&mut product);
            count += 1;
        }
        let operations = (2 * ROWS * DEPTH * COLUMNS * count) as f64;
        operations / began.elapsed().as_secs_f64() / 1e9
    }
}

impl Precision {
    /// The precision that is fastest on this processor at the instruction set in force, by
    /// [`BFloat16Kernel::pays`].
    ///
    /// # Errors
    /// As [`KernelOptions::validate`].
    pub fn fastest() -> Result<Self> {
        let kernel = BFloat16Kernel::current()?;
        Ok(if kernel.pays() {
            Self::Mixed
        } else {
            Self::Single
        })
    }
}
