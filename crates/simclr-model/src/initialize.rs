//! Initial values from a seeded stream per parameter.

use rand::Rng;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::StandardNormal;

use crate::parameter::{Initializer, ParameterSpec};

/// The initial values of a parameter. They depend on the seed, the parameter's name and its
/// initializer alone: not on the order of creation, and not on what else the model has.
pub(crate) fn initial_values(spec: &ParameterSpec, seed: u64) -> Vec<f32> {
    let count = spec.element_count();
    let scale = spec.initializer.standard_deviation();
    let mut stream = stream(seed, &spec.name);
    let mut normal = || stream.sample::<f64, _>(StandardNormal);
    match spec.initializer {
        Initializer::Constant(value) => vec![value as f32; count],
        Initializer::Normal { .. } => (0..count).map(|_| (scale * normal()) as f32).collect(),
        Initializer::VarianceScaling { .. } => (0..count)
            .map(|_| (scale * within_two_deviations(&mut normal)) as f32)
            .collect(),
    }
}

fn within_two_deviations(mut draw: impl FnMut() -> f64) -> f64 {
    loop {
        let value = draw();
        if value.abs() <= 2.0 {
            return value;
        }
    }
}

/// One of the 2^64 independent ChaCha streams of the seed, chosen by the name.
fn stream(seed: u64, name: &str) -> ChaCha12Rng {
    let mut generator = ChaCha12Rng::seed_from_u64(seed);
    generator.set_stream(fnv1a64(name));
    generator
}

fn fnv1a64(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameter::{ModelStage, Role};

    fn spec(name: &str, initializer: Initializer) -> ParameterSpec {
        ParameterSpec {
            name: name.into(),
            original_name: name.into(),
            shape: vec![3, 3, 64, 128],
            role: Role::ConvKernel,
            stage: ModelStage::Stem,
            initializer,
        }
    }

    fn moments(values: &[f32]) -> (f64, f64) {
        let count = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
        let square = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / count;
        (mean, (square - mean * mean).sqrt())
    }

    #[test]
    fn variance_scaling_has_the_original_moments_and_cut() {
        let fan_in = 3 * 3 * 64;
        let values = initial_values(&spec("a", Initializer::VarianceScaling { fan_in }), 1);
        let (mean, deviation) = moments(&values);
        let expected = (1.0 / fan_in as f64).sqrt();
        assert!(mean.abs() < 0.01 * expected, "{mean}");
        assert!((deviation / expected - 1.0).abs() < 0.01, "{deviation}");
        let largest = values.iter().fold(0f32, |a, v| a.max(v.abs()));
        let cut = 2.0 * expected / 0.879_625_661;
        assert!(f64::from(largest) <= cut * 1.000_001 && f64::from(largest) > 0.95 * cut);
    }

    #[test]
    fn normal_has_its_deviation() {
        let initializer = Initializer::Normal {
            standard_deviation: 0.01,
        };
        let (mean, deviation) = moments(&initial_values(&spec("a", initializer), 1));
        assert!(mean.abs() < 1e-4);
        assert!((deviation / 0.01 - 1.0).abs() < 0.01);
    }

    #[test]
    fn name_and_seed_choose_the_values() {
        let initializer = Initializer::VarianceScaling { fan_in: 9 };
        let values = initial_values(&spec("a", initializer), 1);
        assert_eq!(values, initial_values(&spec("a", initializer), 1));
        assert_ne!(values, initial_values(&spec("b", initializer), 1));
        assert_ne!(values, initial_values(&spec("a", initializer), 2));
    }
}
