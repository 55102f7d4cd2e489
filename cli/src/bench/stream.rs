//! The numbers that weights and batches are made of: element `i` of stream `s` is a hash of both, by SplitMix64.

use ir::SplitMix64;

/// The `i`-th number of stream `seed`: uniform in [0, 1), a multiple of 2^-24.
///
/// ```
/// use gradc_cli::bench::stream::unit;
/// assert_eq!(unit(1, 0), unit(1, 0));
/// assert!((0..1000).all(|i| (0.0..1.0).contains(&unit(7, i))));
/// ```
pub fn unit(seed: u64, i: usize) -> f32 {
    let bits = SplitMix64::new(seed.wrapping_mul(1_000_003).wrapping_add(i as u64)).bits();
    (bits >> 40) as f32 / (1u32 << 24) as f32
}

/// The first `n` numbers of a stream, scaled to [lo, hi).
pub fn uniform(seed: u64, n: usize, lo: f32, hi: f32) -> Vec<f32> {
    (0..n).map(|i| lo + (hi - lo) * unit(seed, i)).collect()
}

/// The first `n` numbers of a stream as integers from 0 to `below - 1`.
pub fn integers(seed: u64, n: usize, below: usize) -> Vec<i32> {
    (0..n).map(|i| ((unit(seed, i) * below as f32) as i32).min(below as i32 - 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_uniform() {
        let values = uniform(3, 10_000, -1.0, 1.0);
        let mean = values.iter().sum::<f32>() / 10_000.0;
        assert!(mean.abs() < 0.02, "{mean}");
        let digits = integers(3, 10_000, 10);
        for digit in 0..10 {
            let count = digits.iter().filter(|d| **d == digit).count();
            assert!((850..1150).contains(&count), "{digit} comes {count} times");
        }
    }
}
