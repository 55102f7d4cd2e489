//! What computes formulas of initial values: this process, or code that is emitted.

/// Operations on words and doubles, loops, and a scratch memory of doubles. Each is defined to the bit, so that all evaluators agree.
///
/// Bodies of loops may be called for each iteration, or once, by who emits code.
pub trait Evaluator: Sized {
    /// 64 bits.
    type Word: Copy;
    /// A double.
    type Float: Copy;
    /// The result of a comparison.
    type Truth: Copy;

    /// A constant word.
    fn word(&mut self, value: u64) -> Self::Word;
    /// `a + b`, modulo 2^64.
    fn add_words(&mut self, a: Self::Word, b: Self::Word) -> Self::Word;
    /// `a - b`, modulo 2^64.
    fn subtract_words(&mut self, a: Self::Word, b: Self::Word) -> Self::Word;
    /// `a * b`, modulo 2^64.
    fn multiply_words(&mut self, a: Self::Word, b: Self::Word) -> Self::Word;
    /// `a & b`.
    fn and(&mut self, a: Self::Word, b: Self::Word) -> Self::Word;
    /// `a ^ b`.
    fn xor(&mut self, a: Self::Word, b: Self::Word) -> Self::Word;
    /// `a << bits`, bits below 64.
    fn shift_left(&mut self, a: Self::Word, bits: u32) -> Self::Word;
    /// `a >> bits`, zeros coming in, bits below 64.
    fn shift_right(&mut self, a: Self::Word, bits: u32) -> Self::Word;
    /// `a == 0`.
    fn is_zero(&mut self, a: Self::Word) -> Self::Truth;

    /// A constant double.
    fn float(&mut self, value: f64) -> Self::Float;
    /// A word as a signed integer, rounded to the nearest double.
    fn to_float(&mut self, a: Self::Word) -> Self::Float;
    /// A double's bits.
    fn to_bits(&mut self, a: Self::Float) -> Self::Word;
    /// The double of those bits.
    fn float_of_bits(&mut self, a: Self::Word) -> Self::Float;
    /// `a + b`.
    fn add(&mut self, a: Self::Float, b: Self::Float) -> Self::Float;
    /// `a - b`.
    fn subtract(&mut self, a: Self::Float, b: Self::Float) -> Self::Float;
    /// `a * b`, which is never joined with an addition.
    fn multiply(&mut self, a: Self::Float, b: Self::Float) -> Self::Float;
    /// `a / b`.
    fn divide(&mut self, a: Self::Float, b: Self::Float) -> Self::Float;
    /// The square root.
    fn sqrt(&mut self, a: Self::Float) -> Self::Float;
    /// `a` if the truth, else `b`.
    fn select(&mut self, truth: Self::Truth, a: Self::Float, b: Self::Float) -> Self::Float;

    /// The first of the values of numbers `0..attempts` that is at most `bound` in magnitude; 0 if there is none.
    fn first_within(
        &mut self,
        bound: f64,
        attempts: u64,
        value: impl FnMut(&mut Self, Self::Word) -> Self::Float,
    ) -> Self::Float;
    /// Does something for each number below `count`, in ascending order.
    fn repeat(&mut self, count: Self::Word, body: impl FnMut(&mut Self, Self::Word));
    /// The sum of the terms of all numbers below `count`, in ascending order, from 0.
    fn sum(&mut self, count: Self::Word, term: impl FnMut(&mut Self, Self::Word) -> Self::Float) -> Self::Float;
    /// The double number `at` of the scratch memory.
    fn load(&mut self, at: Self::Word) -> Self::Float;
    /// Sets it.
    fn store(&mut self, at: Self::Word, value: Self::Float);
}

/// Computes in this process.
#[derive(Clone, Default, Debug)]
pub struct HostEvaluator {
    /// The scratch memory.
    scratch: Vec<f64>,
}

impl HostEvaluator {
    /// With a scratch memory of those contents.
    pub fn with_scratch(scratch: Vec<f64>) -> Self {
        Self { scratch }
    }

    /// What the scratch memory holds now.
    pub fn into_scratch(self) -> Vec<f64> {
        self.scratch
    }
}

impl Evaluator for HostEvaluator {
    type Word = u64;
    type Float = f64;
    type Truth = bool;

    #[inline]
    fn word(&mut self, value: u64) -> u64 {
        value
    }

    #[inline]
    fn add_words(&mut self, a: u64, b: u64) -> u64 {
        a.wrapping_add(b)
    }

    #[inline]
    fn subtract_words(&mut self, a: u64, b: u64) -> u64 {
        a.wrapping_sub(b)
    }

    #[inline]
    fn multiply_words(&mut self, a: u64, b: u64) -> u64 {
        a.wrapping_mul(b)
    }

    #[inline]
    fn and(&mut self, a: u64, b: u64) -> u64 {
        a & b
    }

    #[inline]
    fn xor(&mut self, a: u64, b: u64) -> u64 {
        a ^ b
    }

    #[inline]
    fn shift_left(&mut self, a: u64, bits: u32) -> u64 {
        a << bits
    }

    #[inline]
    fn shift_right(&mut self, a: u64, bits: u32) -> u64 {
        a >> bits
    }

    #[inline]
    fn is_zero(&mut self, a: u64) -> bool {
        a == 0
    }

    #[inline]
    fn float(&mut self, value: f64) -> f64 {
        value
    }

    #[inline]
    fn to_float(&mut self, a: u64) -> f64 {
        a as i64 as f64
    }

    #[inline]
    fn to_bits(&mut self, a: f64) -> u64 {
        a.to_bits()
    }

    #[inline]
    fn float_of_bits(&mut self, a: u64) -> f64 {
        f64::from_bits(a)
    }

    #[inline]
    fn add(&mut self, a: f64, b: f64) -> f64 {
        a + b
    }

    #[inline]
    fn subtract(&mut self, a: f64, b: f64) -> f64 {
        a - b
    }

    #[inline]
    fn multiply(&mut self, a: f64, b: f64) -> f64 {
        a * b
    }

    #[inline]
    fn divide(&mut self, a: f64, b: f64) -> f64 {
        a / b
    }

    #[inline]
    fn sqrt(&mut self, a: f64) -> f64 {
        a.sqrt()
    }

    #[inline]
    fn select(&mut self, truth: bool, a: f64, b: f64) -> f64 {
        if truth { a } else { b }
    }

    #[inline]
    fn first_within(&mut self, bound: f64, attempts: u64, mut value: impl FnMut(&mut Self, u64) -> f64) -> f64 {
        (0..attempts).map(|attempt| value(self, attempt)).find(|value| value.abs() <= bound).unwrap_or(0.0)
    }

    #[inline]
    fn repeat(&mut self, count: u64, mut body: impl FnMut(&mut Self, u64)) {
        (0..count).for_each(|at| body(self, at));
    }

    #[inline]
    fn sum(&mut self, count: u64, mut term: impl FnMut(&mut Self, u64) -> f64) -> f64 {
        (0..count).fold(0.0, |sum, at| sum + term(self, at))
    }

    #[inline]
    fn load(&mut self, at: u64) -> f64 {
        self.scratch[at as usize]
    }

    #[inline]
    fn store(&mut self, at: u64, value: f64) {
        self.scratch[at as usize] = value;
    }
}
