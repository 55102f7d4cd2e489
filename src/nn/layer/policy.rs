//! Layers and models with a policy of their own.

use super::{Layer, LayerId};
use crate::dsl::{Policy, Tensor};

/// A layer, or a model, with a policy of its own, made by [`Layer::with_policy`]: the same layer, with the same weights.
#[derive(Clone, Debug)]
pub struct WithPolicy<L> {
    pub(crate) inner: L,
    pub(crate) policy: Policy,
}

impl<L> WithPolicy<L> {
    /// `inner` under `policy`: also of a model that is no layer.
    pub fn new(inner: L, policy: Policy) -> Self {
        Self { inner, policy }
    }

    /// The layer or model without the policy.
    pub fn inner(&self) -> &L {
        &self.inner
    }
}

impl<L: Layer> Layer for WithPolicy<L> {
    fn base(&self) -> &str {
        self.inner.base()
    }

    fn kind(&self) -> &str {
        self.inner.kind()
    }

    fn id(&self) -> Option<&LayerId> {
        self.inner.id()
    }

    fn dtype_policy(&self) -> Option<Policy> {
        Some(self.policy)
    }

    #[track_caller]
    fn call(&self, x: &Tensor, name: &str) -> Tensor {
        self.inner.call(x, name)
    }

    #[track_caller]
    fn call_many(&self, inputs: &[Tensor], name: &str) -> Vec<Tensor> {
        self.inner.call_many(inputs, name)
    }
}

#[cfg(test)]
mod tests;
