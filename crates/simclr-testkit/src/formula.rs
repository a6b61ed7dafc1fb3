//! The formula that the golden cases drew their weights from: large weights
//! need not be shipped when both sides can compute them.

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

fn fnv1a64(text: &str) -> u64 {
    text.bytes().fold(FNV_OFFSET, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
    })
}

fn splitmix64(state: u64) -> u64 {
    let x = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn value_of_hash(hash: u64, index: u64, low: f64, high: f64) -> f32 {
    let unit = (splitmix64(hash ^ index) >> 40) as f64 / f64::from(1u32 << 24);
    (low + (high - low) * unit) as f32
}

/// Element `index` of the tensor `name`, uniform in [`low`, `high`).
pub fn formula_value(name: &str, index: u64, low: f64, high: f64) -> f32 {
    value_of_hash(fnv1a64(name), index, low, high)
}

/// The first `count` elements of the tensor `name`, uniform in [`low`, `high`).
pub fn formula_values(name: &str, count: usize, low: f64, high: f64) -> Vec<f32> {
    let hash = fnv1a64(name);
    (0..count as u64)
        .map(|index| value_of_hash(hash, index, low, high))
        .collect()
}

/// The range of a variable by its canonical name (the checkpoint's) and shape:
/// kernels within `sqrt(3 / fan_in)` of zero, scales and variances within half
/// of one, everything else within a tenth of zero.
pub fn formula_range(name: &str, shape: &[usize]) -> (f64, f64) {
    match name.rsplit('/').next().unwrap_or(name) {
        "kernel" => {
            let fan_in: usize = shape.iter().rev().skip(1).product();
            let bound = (3.0 / fan_in as f64).sqrt();
            (-bound, bound)
        }
        "gamma" | "moving_variance" => (0.5, 1.5),
        _ => (-0.1, 0.1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_recorded_check_values() {
        assert_eq!(splitmix64(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(fnv1a64(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a64("a"), 0xaf63_dc4c_8601_ec8c);
        for (name, shape, index, bits) in [
            ("conv2d/kernel", &[7, 7, 3, 64][..], 0, 0xbdc0_ba42),
            ("conv2d/kernel", &[7, 7, 3, 64], 9407, 0x3d17_db1b),
            ("conv2d/kernel", &[3, 3, 3, 64], 1, 0xbe83_c5b3),
            ("batch_normalization_3/gamma", &[64], 5, 0x3fa0_12ce),
            (
                "batch_normalization/moving_variance",
                &[64],
                63,
                0x3f96_6092,
            ),
        ] {
            check(&format!("base_model/{name}"), shape, index, bits);
        }
        let bias = "head_supervised/linear_layer/dense/bias";
        check(bias, &[10], 9, 0x3b8c_efe6);
    }

    fn check(name: &str, shape: &[usize], index: u64, bits: u32) {
        let (low, high) = formula_range(name, shape);
        let value = formula_value(name, index, low, high);
        assert_eq!(value.to_bits(), bits, "{name}[{index}]");
    }
}
