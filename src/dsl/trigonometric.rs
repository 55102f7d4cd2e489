//! Trigonometric and hyperbolic functions that are no scalar ops: compositions that keep the digits.

use super::Tensor;

/// The coefficients of atan's series at 0, `(-1)^k / (2k + 1)`, that count below 1/5 in `f64`.
const ATAN_TERMS: i32 = 12;

impl Tensor {
    /// The tangent of radians; floats.
    #[track_caller]
    pub fn tan(&self) -> Tensor {
        self.sin() / self.cos()
    }

    /// The angle in `[-π/2, π/2]` whose tangent it is; floats. Angles above 45° are taken from the reciprocal, then halved twice, and what is left has a short series.
    #[track_caller]
    pub fn atan(&self) -> Tensor {
        let x = self.in_f32();
        let steep = x.abs().gt(1.0);
        let reduced = steep.select(&(1.0 / steep.select(&x, 1.0)), &x);
        let half = |t: &Tensor| t / ((t.square() + 1.0).sqrt() + 1.0);
        let t = half(&half(&reduced));
        let z = t.square();
        let coefficient = |k: i32| f64::from(1 - 2 * (k % 2)) / f64::from(2 * k + 1);
        let mut sum = &z * coefficient(ATAN_TERMS) + coefficient(ATAN_TERMS - 1);
        for k in (0..ATAN_TERMS - 1).rev() {
            sum = sum * &z + coefficient(k);
        }
        let angle = t * sum * 4.0;
        let quarter = x.sign() * std::f64::consts::FRAC_PI_2;
        steep.select(&(quarter - &angle), &angle).rounded_like(self)
    }

    /// The angle in `[-π/2, π/2]` whose sine it is, NaN beyond 1; floats.
    #[track_caller]
    pub fn asin(&self) -> Tensor {
        let x = self.in_f32();
        let cosine = ((1.0 - &x) * (&x + 1.0)).sqrt();
        (x / cosine).atan().rounded_like(self)
    }

    /// The angle in `[0, π]` whose cosine it is, NaN beyond 1; floats.
    #[track_caller]
    pub fn acos(&self) -> Tensor {
        let x = self.in_f32();
        (((1.0 - &x) / (x + 1.0)).sqrt().atan() * 2.0).rounded_like(self)
    }

    /// The hyperbolic sine; floats. It keeps its digits near 0.
    #[track_caller]
    pub fn sinh(&self) -> Tensor {
        let x = self.in_f32();
        let sinh = x.abs().by_expm1(|e| (e + e / (e + 1.0)) * 0.5);
        (x.sign() * sinh).rounded_like(self)
    }

    /// The hyperbolic cosine; floats. Its slope keeps its digits near 0.
    #[track_caller]
    pub fn cosh(&self) -> Tensor {
        // Not the sum of both exponentials, whose slopes cancel.
        let cosh = self.in_f32().abs().by_expm1(|e| e.square() / (e + 1.0) * 0.5 + 1.0);
        cosh.rounded_like(self)
    }

    /// What `near` makes of `exp(self) - 1` below 20; above, half of the exponential, which both hyperbolic functions are there.
    #[track_caller]
    fn by_expm1(&self, near: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
        let is_near = self.lt(20.0);
        let small = near(&is_near.select(self, 1.0).expm1());
        // In two factors, so that it doesn't overflow before the result does.
        let root = (self * 0.5).exp();
        is_near.select(&small, &(&root * 0.5 * &root))
    }

    /// The number whose hyperbolic sine it is; floats. It keeps its digits near 0.
    #[track_caller]
    pub fn asinh(&self) -> Tensor {
        let x = self.in_f32();
        let (a, near) = (x.abs(), x.abs().lt(1e9));
        let kept = near.select(&a, 1.0);
        let z = kept.square();
        let small = (&kept + &z / ((&z + 1.0).sqrt() + 1.0)).log1p();
        // Where the square would overflow, it is the logarithm of twice the number.
        let large = a.log() + std::f64::consts::LN_2;
        (x.sign() * near.select(&small, &large)).rounded_like(self)
    }

    /// The number from 0 on whose hyperbolic cosine it is, NaN below 1; floats.
    #[track_caller]
    pub fn acosh(&self) -> Tensor {
        let x = self.in_f32();
        let t = &x - 1.0;
        // Two roots: below 1 each or one of them is NaN, also where the product would be positive.
        let small = (&t + t.sqrt() * (&x + 1.0).sqrt()).log1p();
        let large = x.log() + std::f64::consts::LN_2;
        x.gt(1e9).select(&large, &small).rounded_like(self)
    }

    /// The number whose hyperbolic tangent it is, NaN beyond 1; floats. It keeps its digits near 0.
    #[track_caller]
    pub fn atanh(&self) -> Tensor {
        let x = self.in_f32();
        ((&x * 2.0 / (1.0 - &x)).log1p() * 0.5).rounded_like(self)
    }
}

#[cfg(test)]
mod tests {
    use crate::dsl::Tensor;
    use crate::testing::{assert_close, eval, vector, with_gradient};

    type Pair = (fn(&Tensor) -> Tensor, fn(f64) -> f64, fn(f64) -> f64);

    /// Values beside the standard library's, slopes beside the formulas of the textbook.
    #[test]
    fn values_and_slopes_are_those_of_the_functions() {
        let inside = [-0.99, -0.5, -1e-9, 0.3, 0.75, 0.999];
        let wide = [-30.0, -5.0, -1.5, -1e-9, 0.4, 2.0, 25.0];
        let above = [1.0001, 1.5, 7.0, 1e6];
        let cases: [(Pair, &[f64]); 8] = [
            ((Tensor::tan, f64::tan, |x| 1.0 / x.cos().powi(2)), &[-1.4, -0.3, 1e-9, 1.2, 4.0]),
            ((Tensor::atan, f64::atan, |x| 1.0 / (1.0 + x * x)), &wide),
            ((Tensor::asin, f64::asin, |x| 1.0 / (1.0 - x * x).sqrt()), &inside),
            ((Tensor::acos, f64::acos, |x| -1.0 / (1.0 - x * x).sqrt()), &inside),
            ((Tensor::sinh, f64::sinh, f64::cosh), &wide),
            ((Tensor::cosh, f64::cosh, f64::sinh), &wide),
            ((Tensor::acosh, f64::acosh, |x| 1.0 / (x * x - 1.0).sqrt()), &above),
            ((Tensor::atanh, f64::atanh, |x| 1.0 / (1.0 - x * x)), &inside),
        ];
        for ((f, value, slope), xs) in cases {
            let (y, dy) = with_gradient(xs, f);
            for (i, &x) in xs.iter().enumerate() {
                let (want, want_slope) = (value(x), slope(x));
                assert!((y[i] - want).abs() <= 1e-11 * want.abs().max(1e-9), "at {x}: {} and {want}", y[i]);
                assert!((dy[i] - want_slope).abs() <= 1e-9 * want_slope.abs().max(1e-9), "slope at {x}: {}", dy[i]);
            }
        }
    }

    #[test]
    fn asinh_keeps_its_digits_from_tiny_to_huge() {
        let xs = [-1e300, -40.0, -1e-12, 0.5, 3.0, 1e10];
        let y = eval(|g| g.constant(vector(&xs)).asinh());
        assert_close(&y, &xs.map(f64::asinh), 1e-12);
    }

    #[test]
    fn ends_are_exact_and_beyond_is_no_number() {
        let half = std::f64::consts::FRAC_PI_2;
        assert_close(&eval(|g| g.constant(vector(&[-1.0, 1.0])).asin()), &[-half, half], 1e-15);
        assert_close(&eval(|g| g.constant(vector(&[-1.0, 1.0])).acos()), &[2.0 * half, 0.0], 1e-15);
        assert_close(&eval(|g| g.constant(vector(&[f64::INFINITY])).atan()), &[half], 1e-15);
        assert!(eval(|g| g.constant(vector(&[1.5])).asin())[0].is_nan());
        for below in [0.5, -0.5, -2.0, -1e8, -1e30, f64::NEG_INFINITY] {
            assert!(eval(|g| g.constant(vector(&[below])).acosh())[0].is_nan(), "{below}");
        }
    }
}
