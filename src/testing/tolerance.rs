//! How near two numbers must be.

/// How near two numbers must be: as near as a part of the wanted one, or an absolute distance, whichever is more. As in NumPy's `allclose`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Tolerance {
    /// The part of the wanted number.
    pub relative: f64,
    /// The distance.
    pub absolute: f64,
}

impl Default for Tolerance {
    /// `1e-5` and `1e-6`: what two orders of the same sums in `f32` may differ by.
    fn default() -> Self {
        Self { relative: 1e-5, absolute: 1e-6 }
    }
}

impl Tolerance {
    /// A part of the wanted number, and a distance.
    pub fn new(relative: f64, absolute: f64) -> Self {
        Self { relative, absolute }
    }

    /// Whether a number is near enough. NaN is near NaN alone, and an infinite number near itself.
    pub fn holds(&self, found: f64, wanted: f64) -> bool {
        found == wanted
            || found.is_nan() && wanted.is_nan()
            || (found - wanted).abs() <= self.absolute.max(self.relative * wanted.abs()) && wanted.is_finite()
    }
}

#[cfg(test)]
mod tests {
    use super::Tolerance;

    #[test]
    fn numbers_are_near_by_a_part_or_a_distance() {
        let tolerance = Tolerance::new(0.1, 0.5);
        assert!(tolerance.holds(110.0, 100.0) && tolerance.holds(0.5, 0.0) && tolerance.holds(f64::NAN, f64::NAN));
        assert!(tolerance.holds(f64::INFINITY, f64::INFINITY) && !tolerance.holds(1.0, f64::INFINITY));
        assert!(!tolerance.holds(111.0, 100.0) && !tolerance.holds(0.6, 0.0) && !tolerance.holds(f64::NAN, 0.0));
    }
}
