//! Learning-rate schedules: functions of the number of steps taken, evaluated by the host, written to the state `lr` between steps.

use crate::dsl::setting::not_negative;
use std::f64::consts::PI;
use std::fmt;
use std::sync::Arc;

/// A learning rate over time. A number is a constant one: `Adam::new(1e-3)`.
#[derive(Clone)]
pub enum Schedule {
    /// Always the same.
    Constant(f64),
    /// Times `factor` after every `every` steps.
    Step {
        /// The rate at the start.
        initial: f64,
        /// How many steps it holds.
        every: u64,
        /// What it is multiplied with.
        factor: f64,
    },
    /// `initial * rate^(step / steps)`, continuously.
    Exponential {
        /// The rate at the start.
        initial: f64,
        /// Over how many steps the rate is multiplied once.
        steps: u64,
        /// The factor.
        rate: f64,
    },
    /// Half a cosine from `initial` down to `last` over `steps` steps, then `last` (Loshchilov and Hutter, arXiv 1608.03983, one cycle).
    Cosine {
        /// The rate at the start.
        initial: f64,
        /// The rate at the end.
        last: f64,
        /// How long it takes.
        steps: u64,
    },
    /// From near 0 linearly up to what `then` starts with, over `steps` steps, then `then`.
    Warmup {
        /// How long it takes.
        steps: u64,
        /// What follows; its own count starts when the warm-up is over.
        then: Box<Schedule>,
    },
    /// Any function of the number of steps taken.
    Custom(Arc<dyn Fn(u64) -> f64 + Send + Sync>),
}

impl Schedule {
    /// Times `factor` after every `every` steps.
    pub fn step(initial: f64, every: u64, factor: f64) -> Self {
        Self::Step { initial, every, factor }
    }

    /// `initial * rate^(step / steps)`.
    pub fn exponential(initial: f64, steps: u64, rate: f64) -> Self {
        Self::Exponential { initial, steps, rate }
    }

    /// Half a cosine from `initial` down to 0 over `steps` steps.
    pub fn cosine(initial: f64, steps: u64) -> Self {
        Self::Cosine { initial, last: 0.0, steps }
    }

    /// This schedule after a linear warm-up of `steps` steps.
    pub fn warmup(self, steps: u64) -> Self {
        Self::Warmup { steps, then: Box::new(self) }
    }

    /// True if it never changes, so that nothing has to be written between steps.
    pub fn is_constant(&self) -> bool {
        matches!(self, Self::Constant(_))
    }

    /// Checks the numbers that it is made of. Of a custom function it is the first rate that is checked; the others are when they are
    /// used.
    ///
    /// # Errors
    /// A rate or a factor that is negative or not finite.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Constant(rate) => check_rate(*rate),
            Self::Step { initial, factor, .. } => {
                check_rate(*initial).and(not_negative("the factor of the rate", *factor))
            }
            Self::Exponential { initial, rate, .. } => {
                check_rate(*initial).and(not_negative("the factor of the rate", *rate))
            }
            Self::Cosine { initial, last, .. } => check_rate(*initial).and(check_rate(*last)),
            Self::Warmup { then, .. } => then.check(),
            Self::Custom(f) => check_rate(f(0)),
        }
    }

    /// The rate for the step that follows `step` steps taken.
    pub fn at(&self, step: u64) -> f64 {
        match self {
            Self::Constant(rate) => *rate,
            Self::Step { initial, every, factor } => initial * factor.powf((step / (*every).max(1)) as f64),
            Self::Exponential { initial, steps, rate } => initial * rate.powf(step as f64 / (*steps).max(1) as f64),
            Self::Cosine { initial, last, steps } => {
                let done = (step as f64 / (*steps).max(1) as f64).min(1.0);
                last + (initial - last) * 0.5 * (1.0 + (PI * done).cos())
            }
            Self::Warmup { steps, then } if step < *steps => then.at(0) * (step + 1) as f64 / (*steps + 1) as f64,
            Self::Warmup { steps, then } => then.at(step - steps),
            Self::Custom(f) => f(step),
        }
    }
}

/// Checks a learning rate.
///
/// # Errors
/// If it is negative or not finite.
pub(crate) fn check_rate(rate: f64) -> Result<(), String> {
    not_negative("the learning rate", rate)
}

impl From<f64> for Schedule {
    fn from(rate: f64) -> Self {
        Self::Constant(rate)
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(rate) => write!(f, "{rate}"),
            Self::Step { initial, every, factor } => write!(f, "{initial}, times {factor} every {every} steps"),
            Self::Exponential { initial, steps, rate } => write!(f, "{initial} * {rate}^(step / {steps})"),
            Self::Cosine { initial, last, steps } => write!(f, "cosine from {initial} to {last} over {steps} steps"),
            Self::Warmup { steps, then } => write!(f, "warm-up over {steps} steps, then {then:?}"),
            Self::Custom(_) => f.write_str("custom"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_pass_through_their_fixed_points() {
        let step = Schedule::step(0.1, 10, 0.5);
        assert_eq!([step.at(0), step.at(9), step.at(10), step.at(25)], [0.1, 0.1, 0.05, 0.025]);
        let exponential = Schedule::exponential(1.0, 100, 0.25);
        assert!((exponential.at(50) - 0.5).abs() < 1e-15);
        let cosine = Schedule::Cosine { initial: 1.0, last: 0.2, steps: 10 };
        assert_eq!(cosine.at(0), 1.0);
        assert!((cosine.at(5) - 0.6).abs() < 1e-15);
        assert!((cosine.at(10) - 0.2).abs() < 1e-15 && cosine.at(99) == cosine.at(10));
        let warm = Schedule::cosine(1.0, 10).warmup(3);
        assert_eq!([warm.at(0), warm.at(1), warm.at(2), warm.at(3)], [0.25, 0.5, 0.75, 1.0]);
        assert_eq!(Schedule::from(0.1).at(7), 0.1);
    }
}
