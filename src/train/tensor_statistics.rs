//! What the elements of a tensor are like, in a few numbers.

use ir::{TensorType, Value};
use std::fmt;

/// What the elements of a tensor are like. Mean, deviation, extrema and norm are of the finite ones; all are 0 if there is none. Prints as one line.
#[derive(Clone, PartialEq, Debug)]
pub struct TensorStatistics {
    /// The tensor's type.
    pub ty: TensorType,
    /// The mean.
    pub mean: f64,
    /// The standard deviation, of the elements themselves (divided by their number).
    pub std: f64,
    /// The least one.
    pub min: f64,
    /// The greatest one.
    pub max: f64,
    /// The share of elements that are 0, from 0 to 1: of the results of a ReLU those that are dead for these samples.
    pub zeros: f64,
    /// The Euclidean norm.
    pub norm: f64,
    /// How many elements are infinite or NaN.
    pub not_finite: usize,
}

impl TensorStatistics {
    /// Those of a tensor.
    pub fn of(value: &Value) -> Self {
        let elements = value.to_f64_vec();
        let finite = || elements.iter().copied().filter(|x| x.is_finite());
        let (count, not_finite) = (finite().count(), elements.len() - finite().count());
        let mean = finite().sum::<f64>() / count.max(1) as f64;
        let squares = |from: f64| finite().map(|x| (x - from) * (x - from)).sum::<f64>();
        let extremum = |better: fn(f64, f64) -> f64| finite().reduce(better).unwrap_or(0.0);
        Self {
            ty: value.ty().clone(),
            mean,
            std: (squares(mean) / count.max(1) as f64).sqrt(),
            min: extremum(f64::min),
            max: extremum(f64::max),
            zeros: elements.iter().filter(|x| **x == 0.0).count() as f64 / elements.len().max(1) as f64,
            norm: squares(0.0).sqrt(),
            not_finite,
        }
    }

    /// The numbers by name, in the order of the fields.
    pub fn values(&self) -> [(&'static str, f64); 7] {
        [
            ("mean", self.mean),
            ("std", self.std),
            ("min", self.min),
            ("max", self.max),
            ("zeros", self.zeros),
            ("norm", self.norm),
            ("not_finite", self.not_finite as f64),
        ]
    }
}

impl fmt::Display for TensorStatistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ty, mean, std, min, max, zeros, norm, not_finite } = self;
        let percent = zeros * 100.0;
        write!(
            f,
            "{ty}: mean {mean:.3e}, std {std:.3e}, from {min:.3e} to {max:.3e}, {percent:.1}% zeros, norm {norm:.3e}"
        )?;
        if *not_finite > 0 {
            write!(f, ", {not_finite} not finite")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::array;

    #[test]
    fn statistics_are_those_of_the_finite_elements() {
        let value = array([2, 3], vec![3.0f32, 0.0, -1.0, f32::NAN, 0.0, f32::INFINITY]).unwrap();
        let found = TensorStatistics::of(&value);
        assert_eq!((found.mean, found.min, found.max, found.not_finite), (0.5, -1.0, 3.0, 2));
        assert_eq!((found.std, found.zeros, found.norm), ((9.0f64 / 4.0).sqrt(), 1.0 / 3.0, 10.0f64.sqrt()));
        let none = TensorStatistics::of(&array([1], vec![f32::NAN]).unwrap());
        assert_eq!((none.mean, none.std, none.min, none.max, none.norm), (0.0, 0.0, 0.0, 0.0, 0.0));
    }
}
