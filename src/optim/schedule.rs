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
    /// From `initial` to `last` over `steps` steps along a power of what is left, then `last` (PyTorch's `PolynomialLR`, for which `last` is 0).
    Polynomial {
        /// The rate at the start.
        initial: f64,
        /// The rate at the end.
        last: f64,
        /// How long it takes.
        steps: u64,
        /// 1 is a straight line.
        power: f64,
    },
    /// `initial` up to the first of these numbers of steps, from there on the rate beside it, up to the next. The numbers ascend.
    Piecewise {
        /// The rate at the start.
        initial: f64,
        /// From which step on there is another rate, and which.
        parts: Vec<(u64, f64)>,
    },
    /// Half a cosine up from `max / 25` to `max` over three tenths of the steps, and half a cosine down to `max / 250,000` by the last (Smith and Topin, arXiv 1708.07120, with the
    /// settings that PyTorch's `OneCycleLR` has by default).
    OneCycle {
        /// The largest rate.
        max: f64,
        /// The number of steps; at least 2.
        steps: u64,
    },
    /// Another schedule that counts epochs.
    ByEpoch {
        /// The steps of an epoch.
        steps: u64,
        /// The schedule, which changes once an epoch.
        schedule: Box<Schedule>,
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

    /// From `initial` to 0 over `steps` steps along a power of what is left.
    pub fn polynomial(initial: f64, steps: u64, power: f64) -> Self {
        Self::Polynomial { initial, last: 0.0, steps, power }
    }

    /// `initial`, and from each of these numbers of steps on another rate.
    pub fn piecewise(initial: f64, parts: impl IntoIterator<Item = (u64, f64)>) -> Self {
        Self::Piecewise { initial, parts: parts.into_iter().collect() }
    }

    /// Up to `max` and down to almost 0, in `steps` steps.
    pub fn one_cycle(max: f64, steps: u64) -> Self {
        Self::OneCycle { max, steps }
    }

    /// This schedule with epochs for steps, of so many steps each ([`crate::train::Fit::steps_per_epoch`]): `Schedule::step(0.1, 30, 0.1).by_epoch(n)`.
    pub fn by_epoch(self, steps: u64) -> Self {
        Self::ByEpoch { steps, schedule: Box::new(self) }
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
            Self::Polynomial { initial, last, power, .. } => {
                check_rate(*initial).and(check_rate(*last)).and(not_negative("the power of the rate", *power))
            }
            Self::Piecewise { initial, parts } => {
                if !parts.is_sorted_by(|a, b| a.0 < b.0) {
                    return Err("the steps at which a piecewise rate changes must ascend".into());
                }
                parts.iter().fold(check_rate(*initial), |so_far, (_, rate)| so_far.and(check_rate(*rate)))
            }
            Self::OneCycle { max, .. } => check_rate(*max),
            Self::Warmup { then, .. } => then.check(),
            Self::ByEpoch { schedule, .. } => schedule.check(),
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
            Self::Polynomial { initial, last, steps, power } => {
                let left = 1.0 - (step as f64 / (*steps).max(1) as f64).min(1.0);
                last + (initial - last) * left.powf(*power)
            }
            Self::Piecewise { initial, parts } => {
                parts.iter().take_while(|(from, _)| *from <= step).last().map_or(*initial, |(_, rate)| *rate)
            }
            Self::OneCycle { max, steps } => one_cycle(*max, (*steps).max(2) as f64, step as f64),
            Self::ByEpoch { steps, schedule } => schedule.at(step / (*steps).max(1)),
            Self::Warmup { steps, then } if step < *steps => then.at(0) * (step + 1) as f64 / (*steps + 1) as f64,
            Self::Warmup { steps, then } => then.at(step - steps),
            Self::Custom(f) => f(step),
        }
    }
}

fn one_cycle(max: f64, steps: f64, step: f64) -> f64 {
    let (first, last, top) = (max / 25.0, max / 250_000.0, 0.3 * steps - 1.0);
    let cosine = |from: f64, to: f64, done: f64| to + (from - to) * 0.5 * (1.0 + (PI * done.clamp(0.0, 1.0)).cos());
    match step <= top {
        true => cosine(first, max, step / top),
        false => cosine(max, last, (step - top) / (steps - 1.0 - top)),
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
            Self::Polynomial { initial, last, steps, power } => {
                write!(f, "polynomial of power {power} from {initial} to {last} over {steps} steps")
            }
            Self::Piecewise { initial, parts } => write!(f, "{initial}, then from steps on {parts:?}"),
            Self::OneCycle { max, steps } => write!(f, "one cycle up to {max} in {steps} steps"),
            Self::ByEpoch { steps, schedule } => write!(f, "by epochs of {steps} steps: {schedule:?}"),
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

    /// The rates of PyTorch 2's `StepLR(3, 0.5)`, `ExponentialLR(0.9)`, `CosineAnnealingLR(10, 0.001)`, `PolynomialLR(8, 2.0)`, `MultiStepLR([3, 7], 0.1)` and `OneCycleLR(0.1, 10)`, from 0.1
    /// on in `f64`.
    #[test]
    fn rates_are_those_of_pytorch() {
        let cosine = Schedule::Cosine { initial: 0.1, last: 0.001, steps: 10 };
        let piecewise = Schedule::piecewise(0.1, [(3, 0.01), (7, 0.001)]);
        let cases = [
            (Schedule::step(0.1, 3, 0.5), [0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025, 0.025, 0.0125]),
            (
                Schedule::exponential(0.1, 1, 0.9),
                [0.1, 0.09, 0.081, 0.0729, 0.06561, 0.059049, 0.0531441, 0.04782969, 0.043046721, 0.0387420489],
            ),
            (
                cosine,
                [
                    0.1,
                    0.09757729755661011,
                    0.0905463412215599,
                    0.07959536998847742,
                    0.0657963412215599,
                    0.0505,
                    0.03520365877844011,
                    0.02140463001152259,
                    0.010453658778440109,
                    0.0034227024433899004,
                ],
            ),
            (
                Schedule::polynomial(0.1, 8, 2.0),
                [0.1, 0.0765625, 0.05625, 0.0390625, 0.025, 0.0140625, 0.00625, 0.0015625, 0.0, 0.0],
            ),
            (piecewise, [0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.01, 0.001, 0.001, 0.001]),
            (
                Schedule::one_cycle(0.1, 10),
                [
                    0.004,
                    0.052,
                    0.1,
                    0.09504846320134738,
                    0.0811745653949763,
                    0.06112620219362893,
                    0.03887419780637107,
                    0.0188258346050237,
                    0.004951936798652629,
                    4e-7,
                ],
            ),
        ];
        for (schedule, want) in cases {
            schedule.check().unwrap();
            for (step, want) in want.into_iter().enumerate() {
                let got = schedule.at(step as u64);
                assert!((got - want).abs() < 1e-15, "{schedule:?} at {step}: {got}, not {want}");
            }
        }
        let by_epoch = Schedule::step(0.1, 1, 0.5).by_epoch(4);
        assert_eq!([by_epoch.at(3), by_epoch.at(4), by_epoch.at(7), by_epoch.at(8)], [0.1, 0.05, 0.05, 0.025]);
        assert!(Schedule::piecewise(0.1, [(7, 0.1), (3, 0.2)]).check().unwrap_err().contains("ascend"));
        assert!(Schedule::polynomial(0.1, 3, f64::NAN).check().is_err());
    }
}
