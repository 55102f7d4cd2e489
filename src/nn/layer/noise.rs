//! Noise in training: added, multiplied, or in place of elements.

use super::stateless::stateless_layer;
use crate::dsl::Tensor;

/// The value that SELU has far below 0, `-scale alpha`, which alpha dropout puts in place of elements.
const SELU_LIMIT: f64 = -1.758_099_340_847_376_6;

/// Whether noise is to be drawn for `x`, whose setting must be sound; else what the layer gives.
#[track_caller]
fn noisy(op: &str, x: &Tensor, is_sound: bool, rule: &str) -> Result<(), Tensor> {
    match x.dtype() {
        None => Err(x.clone()),
        Some(_) if !is_sound => Err(x.fail(op, rule)),
        Some(dtype) if !dtype.is_float() => Err(x.fail(op, format!("the input must be floats, not {dtype}: cast it"))),
        Some(_) if x.builder().is_training() => Ok(()),
        Some(_) => Err(x.clone()),
    }
}

/// Normal noise with mean 0 and the same type as `x`.
#[track_caller]
fn normal(x: &Tensor, deviation: f64) -> Tensor {
    match x.ty() {
        Some(ty) => x.builder().random_normal(ty) * deviation,
        None => x.clone(),
    }
}

/// In training adds normal noise with mean 0 and this standard deviation to each element; otherwise the identity.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct GaussianNoise {
    stddev: f64,
}

impl GaussianNoise {
    /// With a standard deviation of at least 0.
    pub fn new(stddev: f64) -> Self {
        Self { stddev }
    }

    #[track_caller]
    fn add(&self, x: &Tensor) -> Tensor {
        let is_sound = self.stddev >= 0.0 && self.stddev.is_finite();
        match noisy("gaussian_noise", x, is_sound, "the standard deviation must be finite and at least 0") {
            Ok(()) if self.stddev > 0.0 => x + normal(x, self.stddev),
            Ok(()) => x.clone(),
            Err(result) => result,
        }
    }
}

stateless_layer!(GaussianNoise, "gaussian_noise", "GaussianNoise", GaussianNoise::add);

/// In training multiplies each element by normal noise with mean 1 and standard deviation `sqrt(rate / (1 - rate))`, which has the variance of dropout at that rate
/// (Srivastava et al., JMLR 15, 2014); otherwise the identity.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct GaussianDropout {
    rate: f64,
}

impl GaussianDropout {
    /// With a rate from 0 up to, but not including, 1.
    pub fn new(rate: f64) -> Self {
        Self { rate }
    }

    #[track_caller]
    fn multiply(&self, x: &Tensor) -> Tensor {
        let is_sound = (0.0..1.0).contains(&self.rate);
        match noisy("gaussian_dropout", x, is_sound, "the rate must be at least 0 and below 1") {
            Ok(()) if self.rate > 0.0 => x * (normal(x, (self.rate / (1.0 - self.rate)).sqrt()) + 1.0),
            Ok(()) => x.clone(),
            Err(result) => result,
        }
    }
}

stateless_layer!(GaussianDropout, "gaussian_dropout", "GaussianDropout", GaussianDropout::multiply);

/// Dropout that keeps mean 0 and variance 1, as SELU needs (Klambauer et al., arXiv 1706.02515): in training each element becomes SELU's limit below with
/// probability `rate`, and all are moved and scaled; otherwise the identity.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AlphaDropout {
    rate: f64,
}

impl AlphaDropout {
    /// With a rate from 0 up to, but not including, 1.
    pub fn new(rate: f64) -> Self {
        Self { rate }
    }

    #[track_caller]
    fn drop(&self, x: &Tensor) -> Tensor {
        let (rate, is_sound) = (self.rate, (0.0..1.0).contains(&self.rate));
        if let Err(result) = noisy("alpha_dropout", x, is_sound, "the rate must be at least 0 and below 1") {
            return result;
        }
        let Some(ty) = x.ty().filter(|_| rate > 0.0) else { return x.clone() };
        let scale = 1.0 / ((1.0 - rate) * (1.0 + rate * SELU_LIMIT * SELU_LIMIT)).sqrt();
        let keep = x.builder().random_uniform(ty).ge(rate);
        keep.select(x, SELU_LIMIT) * scale - scale * SELU_LIMIT * rate
    }
}

stateless_layer!(AlphaDropout, "alpha_dropout", "AlphaDropout", AlphaDropout::drop);
