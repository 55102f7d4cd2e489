//! Logarithm and cosine on the ranges that normal numbers need, each within about a unit in the last place.

use super::Evaluator;
use ir::scalar::polynomials::{COS_TAIL, LOG_TAIL, SIN_TAIL};
use std::f64::consts::{FRAC_1_SQRT_2, LN_2, TAU};

/// Bits of a double's fraction.
const FRACTION_BITS: u32 = 52;
/// The least bit of the exponent.
const EXPONENT_UNIT: u64 = 1 << FRACTION_BITS;
/// The distance of neighbouring draws: 2^-53.
pub(super) const UNIT: f64 = 0.5 / EXPONENT_UNIT as f64;

/// ln 2 to 32 bits: its products with exponents are exact.
const LN_2_HIGH: f64 = f64::from_bits(LN_2.to_bits() & !0x001f_ffff);
/// The rest, the part that a double's ln 2 lacks included.
const LN_2_LOW: f64 = (LN_2 - LN_2_HIGH) + 2.3190468138462996e-17;

/// The natural logarithm of a positive normal number.
///
/// It is `2^e m` with `m` between sqrt(1/2) and sqrt 2, split by integer operations on the bits; with `f = m - 1`, `log = e ln 2 + f + f^2 q(f)`.
pub(super) fn log<E: Evaluator>(e: &mut E, x: E::Float) -> E::Float {
    let bits = e.to_bits(x);
    // `-e` in the exponent's place: rounded up where the mask rounds down.
    let ceiling = e.word(FRAC_1_SQRT_2.to_bits() + EXPONENT_UNIT - 1);
    let mask = e.word(EXPONENT_UNIT.wrapping_neg());
    let distance = e.subtract_words(ceiling, bits);
    let negated = e.and(distance, mask);
    let mantissa = e.add_words(bits, negated);
    let (mantissa, one) = (e.float_of_bits(mantissa), e.float(1.0));
    let f = e.subtract(mantissa, one);

    let (negated, unit) = (e.to_float(negated), e.float(-1.0 / EXPONENT_UNIT as f64));
    let exponent = e.multiply(negated, unit);
    let (high, low) = (e.float(LN_2_HIGH), e.float(LN_2_LOW));
    let (high, low) = (e.multiply(exponent, high), e.multiply(exponent, low));
    let (square, tail) = (e.multiply(f, f), polynomial(e, LOG_TAIL, f));
    let tail = e.multiply(square, tail);
    let rest = e.add(tail, low);
    let main = e.add(high, f);
    e.add(main, rest)
}

/// `cos(2 pi turns / 2^53)` of an integer below 2^53.
///
/// `turns` is `n` quarters and a rest `r`, at most an eighth, without rounding; `n` chooses between sine and cosine of `r`, and the sign.
pub(super) fn cos_turns<E: Evaluator>(e: &mut E, turns: E::Word) -> E::Float {
    const QUARTER_BITS: u32 = 51;
    let half_quarter = e.word(1 << (QUARTER_BITS - 1));
    let sum = e.add_words(turns, half_quarter);
    let quarters = e.shift_right(sum, QUARTER_BITS);
    let whole = e.shift_left(quarters, QUARTER_BITS);
    let rest = e.subtract_words(turns, whole);
    let (rest, unit) = (e.to_float(rest), e.float(TAU * UNIT));
    let r = e.multiply(rest, unit);
    let square = e.multiply(r, r);
    let (sin, cos) = (sin(e, r, square), cos(e, square));

    let (one, two) = (e.word(1), e.word(2));
    let odd = e.and(quarters, one);
    let even = e.is_zero(odd);
    let value = e.select(even, cos, sin);
    // In quarters 1 and 2 it is less than 0, in 4 what it is in 0.
    let next = e.add_words(quarters, one);
    let sign = e.and(next, two);
    let sign = e.shift_left(sign, 62);
    let bits = e.to_bits(value);
    let bits = e.xor(bits, sign);
    e.float_of_bits(bits)
}

/// The sine of `r`, at most pi/4 in magnitude, whose square is given, too.
fn sin<E: Evaluator>(e: &mut E, r: E::Float, square: E::Float) -> E::Float {
    let tail = polynomial(e, SIN_TAIL, square);
    let tail = e.multiply(tail, square);
    let tail = e.multiply(tail, r);
    e.add(r, tail)
}

/// The cosine of a number, at most pi/4 in magnitude, whose square is given.
fn cos<E: Evaluator>(e: &mut E, square: E::Float) -> E::Float {
    let (one, minus_half) = (e.float(1.0), e.float(-0.5));
    let tail = polynomial(e, COS_TAIL, square);
    let tail = e.multiply(tail, square);
    let tail = e.add(minus_half, tail);
    let tail = e.multiply(tail, square);
    e.add(one, tail)
}

/// The polynomial at `x`, by Horner's rule.
fn polynomial<E: Evaluator>(e: &mut E, coefficients: &[f64], x: E::Float) -> E::Float {
    let highest = e.float(coefficients.last().copied().unwrap_or(0.0));
    coefficients.iter().rev().skip(1).fold(highest, |sum, coefficient| {
        let (product, coefficient) = (e.multiply(sum, x), e.float(*coefficient));
        e.add(product, coefficient)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsl::sampling::HostEvaluator;
    use ir::SplitMix64;

    /// The distance in units of the last place of `wanted`.
    fn ulps(got: f64, wanted: f64) -> f64 {
        let unit = f64::from_bits(wanted.abs().to_bits() + 1) - wanted.abs();
        (got - wanted).abs() / unit
    }

    #[test]
    fn logarithms_are_within_two_units_of_the_system_s() {
        let mut random = SplitMix64::new(1);
        let edges =
            [1, 2, 3, (1 << 53) - 1, 1 << 53, 1 << 52, (1 << 52) + 1, 6_369_051_672_525_772, 6_369_051_672_525_773];
        let numbers = (0..200_000).map(|_| random.bits() >> 11).collect::<Vec<_>>();
        let small = (0..64).flat_map(|shift| numbers[..500].iter().map(move |n| (n >> shift.min(52)) + 1));
        let mut worst: f64 = 0.0;
        for n in edges.into_iter().chain(small).chain(numbers.iter().map(|n| n + 1)) {
            let x = n as f64 * UNIT;
            worst = worst.max(ulps(log(&mut HostEvaluator::default(), x), x.ln()));
        }
        assert!(worst <= 2.0, "{worst} ulp");
        assert_eq!(log(&mut HostEvaluator::default(), 1.0).to_bits(), 0);
    }

    #[test]
    fn cosines_are_those_of_the_angle() {
        let mut random = SplitMix64::new(2);
        let quarter = 1u64 << 51;
        let near = |n: u64| [n.wrapping_sub(1), n, n + 1];
        let edges = (0..8).flat_map(|eighths| near(eighths * quarter / 2)).filter(|n| *n < 4 * quarter);
        for turns in edges.chain((0..200_000).map(|_| random.bits() >> 11)) {
            let got = cos_turns(&mut HostEvaluator::default(), turns);
            // The system's cosine of an angle that was reduced without rounding.
            let quarters = (turns + quarter / 2) / quarter;
            let r = (turns as i64 - (quarters * quarter) as i64) as f64 * (TAU * UNIT);
            let wanted = [r.cos(), -r.sin(), -r.cos(), r.sin(), r.cos()][quarters as usize];
            assert!(ulps(got, wanted) <= 2.0, "{turns}: {got}, not {wanted}");
        }
        assert_eq!(cos_turns(&mut HostEvaluator::default(), 0), 1.0);
        assert_eq!(cos_turns(&mut HostEvaluator::default(), 2 * quarter), -1.0);
    }
}
