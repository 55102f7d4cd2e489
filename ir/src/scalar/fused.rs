//! Rows of fused multiply-adds in `f32`: what contractions in the interpreters consist of.

/// Numbers that are looked at together.
const BLOCK: usize = 8;

/// `target[i] = factor * source[i] + target[i]`, each rounded once, as [`f32::mul_add`] does it.
///
/// Where that is no instruction of the target's it is a call for each element; here it isn't: a product of two `f32` is exact in `f64`, and a sum that is rounded to
/// `f64` and then to `f32` is the one that is rounded once, but where the first rounding falls on the middle between two numbers of the second one, or the result
/// has fewer digits than usual.
///
/// ```
/// let mut sums = [1.0, -0.5];
/// ir::scalar::add_scaled(&mut sums, 3.0, &[0.1, 0.2]);
/// assert_eq!(sums, [3.0f32.mul_add(0.1, 1.0), 3.0f32.mul_add(0.2, -0.5)]);
/// ```
pub fn add_scaled(target: &mut [f32], factor: f32, source: &[f32]) {
    let (targets, rest) = target.as_chunks_mut::<BLOCK>();
    let (sources, last) = source.as_chunks::<BLOCK>();
    for (target, source) in targets.iter_mut().zip(sources) {
        let mut sums = [0.0f64; BLOCK];
        for ((sum, t), s) in sums.iter_mut().zip(&*target).zip(source) {
            *sum = f64::from(factor) * f64::from(*s) + f64::from(*t);
        }
        // Not one after the other: so it is in vectors.
        let unsure = sums.iter().fold(false, |unsure, sum| unsure | is_unsure(*sum));
        if unsure {
            one_by_one(target, factor, source);
        } else {
            target.iter_mut().zip(sums).for_each(|(t, sum)| *t = sum as f32);
        }
    }
    one_by_one(rest, factor, last);
}

fn one_by_one(target: &mut [f32], factor: f32, source: &[f32]) {
    for (t, s) in target.iter_mut().zip(source) {
        *t = factor.mul_add(*s, *t);
    }
}

/// Whether rounding a sum to `f32` may be one rounding too many, as it may where the result is that small; or it isn't finite, and NaN's bits may be others.
fn is_unsure(sum: f64) -> bool {
    /// The bits of an `f64` that an `f32` hasn't, and the first of them.
    const DROPPED: u32 = (1 << 29) - 1;
    const MIDDLE: u32 = 1 << 28;
    /// The upper halves of the least normal `f32` and of infinity, as `f64`.
    const LEAST: i32 = (1023 - 126) << 20;
    const INFINITY: i32 = 0x7ff << 20;
    let bits = sum.to_bits();
    let upper = (bits >> 32) as i32 & i32::MAX;
    (bits as u32 & DROPPED == MIDDLE) | !(LEAST..INFINITY).contains(&upper)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SplitMix64;

    /// All kinds of numbers, those near middles and the smallest ones among them.
    fn number(random: &mut SplitMix64) -> f32 {
        let bits = random.bits();
        match bits % 4 {
            0 => f32::from_bits((bits >> 32) as u32),
            1 => ((bits >> 32) as i32 >> 20) as f32 * 2f32.powi((bits >> 8) as i32 % 40 - 20),
            2 => f32::from_bits(0x3f80_0000 | (bits >> 32) as u32 & 0xfff),
            _ => f32::from_bits((bits >> 32) as u32 & 0x80ff_ffff),
        }
    }

    #[test]
    fn each_sum_is_rounded_once() {
        let mut random = SplitMix64::new(5);
        let mut in_doubt = 0;
        for _ in 0..200_000 {
            let factor = number(&mut random);
            let source: [f32; 9] = std::array::from_fn(|_| number(&mut random));
            let target: [f32; 9] = std::array::from_fn(|_| number(&mut random));
            let mut sums = target;
            add_scaled(&mut sums, factor, &source);
            for ((sum, t), s) in sums.iter().zip(target).zip(source) {
                assert_eq!(sum.to_bits(), factor.mul_add(s, t).to_bits(), "{factor:?} * {s:?} + {t:?}");
                let twice = (f64::from(factor) * f64::from(s) + f64::from(t)) as f32;
                in_doubt += u32::from(twice != *sum && !sum.is_nan());
            }
        }
        // Some of them are wrong if they are rounded twice.
        assert!(in_doubt > 0);
    }
}
