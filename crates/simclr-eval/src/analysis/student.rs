//! Student's t distribution, for whole degrees of freedom.

use std::f64::consts::{FRAC_2_PI, FRAC_PI_2};

/// The probability that |T| is at most `t` (not negative), with `degrees` of
/// freedom (at least one).
///
/// For whole degrees of freedom the distribution function is a finite sum of
/// powers of a cosine (Abramowitz and Stegun, "Handbook of mathematical
/// functions", 26.7.3 and 26.7.4).
pub(super) fn within(t: f64, degrees: usize) -> f64 {
    within_angle((t / (degrees as f64).sqrt()).atan(), degrees)
}

/// The t with [`within`]`(t, degrees) = level`, for a level in (0, 1).
pub(super) fn quantile(level: f64, degrees: usize) -> f64 {
    let (mut low, mut high) = (0.0, FRAC_PI_2);
    // Each step halves the interval; sixty are enough for any f64.
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if within_angle(middle, degrees) < level {
            low = middle;
        } else {
            high = middle;
        }
    }
    low.tan() * (degrees as f64).sqrt()
}

/// [`within`] for tan(angle) = t / sqrt(degrees).
fn within_angle(angle: f64, degrees: usize) -> f64 {
    let (sine, cosine) = angle.sin_cos();
    let odd = degrees % 2 == 1;
    // Odd: cos + 2/3 cos^3 + 2/3 4/5 cos^5 + ... + cos^(degrees - 2).
    // Even: 1 + 1/2 cos^2 + 1/2 3/4 cos^4 + ... + cos^(degrees - 2).
    let mut power = usize::from(odd);
    let mut term = if odd { cosine } else { 1.0 };
    let mut sum = 0.0;
    while power + 2 <= degrees {
        sum += term;
        term *= cosine * cosine * (power + 1) as f64 / (power + 2) as f64;
        power += 2;
    }
    if odd {
        FRAC_2_PI * (angle + sine * sum)
    } else {
        sine * sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_agree_with_the_tables() {
        for (degrees, level, expected) in [
            (1, 0.95, 12.706_204_736_2),
            (2, 0.95, 4.302_652_729_9),
            (3, 0.99, 5.840_909_309_7),
            (4, 0.99, 4.604_094_871_4),
            (9, 0.9, 1.833_112_932_7),
            (30, 0.95, 2.042_272_456_3),
            (1000, 0.95, 1.962_339_080_8),
        ] {
            let found = quantile(level, degrees);
            assert!(
                (found - expected).abs() < 1e-9,
                "{degrees}: {found} {expected}"
            );
        }
    }

    #[test]
    fn one_and_two_degrees_have_closed_forms() {
        for t in [0.0, 0.3, 1.0, 12.7, 1e6] {
            assert!((within(t, 1) - FRAC_2_PI * t.atan()).abs() < 1e-14);
            assert!((within(t, 2) - t / (2.0 + t * t).sqrt()).abs() < 1e-14);
        }
    }

    #[test]
    fn the_quantile_inverts_the_distribution() {
        for degrees in 1..40 {
            for level in [0.01, 0.5, 0.9, 0.999] {
                let back = within(quantile(level, degrees), degrees);
                assert!((back - level).abs() < 1e-12, "{degrees} {level} {back}");
            }
        }
    }
}
