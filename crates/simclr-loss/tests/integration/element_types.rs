//! Which element types the losses take, and what comes out.
#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor, Var};
use simclr_loss::{
    DistillationLoss, LossScale, NtXent, NtXentOutput, Result, cross_entropy, distillation_loss,
};
use simclr_testkit::{Tolerance, formula_values};

/// A half type and by how much rounding to it changes a number.
const HALF_TYPES: [(DType, f64); 2] = [(DType::F16, 1.0 / 2048.0), (DType::BF16, 1.0 / 256.0)];

fn values(name: &str, shape: (usize, usize), dtype: DType) -> Tensor {
    let values = formula_values(name, shape.0 * shape.1, -2.0, 2.0);
    let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
    tensor.to_dtype(dtype).unwrap()
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.to_dtype(DType::F64).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// The loss of half-precision numbers is that of the same numbers in f64, to the digits of
/// f32, and their gradient is that gradient, to their own digits: two terms of it at most are
/// rounded to half precision.
fn check_half_types(shape: (usize, usize), forward: impl Fn(&Tensor) -> Result<Tensor>) {
    for (dtype, rounding) in HALF_TYPES {
        let input = values("input", shape, dtype);
        let run = |input: Tensor| {
            let input = Var::from_tensor(&input).unwrap();
            let loss = forward(&input).unwrap();
            let gradient = loss.sum_all().unwrap().backward().unwrap();
            let gradient = gradient.get(&input).unwrap().clone();
            (loss, gradient)
        };
        let (expected, expected_gradient) = run(input.to_dtype(DType::F64).unwrap());
        let (loss, gradient) = run(input);
        assert_eq!((loss.dtype(), gradient.dtype()), (DType::F32, dtype));
        let close = |tolerance: f64, a: &Tensor, b: &Tensor| {
            let comparison = Tolerance::relative_to_max(tolerance).compare(&flat(a), &flat(b));
            assert!(comparison.passed, "{dtype:?}: {comparison:?}");
        };
        close(1e-5, &loss, &expected);
        close(2.0 * rounding, &gradient, &expected_gradient);
    }
}

#[test]
fn nt_xent_in_half_precision() {
    for temperature in [0.01, 0.1, 0.5] {
        for scale in [LossScale::Original, LossScale::Halved] {
            let nt_xent = NtXent {
                temperature,
                scale,
                ..NtXent::default()
            };
            check_half_types((24, 16), |x| Ok(nt_xent.forward(x)?.loss));
            check_half_types((24, 16), |x| Ok(nt_xent.forward_composite(x)?.loss));
            check_half_types((24, 16), |x| {
                let local = Tensor::cat(&[x.narrow(0, 4, 4)?, x.narrow(0, 16, 4)?], 0)?;
                Ok(nt_xent.forward_replica(&local, x, 1, None)?.loss)
            });
            check_half_types((24, 16), |x| nt_xent.contrast_logits(x));
        }
    }
}

#[test]
fn contrastive_metrics_in_half_precision() {
    for (dtype, _) in HALF_TYPES {
        let input = values("input", (24, 16), dtype);
        let double = input.to_dtype(DType::F64).unwrap();
        let metrics = |input: &Tensor| {
            let NtXentOutput {
                accuracy, entropy, ..
            } = NtXent::default().forward(input).unwrap();
            [accuracy, entropy].map(|metric| flat(&metric)[0])
        };
        let comparison =
            Tolerance::relative_to_max(1e-5).compare(&metrics(&input), &metrics(&double));
        assert!(comparison.passed, "{dtype:?}: {comparison:?}");
    }
}

#[test]
fn supervised_losses_in_half_precision() {
    let labels = Tensor::new(&[2i64, 0, 6, 3], &Device::Cpu).unwrap();
    check_half_types((4, 7), |x| cross_entropy(x, &labels));
    let mix = DistillationLoss {
        temperature: 2.0,
        weight: 0.3,
    };
    let teacher = |x: &Tensor| values("teacher", (4, 7), DType::BF16).to_dtype(x.dtype());
    check_half_types((4, 7), |x| distillation_loss(x, &teacher(x)?, 0.5));
    check_half_types((4, 7), |x| mix.forward(x, &teacher(x)?, Some(&labels)));
    check_half_types((4, 7), |x| {
        let labels = [Some(1), None, None, Some(6)];
        let (distillation, supervised) = mix.terms(x, &teacher(x)?, &labels)?;
        Ok((distillation + supervised.unwrap())?)
    });
}

fn refused<T: std::fmt::Debug>(result: Result<T>, parts: &[&str]) {
    let message = result.unwrap_err().to_string();
    for part in parts {
        assert!(message.contains(part), "{message:?} without {part:?}");
    }
}

#[test]
fn other_types_are_refused_by_name() {
    let labels = Tensor::zeros(4, DType::U32, &Device::Cpu).unwrap();
    let nt_xent = NtXent::default();
    for (dtype, name) in [
        (DType::U8, "u8"),
        (DType::U32, "u32"),
        (DType::I16, "i16"),
        (DType::I32, "i32"),
        (DType::I64, "i64"),
        (DType::F8E4M3, "f8e4m3"),
    ] {
        let x = Tensor::zeros((4, 2), DType::F32, &Device::Cpu).unwrap();
        let x = x.to_dtype(dtype).unwrap();
        refused(nt_xent.forward(&x), &["nt-xent", name]);
        refused(nt_xent.forward_composite(&x), &["nt-xent", name]);
        refused(nt_xent.forward_replica(&x, &x, 0, None), &["nt-xent", name]);
        refused(nt_xent.contrast_logits(&x), &["nt-xent", name]);
        refused(cross_entropy(&x, &labels), &["cross-entropy", name]);
        refused(distillation_loss(&x, &x, 1.0), &["distillation", name]);
    }
}

#[test]
fn mixed_types_are_refused() {
    let single = values("input", (4, 2), DType::F32);
    let double = values("input", (4, 2), DType::F64);
    let loss = distillation_loss(&single, &double, 1.0);
    refused(loss, &["distillation", "f32", "f64"]);
    let loss = NtXent::default().forward_replica(&single, &double, 0, None);
    refused(loss, &["nt-xent", "f32", "f64"]);
    // A student in half precision can learn from a teacher in f32.
    let half = values("input", (4, 2), DType::BF16);
    assert!(distillation_loss(&half, &single, 1.0).is_ok());
}

#[test]
fn labels_are_integers() {
    let logits = values("logits", (3, 3), DType::F32);
    let labels = Tensor::new(&[2u32, 0, 1], &Device::Cpu).unwrap();
    let loss = |dtype| cross_entropy(&logits, &labels.to_dtype(dtype).unwrap());
    let expected = flat(&loss(DType::U32).unwrap());
    for dtype in [DType::U8, DType::I16, DType::I32, DType::I64] {
        assert_eq!(flat(&loss(dtype).unwrap()), expected);
    }
    refused(loss(DType::F32), &["labels of an integer type", "f32"]);
    let labels = Tensor::new(&[2i64, -1, 1], &Device::Cpu).unwrap();
    refused(cross_entropy(&logits, &labels), &["label -1 of sample 1"]);
}
