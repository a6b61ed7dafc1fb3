//! What the tests of ops share.
#![allow(dead_code, clippy::panic, clippy::unwrap_used)]

use candle_core::{Device, Tensor, Var};
use simclr_kernels::{BFloat16Kernel, Backend, KernelOptions, Precision, Result, SimdLevel};
use simclr_testkit::{Tolerance, check_gradients, formula_values};

/// f32 forward passes limit a central difference to about three digits.
const FINITE: Tolerance = Tolerance::relative_to_max(3e-3);
/// Two orders of summation of the same f32 numbers.
pub(crate) const FORMS: Tolerance = Tolerance::relative_to_max(2e-5);
const STEP: f64 = 1e-2;

pub(crate) fn values(name: &str, shape: &[usize]) -> Tensor {
    let count = shape.iter().product();
    Tensor::from_vec(formula_values(name, count, -1.0, 1.0), shape, &Device::Cpu).unwrap()
}

pub(crate) fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

pub(crate) const KERNELS: [BFloat16Kernel; 3] = [
    BFloat16Kernel::Amx,
    BFloat16Kernel::Avx512Bf16,
    BFloat16Kernel::Portable,
];

/// Every level of this processor with everything that multiplies bfloat16 numbers there.
pub(crate) fn options_of(precision: Precision) -> Vec<KernelOptions> {
    let of_level = |level| {
        KERNELS.map(|kernel| {
            KernelOptions::default()
                .with_simd_level(level)
                .with_bfloat16_kernel(kernel)
                .with_precision(precision)
        })
    };
    let all = SimdLevel::available().into_iter().flat_map(of_level);
    all.filter(|options| options.validate().is_ok()).collect()
}

/// The output and the gradients of the inputs, whose own gradient is `dy`.
pub(crate) fn run(
    inputs: &[Tensor],
    dy: impl Fn(&[usize]) -> Tensor,
    op: impl Fn(&[Tensor]) -> Result<Tensor>,
) -> Vec<Vec<f32>> {
    let variables: Vec<Var> = inputs
        .iter()
        .map(|x| Var::from_tensor(x).unwrap())
        .collect();
    let tracked: Vec<Tensor> = variables.iter().map(|v| v.as_tensor().clone()).collect();
    let y = op(&tracked).unwrap();
    let loss = (&y * dy(y.dims())).unwrap().sum_all().unwrap();
    let gradients = simclr_kernels::backward(&loss).unwrap();
    let mut results = vec![flat(&y)];
    results.extend(tracked.iter().map(|x| flat(gradients.get(x).unwrap())));
    results
}

/// Outputs and gradients of both forms.
pub(crate) fn compare_forms(
    name: &str,
    inputs: &[Tensor],
    op: impl Fn(Backend, &[Tensor]) -> Result<Tensor>,
) {
    let run = |backend| {
        let variables: Vec<Var> = inputs
            .iter()
            .map(|x| Var::from_tensor(x).unwrap())
            .collect();
        let tracked: Vec<Tensor> = variables.iter().map(|v| v.as_tensor().clone()).collect();
        let y = op(backend, &tracked).unwrap();
        let weights = values("weights", y.dims());
        let store = (&y * &weights)
            .unwrap()
            .sum_all()
            .unwrap()
            .backward()
            .unwrap();
        let mut all = vec![y];
        all.extend(tracked.iter().map(|x| store.get(x).unwrap().clone()));
        all
    };
    let (fused, composite) = (run(Backend::Fused), run(Backend::Composite));
    for (index, (fused, composite)) in fused.iter().zip(&composite).enumerate() {
        assert_eq!(fused.dims(), composite.dims(), "{name}, result {index}");
        let comparison = FORMS.compare(&flat(fused), &flat(composite));
        assert!(comparison.passed, "{name}, result {index}: {comparison:?}");
    }
}

pub(crate) fn check(
    name: &str,
    inputs: &[Tensor],
    op: impl Fn(Backend, &[Tensor]) -> Result<Tensor>,
) {
    compare_forms(name, inputs, &op);
    let finite = |backend| {
        check_gradients(inputs, STEP, FINITE, |x| {
            op(backend, x)
                .map_err(|error| simclr_testkit::Error::Candle(candle_core::Error::msg(error)))
        })
        .unwrap_or_else(|error| panic!("{name}, {backend:?}: {error}"));
    };
    finite(Backend::Fused);
    finite(Backend::Composite);
}
