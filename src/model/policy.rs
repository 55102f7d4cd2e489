//! Models under a policy.

use super::Model;
use crate::dsl::{Tensor, TypeSpec};
use crate::nn::WithPolicy;

/// A model whose inputs are taken as they are, whose layers compute by the policy, and whose outputs are given in its variable type.
impl<M: Model> Model for WithPolicy<M> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn inputs(&self) -> Vec<(String, TypeSpec)> {
        self.inner.inputs()
    }

    fn outputs(&self) -> Vec<String> {
        self.inner.outputs()
    }

    fn forward(&self, inputs: &[Tensor]) -> Vec<Tensor> {
        inputs[0].builder().with_policy(self.policy, || {
            let inputs: Vec<Tensor> = inputs.iter().map(Tensor::in_compute_dtype).collect();
            self.inner.forward(&inputs).iter().map(Tensor::in_variable_dtype).collect()
        })
    }
}
