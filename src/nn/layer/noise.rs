//! Noise in training: added, multiplied, or in place of elements.

use super::dropout::shared_along;
use super::stateless::stateless_layer;
use crate::dsl::Tensor;
use crate::nn::activation::leaky_relu;

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
        self.drop_together("alpha_dropout", x, |_| false)
    }

    /// Elements stand or fall together along the axes that `shared` says.
    #[track_caller]
    fn drop_together(&self, op: &str, x: &Tensor, shared: impl Fn(usize) -> bool) -> Tensor {
        let (rate, is_sound) = (self.rate, (0.0..1.0).contains(&self.rate));
        if let Err(result) = noisy(op, x, is_sound, "the rate must be at least 0 and below 1") {
            return result;
        }
        let Some(ty) = x.ty().filter(|_| rate > 0.0) else { return x.clone() };
        let scale = 1.0 / ((1.0 - rate) * (1.0 + rate * SELU_LIMIT * SELU_LIMIT)).sqrt();
        let keep = x.builder().random_uniform(shared_along(&ty, shared)).ge(rate);
        keep.select(x, SELU_LIMIT) * scale - scale * SELU_LIMIT * rate
    }
}

stateless_layer!(AlphaDropout, "alpha_dropout", "AlphaDropout", AlphaDropout::drop);

/// [`AlphaDropout`] of whole channels: in training each channel of each sample becomes SELU's limit below everywhere with probability `rate`, and all are moved and scaled; otherwise the
/// identity. `[batch, ..., channels]` to the same; PyTorch's layer, whose channels are the second axis.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct FeatureAlphaDropout {
    rate: f64,
}

impl FeatureAlphaDropout {
    /// With a rate from 0 up to, but not including, 1.
    pub fn new(rate: f64) -> Self {
        Self { rate }
    }

    #[track_caller]
    fn drop(&self, x: &Tensor) -> Tensor {
        let Some(rank) = x.shape().map(|shape| shape.rank()) else { return x.clone() };
        if rank < 2 {
            return x.fail("feature_alpha_dropout", "the input must be [batch, ..., channels]");
        }
        let between = |axis| axis != 0 && axis != rank - 1;
        AlphaDropout::new(self.rate).drop_together("feature_alpha_dropout", x, between)
    }
}

stateless_layer!(FeatureAlphaDropout, "feature_alpha_dropout", "FeatureAlphaDropout", FeatureAlphaDropout::drop);

/// `x` where positive, else `a x`: in training with a slope `a` that each element draws anew, uniformly from a range, otherwise with the range's middle (Xu et al.,
/// arXiv 1505.00853). `[batch, ...]` to the same.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RRelu {
    lower: f64,
    upper: f64,
}

impl Default for RRelu {
    /// PyTorch's range, 1/8 to 1/3.
    fn default() -> Self {
        Self { lower: 1.0 / 8.0, upper: 1.0 / 3.0 }
    }
}

impl RRelu {
    /// With slopes of that range.
    pub fn new(lower: f64, upper: f64) -> Self {
        Self { lower, upper }
    }

    #[track_caller]
    fn rectify(&self, x: &Tensor) -> Tensor {
        let Self { lower, upper } = *self;
        let is_sound = lower.is_finite() && upper.is_finite() && lower <= upper;
        match noisy("r_re_lu", x, is_sound, "the range must be finite, its lower end first") {
            Ok(()) => {
                let Some(ty) = x.ty() else { return x.clone() };
                let slope = x.builder().random_uniform(ty) * (upper - lower) + lower;
                x.gt(0).select(x, &(x * slope))
            }
            Err(poisoned) if poisoned.is_poisoned() => poisoned,
            Err(x) => leaky_relu(&x, (lower + upper) / 2.0),
        }
    }
}

stateless_layer!(RRelu, "r_re_lu", "RReLU", RRelu::rectify);
