//! Gradients of every loss against finite differences, and fused against composite forms.
#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};
use simclr_loss::{
    DistillationLoss, LossScale, NegativeMask, NtXent, cross_entropy, distillation_loss,
};
use simclr_testkit::{Tolerance, check_gradients, formula_values, seeds};

fn random(shape: (usize, usize), dtype: DType) -> Tensor {
    let name = format!("inputs/{}", seeds::INPUTS);
    let values = formula_values(&name, shape.0 * shape.1, -1.0, 1.0);
    Tensor::from_vec(values, shape, &Device::Cpu)
        .unwrap()
        .to_dtype(dtype)
        .unwrap()
}

const SHARP: Tolerance = Tolerance::relative_to_max(1e-6);

#[test]
fn nt_xent_against_finite_differences() {
    for (temperature, normalize, scale) in [
        (0.5, true, LossScale::Original),
        (0.1, true, LossScale::Halved),
        (1.0, false, LossScale::Original),
    ] {
        let nt_xent = NtXent {
            temperature,
            normalize,
            scale,
        };
        let input = [random((10, 5), DType::F64)];
        check_gradients(&input, 1e-5, SHARP, |x| {
            candle(nt_xent.forward(&x[0]).map(|output| output.loss))
        })
        .unwrap();
        let mask = NegativeMask::new(5, [(0, 1), (0, 6), (3, 9), (8, 7)]).unwrap();
        check_gradients(&input, 1e-5, SHARP, |x| {
            let output = nt_xent.forward_masked(&x[0], &mask);
            candle(output.map(|output| output.loss))
        })
        .unwrap();
    }
}

#[test]
fn masked_replicas_have_the_loss_and_the_gradient_of_the_whole_batch() {
    let nt_xent = NtXent::default();
    let mask = NegativeMask::new(6, [(0, 1), (0, 8), (3, 11), (5, 7), (2, 3)]).unwrap();
    let all = candle_core::Var::from_tensor(&random((12, 5), DType::F64)).unwrap();
    let whole = nt_xent.forward_masked(&all, &mask).unwrap().loss;
    let of_replica = |replica: usize| {
        let views = [2 * replica, 6 + 2 * replica].map(|row| all.narrow(0, row, 2).unwrap());
        let local = Tensor::cat(&views, 0).unwrap();
        let output = nt_xent.forward_replica(&local, &all, replica, Some(&mask));
        output.unwrap().loss
    };
    let mean = Tensor::stack(&[0, 1, 2].map(of_replica), 0).unwrap();
    let mean = mean.mean_all().unwrap();
    assert!((scalar(&mean) - scalar(&whole)).abs() < 1e-12);
    let gradient = |loss: &Tensor| flat(loss.backward().unwrap().get(&all).unwrap());
    let comparison = SHARP.compare(&gradient(&mean), &gradient(&whole));
    assert!(comparison.passed, "{comparison:?}");
}

fn scalar(tensor: &Tensor) -> f64 {
    tensor.to_scalar().unwrap()
}

#[test]
fn replica_gradients_reach_both_tensors() {
    let nt_xent = NtXent::default();
    let all = random((12, 5), DType::F64);
    let local = Tensor::cat(
        &[all.narrow(0, 2, 2).unwrap(), all.narrow(0, 8, 2).unwrap()],
        0,
    )
    .unwrap();
    check_gradients(&[local, all], 1e-5, SHARP, |x| {
        candle(
            nt_xent
                .forward_replica(&x[0], &x[1], 1, None)
                .map(|output| output.loss),
        )
    })
    .unwrap();
}

#[test]
fn cross_entropy_against_finite_differences() {
    let labels = Tensor::new(&[2u32, 0, 1, 2], &Device::Cpu).unwrap();
    for (dtype, step, tolerance) in [
        (DType::F64, 1e-5, SHARP),
        (DType::F32, 1e-2, Tolerance::relative_to_max(2e-3)),
    ] {
        check_gradients(&[random((4, 3), dtype)], step, tolerance, |x| {
            candle(cross_entropy(&x[0], &labels))
        })
        .unwrap();
    }
}

#[test]
fn cross_entropy_fused_and_composite_agree() {
    let labels = Tensor::new(&[6u32, 0, 3], &Device::Cpu).unwrap();
    let [(fused, fused_gradient), (composite, composite_gradient)] =
        [DType::F32, DType::F64].map(|dtype| {
            let logits = candle_core::Var::from_tensor(&(random((3, 7), dtype) * 30.0).unwrap());
            let logits = logits.unwrap();
            let loss = (cross_entropy(&logits, &labels).unwrap() * 0.7).unwrap();
            let gradients = loss.backward().unwrap();
            (flat(&loss), flat(gradients.get(&logits).unwrap()))
        });
    let tolerance = Tolerance::relative_to_max(1e-6);
    assert!(tolerance.compare(&fused, &composite).passed);
    assert!(
        tolerance
            .compare(&fused_gradient, &composite_gradient)
            .passed
    );
}

#[test]
fn distillation_against_finite_differences() {
    let teacher = (random((4, 3), DType::F64) * 2.0).unwrap();
    let labels = Tensor::new(&[2u32, 0, 1, 2], &Device::Cpu).unwrap();
    let mix = DistillationLoss {
        temperature: 2.0,
        weight: 0.3,
    };
    check_gradients(&[random((4, 3), DType::F64)], 1e-5, SHARP, |x| {
        candle(mix.forward(&x[0], &teacher, Some(&labels)))
    })
    .unwrap();
}

#[test]
fn a_perfect_student_has_the_teachers_entropy() {
    let teacher = random((4, 3), DType::F64);
    let loss = distillation_loss(&teacher, &teacher, 1.0).unwrap();
    let p = teacher.exp().unwrap();
    let p = p.broadcast_div(&p.sum_keepdim(1).unwrap()).unwrap();
    let entropy = (&p * p.log().unwrap()).unwrap().sum_all().unwrap();
    let entropy = -entropy.to_scalar::<f64>().unwrap() / 4.0;
    assert!((loss.to_scalar::<f64>().unwrap() - entropy).abs() < 1e-12);
}

/// The error type that the gradient check passes on.
fn candle(result: simclr_loss::Result<Tensor>) -> candle_core::Result<Tensor> {
    result.map_err(candle_core::Error::wrap)
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.to_dtype(DType::F64).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn distillation_with_some_labels_is_the_sum_of_its_parts() {
    let (student, teacher) = (random((5, 3), DType::F64), random((5, 3), DType::F64));
    let teacher = (teacher * 2.0).unwrap();
    let loss = DistillationLoss {
        temperature: 0.5,
        weight: 0.3,
    };
    let labels = [Some(2), None, Some(0), None, None];
    check_gradients(std::slice::from_ref(&student), 1e-5, SHARP, |x| {
        candle(
            loss.terms(&x[0], &teacher, &labels)
                .and_then(|(distilled, supervised)| Ok((distilled + supervised.unwrap())?)),
        )
    })
    .unwrap();

    // By hand: 0.3 of the distillation, and 0.7 of the two labelled samples' sum over 5.
    let scalar = |tensor: &Tensor| tensor.to_scalar::<f64>().unwrap();
    let (distilled, supervised) = loss.terms(&student, &teacher, &labels).unwrap();
    let expected = 0.3 * scalar(&distillation_loss(&student, &teacher, 0.5).unwrap());
    assert!((scalar(&distilled) - expected).abs() < 1e-12);
    let one = |row: usize, label: u32| {
        let label = Tensor::new(&[label], &Device::Cpu).unwrap();
        scalar(&cross_entropy(&student.narrow(0, row, 1).unwrap(), &label).unwrap())
    };
    let expected = 0.7 * (one(0, 2) + one(2, 0)) / 5.0;
    assert!((scalar(&supervised.unwrap()) - expected).abs() < 1e-12);
}

#[test]
fn distillation_with_all_labels_or_none() {
    let (student, teacher) = (random((4, 3), DType::F64), random((4, 3), DType::F64));
    let loss = DistillationLoss {
        temperature: 1.0,
        weight: 0.6,
    };
    let scalar = |tensor: Tensor| tensor.to_scalar::<f64>().unwrap();
    let labels = [1u32, 0, 2, 2];
    let (distilled, supervised) = loss.terms(&student, &teacher, &labels.map(Some)).unwrap();
    let known = Tensor::new(&labels, &Device::Cpu).unwrap();
    let together = scalar(loss.forward(&student, &teacher, Some(&known)).unwrap());
    let sum = scalar(distilled) + scalar(supervised.unwrap());
    assert!((together - sum).abs() < 1e-12);
    assert!(
        loss.terms(&student, &teacher, &[None; 4])
            .unwrap()
            .1
            .is_none()
    );
    assert!(loss.terms(&student, &teacher, &[None; 3]).is_err());
}

/// Logits in rows of four, of which the two in the middle are given and the others excluded.
fn with_excluded(inner: &Tensor) -> candle_core::Result<Tensor> {
    let excluded = Tensor::full(f64::NEG_INFINITY, (inner.dim(0)?, 1), inner.device())?;
    let excluded = excluded.to_dtype(inner.dtype())?;
    Tensor::cat(&[&excluded, inner, &excluded], 1)
}

#[test]
fn excluded_classes_count_nothing() {
    let labels = Tensor::new(&[0u32, 1, 1, 0], &Device::Cpu).unwrap();
    let among_all = (&labels + 1.0).unwrap();
    for (dtype, step, tolerance) in [
        (DType::F64, 1e-5, SHARP),
        (DType::F32, 1e-2, Tolerance::relative_to_max(2e-3)),
    ] {
        let inner = [random((4, 2), dtype)];
        let teacher = (random((4, 2), dtype) * 2.0).unwrap();
        let excluding = with_excluded(&teacher).unwrap();
        let near = |loss: &Tensor, expected: &Tensor| {
            let comparison = tolerance.compare(&flat(loss), &flat(expected));
            assert!(comparison.passed, "{comparison:?}");
        };
        for temperature in [0.5, 2.0] {
            // The student excludes them too, or leaves them to the teacher.
            let both = |x: &Tensor| {
                candle(distillation_loss(
                    &with_excluded(x)?,
                    &excluding,
                    temperature,
                ))
            };
            let expected = distillation_loss(&inner[0], &teacher, temperature).unwrap();
            near(&both(&inner[0]).unwrap(), &expected);
            check_gradients(&inner, step, tolerance, |x| both(&x[0])).unwrap();
            let teacher_alone =
                |x: &[Tensor]| candle(distillation_loss(&x[0], &excluding, temperature));
            check_gradients(&[random((4, 4), dtype)], step, tolerance, teacher_alone).unwrap();
        }
        let supervised = |x: &Tensor| candle(cross_entropy(&with_excluded(x)?, &among_all));
        let expected = cross_entropy(&inner[0], &labels).unwrap();
        near(&supervised(&inner[0]).unwrap(), &expected);
        check_gradients(&inner, step, tolerance, |x| supervised(&x[0])).unwrap();
        // What is excluded and right all the same is infinitely wrong.
        let student = with_excluded(&inner[0]).unwrap();
        let wide = random((4, 4), dtype);
        let zero = Tensor::zeros(4, DType::U32, &Device::Cpu).unwrap();
        for loss in [
            distillation_loss(&student, &wide, 1.0),
            cross_entropy(&student, &zero),
        ] {
            assert_eq!(flat(&loss.unwrap()), [f64::INFINITY]);
        }
        // An excluded class has no gradient, and what is no number stays none.
        let variable = candle_core::Var::from_tensor(&student).unwrap();
        let loss = distillation_loss(&variable, &excluding, 1.0).unwrap();
        let gradient = flat(loss.backward().unwrap().get(&variable).unwrap());
        let outer = gradient.chunks(4).flat_map(|row| [row[0], row[3]]);
        assert!(outer.clone().all(|value| value == 0.0) && outer.count() == 8);
        let none = (wide * f64::NAN).unwrap();
        let loss = distillation_loss(&variable, &none, 1.0).unwrap();
        assert!(flat(&loss)[0].is_nan());
    }
}

#[test]
fn views_without_a_direction_have_a_finite_loss_and_gradient() {
    let inner = random((8, 5), DType::F64);
    let zeros = Tensor::zeros((2, 5), DType::F64, &Device::Cpu).unwrap();
    let rows = [
        inner.narrow(0, 0, 4).unwrap(),
        zeros,
        inner.narrow(0, 4, 4).unwrap(),
    ];
    let embeddings = Tensor::cat(&rows, 0).unwrap();
    let run = |dtype: DType| {
        let x = candle_core::Var::from_tensor(&embeddings.to_dtype(dtype).unwrap()).unwrap();
        let loss = NtXent::default().forward(&x).unwrap().loss;
        let gradient = flat(loss.backward().unwrap().get(&x).unwrap());
        (flat(&loss), gradient)
    };
    let ((loss, gradient), (fused, fused_gradient)) = (run(DType::F64), run(DType::F32));
    assert!(gradient.iter().chain(&loss).all(|value| value.is_finite()));
    let tolerance = Tolerance::relative_to_max(1e-5);
    assert!(tolerance.compare(&fused, &loss).passed);
    assert!(tolerance.compare(&fused_gradient, &gradient).passed);
}
