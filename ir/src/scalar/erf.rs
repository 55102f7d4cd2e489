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

/// `erfc(a)` for `a` from 1 on by the continued fraction, which takes some 250 / a^2 terms to converge.
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
    use super::erf;

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
