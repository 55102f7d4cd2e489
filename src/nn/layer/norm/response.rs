//! Normalization by the responses of neighbouring channels.

use crate::dsl::Tensor;
use crate::nn::layer::stateless::stateless_layer;

/// `x / (k + alpha m)^beta`, `m` the mean of the squares of `size` channels around each one, those beyond the ends counting as 0 (Krizhevsky et al., "ImageNet
/// Classification with Deep Convolutional Neural Networks", 2012; PyTorch's definition, whose mean the paper has as a sum): `[batch, ..., channels]` to the same.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LocalResponseNorm {
    size: usize,
    alpha: f64,
    beta: f64,
    k: f64,
}

impl LocalResponseNorm {
    /// Over that many channels, at least 1; PyTorch's alpha 1e-4, beta 0.75, k 1.
    pub fn new(size: usize) -> Self {
        Self { size, alpha: 1e-4, beta: 0.75, k: 1.0 }
    }

    /// What the mean is multiplied by.
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// The exponent.
    pub fn beta(mut self, beta: f64) -> Self {
        self.beta = beta;
        self
    }

    /// What is added to the mean.
    pub fn k(mut self, k: f64) -> Self {
        self.k = k;
        self
    }

    #[track_caller]
    fn normalize(&self, x: &Tensor) -> Tensor {
        let Some(ty) = x.ty() else { return x.clone() };
        let rank = ty.shape.rank();
        if rank < 2 || !ty.dtype.is_float() || self.size == 0 {
            let rule = "the input must be [batch, ..., channels] of floats, and the size at least 1";
            return x.fail("local_response_normalization", rule);
        }
        let channels = ty.shape[rank - 1];
        let wide = x.in_f32();
        // Neighbours further than all channels are none.
        let (before, after) = ((self.size / 2).min(channels), ((self.size - 1) / 2).min(channels));
        let mut pads = vec![(0, 0); rank];
        pads[rank - 1] = (before, after);
        let squares = wide.square().pad(0.0, pads);
        let neighbour = |i: usize| squares.slice_axis(-1, i..i + channels);
        let sum = (1..=before + after).fold(neighbour(0), |sum, i| sum + neighbour(i));
        let scale = (sum * (self.alpha / self.size as f64) + self.k).pow(-self.beta);
        (wide * scale).with_mask_of(x).rounded_like(x)
    }
}

stateless_layer!(LocalResponseNorm, "local_response_normalization", "LocalResponseNorm", LocalResponseNorm::normalize);
