//! The reference error function in `f64`, by its series and its continued fraction (Abramowitz and Stegun 7.1.5, 7.1.14).

/// erf(x), within two ulp.
pub(super) fn erf(x: f64) -> f64 {
    let a = x.abs();
    if x.is_nan() {
        return f64::NAN;
    }
    let value = if a < 1.0 {
        series(a)
    } else if a < 6.0 {
        1.0 - complement(a)
    } else {
        1.0
    };
    value.copysign(x)
}

/// erfc(x) = 1 - erf(x), within a few ulp, small values too.
pub(super) fn erfc(x: f64) -> f64 {
    let a = x.abs();
    if x.is_nan() {
        return f64::NAN;
    }
    let value = if a < 0.5 {
        1.0 - series(a)
    } else if a < 28.0 {
        complement(a)
    } else {
        0.0
    };
    if x < 0.0 { 2.0 - value } else { value }
}

/// `2/sqrt(pi)` times the sum of `(-1)^n a^(2n+1) / (n! (2n+1))` for `a` up to 1 (A&S 7.1.5), from the smallest term so that only
/// the last steps round visibly.
fn series(a: f64) -> f64 {
    let mut sum = 0.0;
    for n in (0..24).rev() {
        let n = f64::from(n);
        sum = 1.0 / (2.0 * n + 1.0) - a * a / (n + 1.0) * sum;
    }
    std::f64::consts::FRAC_2_SQRT_PI * a * sum
}

/// `erfc(a)` for `a` from 1/2 on by the continued fraction, which takes some 250 / a^2 terms to converge.
fn complement(a: f64) -> f64 {
    let depth = ((250.0 / (a * a)) as i32).max(30);
    let mut tail = a;
    for k in (1..=depth).rev() {
        tail = a + f64::from(k) / 2.0 / tail;
    }
    bell(a) / (tail * std::f64::consts::PI.sqrt())
}

/// `exp(-a*a)`, with what rounding the square loses made up for: the exponential would multiply it by the exponent's size.
fn bell(a: f64) -> f64 {
    let square = a * a;
    let lost = a.mul_add(a, -square);
    (-square).exp() * (1.0 - lost)
}

#[cfg(test)]
mod tests {
    use super::{erf, erfc};

    #[test]
    fn the_complement_keeps_small_values() {
        for (x, want) in [
            (0.25, 0.723_673_609_831_763_1),
            (0.5, 0.479_500_122_186_953_5),
            (1.0, 0.157_299_207_050_285_13),
            (5.0, 1.537_459_794_428_035e-12),
            (26.0, 5.663_192_408_856_143e-296),
        ] {
            assert!((erfc(x) / want - 1.0).abs() < 2e-15, "erfc({x}) = {:e}", erfc(x));
            assert_eq!(erfc(-x), 2.0 - erfc(x));
        }
        assert_eq!((erfc(f64::INFINITY), erfc(f64::NEG_INFINITY)), (0.0, 2.0));
        assert!(erfc(f64::NAN).is_nan());
    }

    #[test]
    fn matches_tabulated_values() {
        // Abramowitz and Stegun, table 7.1, and the asymptotic end.
        for (x, want) in [
            (0.5, 0.520_499_877_813_046_5),
            (1.0, 0.842_700_792_949_714_9),
            (2.0, 0.995_322_265_018_952_7),
            (3.0, 0.999_977_909_503_001_4),
        ] {
            assert!((erf(x) - want).abs() < 4e-16, "erf({x}) = {}", erf(x));
            assert_eq!(erf(-x), -erf(x));
        }
        assert_eq!(erf(f64::INFINITY), 1.0);
        assert!(erf(f64::NAN).is_nan());
    }
}
