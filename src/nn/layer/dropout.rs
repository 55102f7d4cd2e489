//! Dropout.

use super::{Layer, LayerId};
use crate::dsl::Tensor;
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

    #[track_caller]
    fn drop(&self, x: &Tensor, uniform: impl Fn(&TensorType) -> Tensor) -> Tensor {
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
