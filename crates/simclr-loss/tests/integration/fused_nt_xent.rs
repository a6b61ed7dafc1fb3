//! The fused NT-Xent against the composite one in double precision.
#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use simclr_loss::{LossScale, NegativeMask, NtXent, NtXentOutput};
use simclr_testkit::{Tolerance, check_gradients, formula_values};

/// Pairs of views that are alike, but not the same.
fn embeddings(images: usize, width: usize, spread: f64) -> Tensor {
    let first = formula_values("first", images * width, -1.0, 1.0);
    let noise = formula_values("noise", images * width, -spread, spread);
    let second: Vec<f32> = first.iter().zip(&noise).map(|(a, b)| a + b).collect();
    Tensor::from_vec([first, second].concat(), (2 * images, width), &Device::Cpu).unwrap()
}

fn differentiate(
    input: &Tensor,
    forward: impl Fn(&Tensor) -> simclr_loss::Result<NtXentOutput>,
) -> [Vec<f64>; 2] {
    let input = Var::from_tensor(input).unwrap();
    let output = forward(input.as_tensor()).unwrap();
    // A factor behind the loss, as a weighted sum of losses has it.
    let gradients = (&output.loss * 3.0).unwrap().backward().unwrap();
    let figures = [output.loss, output.accuracy, output.entropy].map(|x| flat(&x)[0]);
    [figures.to_vec(), flat(gradients.get(&input).unwrap())]
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.to_dtype(DType::F64).unwrap();
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn assert_agree(nt_xent: NtXent, input: &Tensor) {
    assert_masked_agree(nt_xent, input, &no_pairs(input));
}

fn no_pairs(input: &Tensor) -> NegativeMask {
    NegativeMask::new(input.dims()[0] / 2, []).unwrap()
}

/// About every `every`-th pair of views.
fn some_pairs(input: &Tensor, every: usize) -> NegativeMask {
    let views = input.dims()[0];
    let pairs = (0..views).flat_map(|a| (0..a).map(move |b| (a, b)));
    let chosen = pairs.filter(|(a, b)| (a * 7919 + b * 104_729) % (every * 13) < 13);
    NegativeMask::new(views / 2, chosen).unwrap()
}

fn assert_masked_agree(nt_xent: NtXent, input: &Tensor, mask: &NegativeMask) {
    let [figures, gradient] = differentiate(input, |x| nt_xent.forward_masked(x, mask));
    let double = input.to_dtype(DType::F64).unwrap();
    let [expected_figures, expected_gradient] =
        differentiate(&double, |x| nt_xent.forward_masked(x, mask));
    let case = format!(
        "{nt_xent:?} {:?}, {} pairs masked",
        input.dims(),
        mask.pairs()
    );
    let close = Tolerance::relative_to_max(2e-5).plus_absolute(2e-6);
    let comparison = close.compare(&figures, &expected_figures);
    assert!(
        comparison.passed,
        "{case}: {figures:?} {expected_figures:?}"
    );
    // Where the parts of a gradient cancel, rounding remains: no more of it than
    // stock operations leave in single precision.
    let whole = |x: &Tensor| nt_xent.forward_replica(x, x, 0, Some(mask));
    let [_, stock] = differentiate(input, whole);
    let rounding = Tolerance::absolute(0.0).compare(&stock, &expected_gradient);
    let close = Tolerance::relative_to_max(1e-5).plus_absolute(4.0 * rounding.max_absolute);
    let comparison = close.compare(&gradient, &expected_gradient);
    assert!(
        comparison.passed,
        "{case}: {comparison:?}, stock {rounding:?}"
    );
}

#[test]
fn sizes_around_the_block_edges() {
    for images in [2, 3, 16, 47, 48, 49, 95, 96, 97, 144, 300] {
        for width in [2, 5, 32, 70] {
            assert_agree(NtXent::default(), &embeddings(images, width, 0.5));
        }
    }
}

#[test]
fn masked_pairs_are_left_out_around_the_block_edges() {
    for images in [2, 3, 47, 48, 49, 97, 300] {
        for every in [2, 9, 200] {
            for temperature in [0.0249, 0.1] {
                let input = embeddings(images, 24, 0.5);
                let nt_xent = NtXent {
                    temperature,
                    ..NtXent::default()
                };
                assert_masked_agree(nt_xent, &input, &some_pairs(&input, every));
            }
        }
    }
    let input = embeddings(1100, 8, 0.5);
    assert_masked_agree(NtXent::default(), &input, &some_pairs(&input, 50));
}

#[test]
fn views_without_negatives_have_nothing_to_learn() {
    for images in [2, 60] {
        for temperature in [0.01, 0.1] {
            let nt_xent = NtXent {
                temperature,
                ..NtXent::default()
            };
            let input = embeddings(images, 24, 0.5);
            let mask = some_pairs(&input, 1);
            assert_eq!(mask.pairs(), 2 * images * (images - 1));
            let [figures, gradient] = differentiate(&input, |x| nt_xent.forward_masked(x, &mask));
            // What remains is the rounding of exponentials.
            assert!(figures[0].abs() < 1e-5, "{figures:?}");
            let largest = gradient.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
            assert!(largest < 1e-5, "{largest}");
        }
    }
}

#[test]
fn a_mask_without_pairs_changes_no_bit() {
    let input = embeddings(101, 24, 0.5);
    for temperature in [0.01, 0.1] {
        let nt_xent = NtXent {
            temperature,
            ..NtXent::default()
        };
        let plain = differentiate(&input, |x| nt_xent.forward(x));
        let mask = no_pairs(&input);
        assert_eq!(
            differentiate(&input, |x| nt_xent.forward_masked(x, &mask)),
            plain
        );
    }
}

#[test]
fn a_masked_batch_is_what_the_definition_says() {
    let input = embeddings(4, 5, 0.7);
    let mask = some_pairs(&input, 3);
    let views: Vec<Vec<f64>> = input.to_dtype(DType::F64).unwrap().to_vec2().unwrap();
    let masked = |a: usize, b: usize| (a.max(b) * 7919 + a.min(b) * 104_729) % 39 < 13;
    let dot = |a: usize, b: usize| -> f64 {
        let product = |a: usize, b: usize| views[a].iter().zip(&views[b]).map(|(x, y)| x * y);
        let length = |a| product(a, a).sum::<f64>().sqrt();
        product(a, b).sum::<f64>() / length(a) / length(b) / 0.1
    };
    let mut left_out = 0;
    let losses = (0..8usize).map(|a| {
        let positive = (a + 4) % 8;
        let counts = |b: &usize| *b != a && (*b == positive || !masked(a, *b));
        let others: Vec<usize> = (0..8).filter(counts).collect();
        left_out += 7 - others.len();
        let sum: f64 = others.iter().map(|&b| dot(a, b).exp()).sum();
        sum.ln() - dot(a, positive)
    });
    let expected = losses.sum::<f64>() / 4.0;
    assert_eq!(left_out, 2 * mask.pairs());
    assert!(mask.pairs() > 3, "{mask:?}");
    let [figures, _] = differentiate(&input, |x| NtXent::default().forward_masked(x, &mask));
    assert!(
        (figures[0] - expected).abs() < 1e-5 * expected,
        "{figures:?} {expected}"
    );
}

#[test]
fn large_enough_for_the_larger_blocks() {
    assert_agree(NtXent::default(), &embeddings(1100, 16, 0.5));
}

#[test]
fn temperatures_and_forms() {
    for temperature in [0.01, 0.0249, 0.025, 0.1, 1.0, 10.0] {
        for normalize in [true, false] {
            for scale in [LossScale::Original, LossScale::Halved] {
                let nt_xent = NtXent {
                    temperature,
                    normalize,
                    scale,
                };
                assert_agree(nt_xent, &embeddings(101, 24, 0.8));
            }
        }
    }
}

#[test]
fn against_finite_differences() {
    for (temperature, normalize) in [(0.2, true), (0.02, true), (0.7, false)] {
        let nt_xent = NtXent {
            temperature,
            normalize,
            ..NtXent::default()
        };
        let input = embeddings(5, 4, 1.0);
        for mask in [no_pairs(&input), some_pairs(&input, 3)] {
            let input = std::slice::from_ref(&input);
            check_gradients(input, 2e-3, Tolerance::relative_to_max(1e-2), |x| {
                let output = nt_xent.forward_masked(&x[0], &mask);
                Ok::<_, candle_core::Error>(output.map_err(candle_core::Error::wrap)?.loss)
            })
            .unwrap();
        }
    }
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let input = embeddings(333, 40, 0.5);
    for temperature in [0.01, 0.1] {
        let nt_xent = NtXent {
            temperature,
            ..NtXent::default()
        };
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let mask = some_pairs(&input, 20);
            pool.unwrap().install(|| {
                [
                    differentiate(&input, |x| nt_xent.forward(x)),
                    differentiate(&input, |x| nt_xent.forward_masked(x, &mask)),
                ]
            })
        };
        let one = run(1);
        for threads in [2, 5] {
            assert_eq!(run(threads), one);
        }
    }
}

#[test]
fn strided_embeddings_are_read_right() {
    let input = embeddings(8, 6, 0.5);
    let transposed = input.t().unwrap().contiguous().unwrap().t().unwrap();
    let nt_xent = NtXent::default();
    let [figures, _] = differentiate(&input, |x| nt_xent.forward(x));
    let output = nt_xent.forward(&transposed).unwrap();
    assert_eq!(
        f64::from(output.loss.to_scalar::<f32>().unwrap()),
        figures[0]
    );
}

#[test]
fn what_is_not_a_number_stays_so() {
    let mut values = embeddings(4, 3, 0.5)
        .flatten_all()
        .unwrap()
        .to_vec1::<f32>()
        .unwrap();
    values[7] = f32::NAN;
    let input = Tensor::from_vec(values, (8, 3), &Device::Cpu).unwrap();
    for temperature in [0.01, 0.1] {
        let nt_xent = NtXent {
            temperature,
            ..NtXent::default()
        };
        let loss = nt_xent.forward(&input).unwrap().loss;
        assert!(loss.to_scalar::<f32>().unwrap().is_nan());
    }
}

#[test]
fn a_collapse_is_recognised() {
    for scale in [LossScale::Original, LossScale::Halved] {
        let nt_xent = NtXent {
            scale,
            ..NtXent::default()
        };
        let loss = |input: &Tensor| {
            f64::from(
                nt_xent
                    .forward(input)
                    .unwrap()
                    .loss
                    .to_scalar::<f32>()
                    .unwrap(),
            )
        };
        let collapsed = Tensor::ones((64, 8), DType::F32, &Device::Cpu).unwrap();
        assert!(nt_xent.looks_collapsed(loss(&collapsed), 32));
        assert!(!nt_xent.looks_collapsed(loss(&embeddings(32, 8, 0.1)), 32));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_batch_agrees_with_double_precision(
        images in 2usize..120,
        // With one column every unit vector is 1 or -1: ties, which rounding decides.
        width in 2usize..40,
        temperature in 0.03f64..2.0,
        spread in 0.01f64..3.0,
        every in 2usize..40,
    ) {
        let nt_xent = NtXent { temperature, ..NtXent::default() };
        let input = embeddings(images, width, spread);
        assert_agree(nt_xent, &input);
        assert_masked_agree(nt_xent, &input, &some_pairs(&input, every));
    }
}
