//! Dropout: of elements, of whole channels, of whole samples.

use super::stateless::stateless_layer;
use super::{Layer, LayerId};
use crate::dsl::{Tensor, TypeSpec};
use ir::TensorType;

/// In training each element is 0 with probability `rate`, the others are scaled by `1 / (1 - rate)`, so that the expectation stays
/// (Srivastava et al., JMLR 15, 2014). Otherwise the identity.
///
/// The mask is a function of the key, the step and the layer, so a run can be repeated.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Dropout {
    rate: f64,
}

impl Dropout {
    /// With a rate from 0 up to, but not including, 1.
    pub fn new(rate: f64) -> Self {
        Self { rate }
    }
}

impl Layer for Dropout {
    fn base(&self) -> &str {
        "dropout"
    }

    fn kind(&self) -> &str {
        "Dropout"
    }

    fn id(&self) -> Option<&LayerId> {
        None
    }

    #[track_caller]
    fn call(&self, x: &Tensor, _: &str) -> Tensor {
        self.drop(x, |ty| x.builder().random_uniform(ty))
    }
}

impl Dropout {
    /// Dropout in the body of a scan, where `number` (`i64[]`) tells one iteration from another.
    #[track_caller]
    pub(crate) fn call_in_scan(&self, x: &Tensor, number: &Tensor) -> Tensor {
        self.drop(x, |ty| x.builder().random_uniform_of(ty, number))
    }

    /// Whether it does anything while `x` is declared.
    pub(crate) fn is_active(&self, x: &Tensor) -> bool {
        x.builder().is_training() && self.rate != 0.0
    }

    /// Dropout in which elements stand or fall together along the axes that `shared` says.
    #[track_caller]
    fn drop_together(&self, x: &Tensor, shared: impl Fn(usize) -> bool) -> Tensor {
        self.drop(x, |ty| x.builder().random_uniform(shared_along(ty, shared)))
    }

    #[track_caller]
    fn drop(&self, x: &Tensor, uniform: impl FnOnce(&TensorType) -> Tensor) -> Tensor {
        let Some(ty) = x.ty() else { return x.clone() };
        if !(0.0..1.0).contains(&self.rate) {
            return x.fail("dropout", format!("the rate must be at least 0 and below 1, not {}", self.rate));
        }
        if !self.is_active(x) {
            return x.clone();
        }
        let keep = uniform(&ty).ge(self.rate);
        keep.select(&(x * (1.0 / (1.0 - self.rate))), 0)
    }
}

/// The type of what elements share along the axes that `shared` says.
pub(super) fn shared_along(ty: &TensorType, shared: impl Fn(usize) -> bool) -> TypeSpec {
    let extent = |(axis, &extent): (usize, &usize)| if shared(axis) { 1 } else { extent };
    TypeSpec::new(ty.dtype, ty.shape.iter().enumerate().map(extent).collect::<Vec<usize>>())
}

/// Dropout of whole channels: in training each channel of each sample is 0 everywhere with probability `rate`, the others are scaled by `1 / (1 - rate)`
/// (Tompson et al., arXiv 1411.4280). `[batch, spatial..., channels]` of any number of spatial axes: Keras's `SpatialDropout1D`, `2D` and `3D`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SpatialDropout {
    rate: f64,
}

impl SpatialDropout {
    /// With a rate from 0 up to, but not including, 1.
    pub fn new(rate: f64) -> Self {
        Self { rate }
    }

    #[track_caller]
    fn drop(&self, x: &Tensor) -> Tensor {
        let Some(rank) = x.shape().map(|shape| shape.rank()) else { return x.clone() };
        if rank < 3 {
            return x.fail("spatial_dropout", "the input must be [batch, spatial..., channels]");
        }
        Dropout::new(self.rate).drop_together(x, |axis| axis != 0 && axis != rank - 1)
    }
}

stateless_layer!(SpatialDropout, "spatial_dropout", "SpatialDropout", SpatialDropout::drop);

/// Drops whole samples: in training each one is 0 with probability `rate`, the others are scaled by `1 / (1 - rate)`. On a branch that is added to its input it
/// leaves out the branch: stochastic depth (Huang et al., arXiv 1603.09382), also called drop path. `[batch, ...]` to the same.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct StochasticDepth {
    rate: f64,
}

impl StochasticDepth {
    /// With a rate from 0 up to, but not including, 1.
    pub fn new(rate: f64) -> Self {
        Self { rate }
    }

    #[track_caller]
    fn drop(&self, x: &Tensor) -> Tensor {
        if x.shape().is_some_and(|shape| shape.rank() == 0) {
            return x.fail("stochastic_depth", "the input must have a batch axis");
        }
        Dropout::new(self.rate).drop_together(x, |axis| axis != 0)
    }
}

stateless_layer!(StochasticDepth, "stochastic_depth", "StochasticDepth", StochasticDepth::drop);
