//! Random elements of initial values: the same bits on every machine.
//!
//! Each element is a function of (seed, state name, position) alone: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom
//! number generators", OOPSLA 2014) over a counter. So the values don't depend on threads, nor on the other states of a model.
//!
//! The functions here are written once, over an [`Evaluator`]: [`HostEvaluator`] computes in this process; an object compiled ahead of time has
//! code that an emitter made of the same text. They use integer operations and `+ - * / sqrt` of doubles alone, which IEEE 754 defines to the bit;
//! logarithm and cosine of a system's mathematics library are not the same everywhere.

mod elementary;
mod evaluator;
mod orthonormal;

pub use evaluator::{Evaluator, HostEvaluator};
pub use orthonormal::orthonormalize;

use ir::SplitMix64;

/// What is drawn for an element.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Draw {
    /// Uniform on [0, 1), 53 bits.
    Uniform,
    /// Normal with mean 0 and variance 1.
    Normal,
    /// The same, drawn again while further than 2 from 0.
    TruncatedNormal,
}

impl Draw {
    /// The name in symbols: `truncated_normal`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Normal => "normal",
            Self::TruncatedNormal => "truncated_normal",
        }
    }

    /// The draw for the element number `position` of a stream (see [`stream()`]).
    #[inline(always)] // Where what is drawn is known, the rest goes.
    pub fn element<E: Evaluator>(self, e: &mut E, stream: E::Word, position: E::Word) -> E::Float {
        match self {
            Self::Uniform => uniform(e, stream, position),
            Self::Normal => normal(e, stream, position),
            Self::TruncatedNormal => {
                let attempts = e.word(ATTEMPTS);
                let first = e.multiply_words(position, attempts);
                e.first_within(2.0, ATTEMPTS, |e, attempt| {
                    let counter = e.add_words(first, attempt);
                    normal(e, stream, counter)
                })
            }
        }
    }
}

/// A draw fails with probability 0.0455, so as many fail together with probability 1e-86.
const ATTEMPTS: u64 = 64;

/// Elements that are `offset + scale * draw`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sample {
    /// What is drawn.
    pub draw: Draw,
    /// What is added.
    pub offset: f64,
    /// What the draw is multiplied by.
    pub scale: f64,
}

impl Sample {
    /// Normal with mean 0 and variance 1.
    pub const STANDARD_NORMAL: Self = Self { draw: Draw::Normal, offset: 0.0, scale: 1.0 };

    /// The element number `position` of a stream, in this process.
    #[inline(always)]
    pub(super) fn value(self, e: &mut HostEvaluator, stream: u64, position: u64) -> f64 {
        let draw = self.draw.element(e, stream, position);
        affine(e, draw, self.offset, self.scale)
    }
}

/// `offset + scale * draw`, rounded twice.
#[inline]
pub fn affine<E: Evaluator>(e: &mut E, draw: E::Float, offset: E::Float, scale: E::Float) -> E::Float {
    let scaled = e.multiply(scale, draw);
    e.add(offset, scaled)
}

/// A state's name as a number: FNV-1a.
pub fn name_hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

/// The stream of words of the state whose name has that [`name_hash`], for a seed.
pub fn stream<E: Evaluator>(e: &mut E, seed: E::Word, hash: E::Word) -> E::Word {
    let seed = mix(e, seed);
    let both = e.xor(seed, hash);
    mix(e, both)
}

/// The same in this process.
pub(super) fn stream_of(seed: u64, name: &str) -> u64 {
    stream(&mut HostEvaluator::default(), seed, name_hash(name))
}

/// [`SplitMix64::mix`].
#[inline]
fn mix<E: Evaluator>(e: &mut E, z: E::Word) -> E::Word {
    SplitMix64::ROUNDS.iter().fold(z, |z, (shift, factor)| {
        let high = e.shift_right(z, *shift);
        let folded = e.xor(z, high);
        let factor = e.word(*factor);
        e.multiply_words(folded, factor)
    })
}

/// The upper 53 bits of the word number `counter` of a stream.
#[inline]
fn bits<E: Evaluator>(e: &mut E, stream: E::Word, counter: E::Word) -> E::Word {
    let (one, step) = (e.word(1), e.word(SplitMix64::STEP));
    let number = e.add_words(counter, one);
    let distance = e.multiply_words(number, step);
    let state = e.add_words(stream, distance);
    let word = mix(e, state);
    e.shift_right(word, 11)
}

#[inline]
fn uniform<E: Evaluator>(e: &mut E, stream: E::Word, counter: E::Word) -> E::Float {
    let bits = bits(e, stream, counter);
    let (bits, unit) = (e.to_float(bits), e.float(elementary::UNIT));
    e.multiply(bits, unit)
}

/// By Box and Muller ("A note on the generation of random normal deviates", 1958), from the words `2 * counter` and `2 * counter + 1`.
fn normal<E: Evaluator>(e: &mut E, stream: E::Word, counter: E::Word) -> E::Float {
    let (one, float_one, factor) = (e.word(1), e.float(1.0), e.float(-2.0));
    let first = e.add_words(counter, counter);
    let second = e.add_words(first, one);
    let u = uniform(e, stream, first);
    let u = e.subtract(float_one, u);
    let log = elementary::log(e, u);
    let square = e.multiply(factor, log);
    let radius = e.sqrt(square);
    let turns = bits(e, stream, second);
    let cos = elementary::cos_turns(e, turns);
    e.multiply(radius, cos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mixing_function_is_splitmix64_s() {
        for z in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX] {
            assert_eq!(mix(&mut HostEvaluator::default(), z), SplitMix64::mix(z));
        }
    }

    #[test]
    fn normal_numbers_are_box_and_muller_s() {
        let (stream, mut e) = (stream_of(3, "w"), HostEvaluator::default());
        for position in 0..10_000 {
            let (u, v) = (uniform(&mut e, stream, 2 * position), uniform(&mut e, stream, 2 * position + 1));
            let wanted = (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos();
            let got = normal(&mut e, stream, position);
            assert!((got - wanted).abs() <= 4e-15, "{position}: {got}, not {wanted}");
        }
    }

    #[test]
    fn truncated_numbers_are_the_first_that_are_near() {
        let (stream, mut e) = (stream_of(5, "w"), HostEvaluator::default());
        let mut again = 0;
        for position in 0..2000 {
            let draws = (0..ATTEMPTS)
                .map(|attempt| normal(&mut HostEvaluator::default(), stream, position * ATTEMPTS + attempt));
            let (number, wanted) = draws.enumerate().find(|(_, x)| x.abs() <= 2.0).unwrap();
            assert_eq!(Draw::TruncatedNormal.element(&mut e, stream, position), wanted);
            again += usize::from(number > 0);
        }
        assert!((50..150).contains(&again), "{again} of 2000 were drawn again");
    }
}
