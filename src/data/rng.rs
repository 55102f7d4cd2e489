//! Random numbers of a sample: a function of seed, pass and place alone, whatever thread draws them and on whatever machine: elementary functions are those of crate `libm`,
//! since a system's mathematics library rounds as it likes.

use super::shuffle::below;
use ir::SplitMix64;

/// A generator of random numbers, as maps of a stream get one for each sample and batch.
#[derive(Clone, Debug)]
pub struct Rng(SplitMix64);

impl Rng {
    /// The same keys give the same numbers; other keys, or the same in another order, give others.
    pub fn new(keys: &[u64]) -> Self {
        let mix = |state: u64, key: &u64| SplitMix64::mix(state.wrapping_add(SplitMix64::STEP) ^ SplitMix64::mix(*key));
        Self(SplitMix64::new(keys.iter().fold(keys.len() as u64, mix)))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.bits()
    }

    /// Uniform on `0..n`; 0 if `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { below(&mut self.0, n as u64) as usize }
    }

    /// Uniform on [0, 1), of 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform between two numbers.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// True so often.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// Standard normal, by Box and Muller (1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * libm::log(1.0 - self.uniform())).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.uniform())
    }

    /// Of the gamma distribution with scale 1, by Marsaglia and Tsang ("A simple method for generating gamma variables", 2000); 0 if the shape isn't above 0.
    pub fn gamma(&mut self, shape: f64) -> f64 {
        if shape.is_nan() || shape <= 0.0 {
            return 0.0;
        }
        if shape < 1.0 {
            // A variable of shape + 1 times a power of a uniform one.
            return self.gamma(shape + 1.0) * libm::pow(1.0 - self.uniform(), 1.0 / shape);
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let root = 1.0 + c * x;
            let v = root * root * root;
            if v > 0.0 && libm::log(1.0 - self.uniform()) < 0.5 * x * x + d - d * v + d * libm::log(v) {
                return d * v;
            }
        }
    }

    /// Of the beta distribution with both parameters `alpha`, on [0, 1]; 1/2 where both gamma variables vanish.
    pub fn beta(&mut self, alpha: f64) -> f64 {
        let (a, b) = (self.gamma(alpha), self.gamma(alpha));
        if a + b > 0.0 { a / (a + b) } else { 0.5 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(draw: impl Fn(&mut Rng) -> f64) -> (f64, f64) {
        let n = 40_000;
        let all: Vec<f64> = (0..n).map(|i| draw(&mut Rng::new(&[3, i]))).collect();
        let mean = all.iter().sum::<f64>() / n as f64;
        (mean, all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64)
    }

    /// One draw from each of many generators: neighbouring keys must be independent.
    #[test]
    fn distributions_have_their_means_and_variances() {
        let near = |got: (f64, f64), mean: f64, variance: f64| {
            // Four standard deviations of the mean of 40,000; the variance within a twentieth.
            let apart = (got.0 - mean).abs() < 4.0 * (variance / 40_000.0).sqrt();
            assert!(apart && (got.1 / variance - 1.0).abs() < 0.05, "{got:?}, not {mean} and {variance}");
        };
        near(moments(Rng::uniform), 0.5, 1.0 / 12.0);
        near(moments(|r| r.between(-2.0, 4.0)), 1.0, 3.0);
        near(moments(Rng::normal), 0.0, 1.0);
        for shape in [0.3, 1.0, 4.5] {
            near(moments(|r| r.gamma(shape)), shape, shape);
            near(moments(|r| r.beta(shape)), 0.5, 0.25 / (2.0 * shape + 1.0));
        }
        near(moments(|r| r.below(6) as f64), 2.5, 35.0 / 12.0);
    }

    /// What they are on every machine.
    #[test]
    fn numbers_have_these_bits() {
        let mut rng = Rng::new(&[1, 2, 3]);
        let drawn = [rng.normal(), rng.gamma(0.3), rng.gamma(4.5), rng.beta(0.2)].map(f64::to_bits);
        assert_eq!(drawn, [4610628734457091506, 4592349634537837059, 4616040172498463356, 4581637934734899067]);
    }

    #[test]
    fn keys_decide() {
        let first = |keys: &[u64]| Rng::new(keys).bits();
        assert_eq!(first(&[1, 2]), first(&[1, 2]));
        let all = [first(&[1, 2]), first(&[2, 1]), first(&[1]), first(&[1, 2, 0]), first(&[0, 1, 2])];
        assert!((1..5).all(|i| !all[..i].contains(&all[i])), "{all:?}");
        let mut rng = Rng::new(&[]);
        assert_eq!((rng.below(0), rng.below(1), rng.gamma(f64::NAN), rng.beta(0.0)), (0, 0, 0.0, 0.5));
    }
}
