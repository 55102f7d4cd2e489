//! The random numbers of everything that needs few and the same ones forever: initial values, orders of examples, random tests.

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014): a counter through a mixing function.
#[derive(Clone, Debug)]
pub struct SplitMix64(u64);

impl SplitMix64 {
    /// What the counter moves by: 2^64 by the golden ratio.
    pub const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

    /// The mixing function: for each pair, the upper bits are folded into the lower ones, and the result is multiplied.
    pub const ROUNDS: [(u32, u64); 3] = [(30, 0xbf58_476d_1ce4_e5b9), (27, 0x94d0_49bb_1331_11eb), (31, 1)];

    /// A generator; the same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(Self::STEP);
        Self::mix(self.0)
    }

    /// The mixing function: one to one, and every bit of the result depends on all of `z`.
    pub fn mix(z: u64) -> u64 {
        Self::ROUNDS.iter().fold(z, |z, (shift, factor)| (z ^ (z >> shift)).wrapping_mul(*factor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs of the published generator for the state 0.
    #[test]
    fn the_numbers_are_the_published_ones() {
        let mut numbers = SplitMix64::new(0);
        assert_eq!([numbers.bits(), numbers.bits()], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
    }
}
