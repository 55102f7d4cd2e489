//! Activations as layers of their own.

use super::{Layer, LayerId};
use crate::dsl::Tensor;
use crate::nn::Activation;

/// An activation, as a layer.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ActivationLayer(pub Activation);

impl Layer for ActivationLayer {
    fn base(&self) -> &str {
        self.0.name()
    }

    fn kind(&self) -> &str {
        "Activation"
    }

    fn id(&self) -> Option<&LayerId> {
        None
    }

    #[track_caller]
    fn call(&self, x: &Tensor, _: &str) -> Tensor {
        self.0.apply(x)
    }
}
