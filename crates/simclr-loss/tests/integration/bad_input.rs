//! What losses refuse, and that they say why.
#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};
use simclr_loss::{DistillationLoss, NegativeMask, NtXent, cross_entropy, distillation_loss};

fn zeros(shape: &[usize]) -> Tensor {
    Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap()
}

fn labels(labels: &[u32]) -> Tensor {
    Tensor::new(labels, &Device::Cpu).unwrap()
}

#[test]
fn temperatures_that_cannot_divide() {
    for temperature in [0.0, -0.1, f64::NAN, f64::INFINITY, 1e-60] {
        let nt_xent = NtXent {
            temperature,
            ..NtXent::default()
        };
        let message = nt_xent.forward(&zeros(&[4, 2])).unwrap_err().to_string();
        assert!(message.starts_with("temperature = "), "{message}");
        assert!(distillation_loss(&zeros(&[4, 2]), &zeros(&[4, 2]), temperature).is_err());
    }
}

#[test]
fn embeddings_that_are_not_pairs() {
    for shape in [&[5, 2][..], &[2, 2], &[0, 2], &[4, 0], &[4], &[2, 2, 2]] {
        let message = NtXent::default()
            .forward(&zeros(shape))
            .unwrap_err()
            .to_string();
        assert!(message.contains(&format!("{shape:?}")), "{message}");
    }
}

#[test]
fn replicas_that_do_not_fit() {
    let all = zeros(&[12, 3]);
    let nt_xent = NtXent::default();
    for (shape, replica) in [
        (&[4, 2][..], 0),
        (&[4, 3], 3),
        (&[8, 3], 0),
        (&[3, 3], 0),
        (&[4], 0),
    ] {
        assert!(
            nt_xent
                .forward_replica(&zeros(shape), &all, replica, None)
                .is_err()
        );
    }
    assert!(
        nt_xent
            .forward_replica(&zeros(&[4, 3]), &all, 2, None)
            .is_ok()
    );
}

#[test]
fn masks_of_other_views() {
    let message = NegativeMask::new(2, [(0, 1), (3, 4)])
        .unwrap_err()
        .to_string();
    assert!(message.contains("(3, 4) of 4 views"), "{message}");
    let mask = NegativeMask::new(2, [(0, 1), (1, 0), (0, 2), (3, 3)]).unwrap();
    // Positive pairs and a view with itself are not among them.
    assert_eq!((mask.views(), mask.pairs()), (4, 1));
    let all = zeros(&[6, 3]);
    let nt_xent = NtXent::default();
    for refused in [
        nt_xent.forward_masked(&all, &mask),
        nt_xent.forward_replica(&all, &all, 0, Some(&mask)),
    ] {
        let message = refused.unwrap_err().to_string();
        assert!(message.contains("the 4 views of the mask"), "{message}");
    }
}

#[test]
fn labels_that_name_no_class() {
    let message = cross_entropy(&zeros(&[2, 3]), &labels(&[1, 3]))
        .unwrap_err()
        .to_string();
    assert!(message.contains("label 3 of sample 1"), "{message}");
    assert!(cross_entropy(&zeros(&[2, 3]), &labels(&[1])).is_err());
    assert!(cross_entropy(&zeros(&[0, 3]), &labels(&[])).is_err());
    assert!(cross_entropy(&zeros(&[3]), &labels(&[1])).is_err());
}

#[test]
fn teachers_of_another_shape_and_odd_weights() {
    assert!(distillation_loss(&zeros(&[2, 3]), &zeros(&[2, 4]), 1.0).is_err());
    let mix = DistillationLoss {
        weight: 1.5,
        ..Default::default()
    };
    assert!(mix.forward(&zeros(&[2, 3]), &zeros(&[2, 3]), None).is_err());
}
